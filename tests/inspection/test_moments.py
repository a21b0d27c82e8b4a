"""Statistics of streams, against numpy on all of it; and what is kept of them."""

import numpy as np
import pytest

from poise.inspection.moments import Moments, Thinned
from poise.inspection.reconstruction import linear_map


def test_moments_are_those_of_all_samples() -> None:
    rng = np.random.default_rng(1)
    samples = rng.normal(size=(50, 2, 3)) * [1.0, 10.0, 0.0] + [0.0, 5.0, 7.0]
    samples[:, 1, 0] = 0.0
    moments = Moments(low=-1.0, high=np.inf)
    for start, end in ((0, 1), (1, 30), (30, 30), (30, 50)):
        moments.add(samples[start:end])
    flat = samples.reshape(50, 6)
    np.testing.assert_allclose(moments.mean, flat.mean(0))
    np.testing.assert_allclose(moments.std, flat.std(0), atol=1e-9)
    np.testing.assert_allclose(moments.square, (flat**2).mean(0))
    np.testing.assert_array_equal(moments.lowest, flat.min(0))
    np.testing.assert_array_equal(moments.constant, [False, False, True, True, False, True])
    np.testing.assert_array_equal(moments.dead, [False, False, False, True, False, False])
    np.testing.assert_allclose(moments.at_limit, (flat <= -1.0).mean(0))


@pytest.mark.parametrize("count", [3, 8, 9, 100, 1000])
def test_what_is_kept_is_spread_evenly(count: int) -> None:
    kept, made = Thinned[int](8), []
    for i in range(count):
        kept.add(lambda i=i: made.append(i) or i)  # type: ignore[misc]
    steps = {b - a for a, b in zip(kept.items, kept.items[1:], strict=False)}
    assert len(kept.items) <= 8
    assert kept.items[0] == 0
    assert len(steps) == 1
    assert count - kept.items[-1] <= max(steps)
    assert len(kept.items) == count or len(kept.items) >= 4
    assert len(made) < 8 * (np.log2(count) + 1)


@pytest.mark.parametrize(("count", "features"), [(200, 5), (40, 60)])
def test_the_best_linear_map(count: int, features: int) -> None:
    """As numpy's least squares find it with the penalty as further samples."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(count, features)).astype(np.float32)
    images = np.tanh(x @ rng.normal(size=(features, 6)) + 3.0).reshape(count, 2, 3).astype(np.float32)
    centred, wanted = x - x.mean(0, dtype=np.float64), images.reshape(count, 6).astype(np.float64)
    penalty = np.sqrt(1e-3 * centred.var() * count) * np.eye(features)
    rows = np.concatenate([centred, penalty]), np.concatenate([wanted - wanted.mean(0), np.zeros((features, 6))])
    weights = np.linalg.lstsq(*rows, rcond=None)[0]
    new = rng.normal(size=(4, features)).astype(np.float32)
    expected = ((new - x.mean(0, dtype=np.float64)) @ weights + wanted.mean(0)).reshape(4, 2, 3)
    np.testing.assert_allclose(linear_map(x, images)(new), expected, rtol=1e-4, atol=1e-5)
