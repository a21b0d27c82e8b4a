import numpy as np
import pytest
import torch
from torch.testing import assert_close

from poise.nn import EmpiricalNormalization, Normalize, Normalizer, RunningMeanStd


def test_moments_over_batches_are_those_of_all_samples() -> None:
    rng = np.random.default_rng(0)
    batches = [rng.normal([5.0, -3.0], [0.1, 40.0], (size, 2)).astype(np.float32) for size in (1, 700, 3, 0, 90)]
    normalizer = EmpiricalNormalization(2)
    for batch in batches:
        normalizer.update(torch.from_numpy(batch))
    everything = np.concatenate(batches).astype(np.float64)
    np.testing.assert_allclose(normalizer.mean, everything.mean(0), rtol=1e-5)
    np.testing.assert_allclose(normalizer.std, everything.std(0), rtol=1e-4)
    assert normalizer.count == len(everything)


def test_leading_axes_are_all_samples() -> None:
    x = torch.randn(4, 5, 2, 3)
    batched, flat = EmpiricalNormalization((2, 3)), EmpiricalNormalization((2, 3))
    batched.update(x)
    flat.update(x.flatten(0, 1))
    assert_close(batched.state_dict(), flat.state_dict())
    assert batched(x).shape == x.shape


def test_forward_normalises_without_moving_the_statistics() -> None:
    normalizer = EmpiricalNormalization(3, eps=0.0)
    x = 4.0 * torch.randn(1000, 3) + 7.0
    normalizer.update(x)
    before = {name: value.clone() for name, value in normalizer.state_dict().items()}
    y = normalizer(x)
    assert_close(y.mean(0), torch.zeros(3), atol=1e-4, rtol=0)
    assert_close(y.std(0, correction=0), torch.ones(3), atol=1e-4, rtol=0)
    assert_close(normalizer.state_dict(), before, rtol=0, atol=0)
    assert_close(normalizer.inverse(y), x, atol=1e-4, rtol=1e-4)


def test_before_the_first_update_nothing_is_shifted() -> None:
    assert_close(EmpiricalNormalization(2, eps=0.0)(torch.tensor([[3.0, -4.0]])), torch.tensor([[3.0, -4.0]]))


def test_clipping_and_a_component_that_never_varies() -> None:
    normalizer = EmpiricalNormalization(1, eps=1e-2, clip=10.0)
    normalizer.update(torch.full((50, 1), 2.0))
    assert normalizer(torch.tensor([[2.0], [2.05], [9.0]])).flatten().tolist() == pytest.approx(
        [0.0, 5.0, 10.0], abs=1e-4
    )


def test_it_stops_after_as_many_samples_as_asked() -> None:
    normalizer = EmpiricalNormalization(1, until=10)
    for value in (0.0, 1.0, 100.0):
        normalizer.update(torch.full((6, 1), value))
    assert_close(normalizer.mean, torch.tensor([0.5]))


# --- of streams in numpy ------------------------------------------------------------------------------------------


def test_moments_of_a_stream_are_those_of_all_of_it() -> None:
    samples = np.random.default_rng(0).normal(3.0, 2.0, (1000, 4))
    running = RunningMeanStd(epsilon=0.0, shape=(4,))
    for part in np.split(samples, [1, 10, 11, 400]):
        running.update(part)
    np.testing.assert_allclose(running.mean, samples.mean(axis=0))
    np.testing.assert_allclose(running.var, samples.var(axis=0))
    assert running.count == 1000


def test_a_normalizer_does_the_same_to_arrays_and_tensors() -> None:
    normalizer = Normalizer(2, epsilon=0.0, clip_obs=1.5)
    policy, expert = np.array([[0.0, 10.0], [2.0, 10.0]]), np.array([[4.0, 30.0], [6.0, 30.0]])
    normalizer.update_normalizer(policy, expert)  # means 3 and 20, variances 5 and 100
    sample = np.array([[3.0 + 5.0**0.5, 90.0]])
    np.testing.assert_allclose(normalizer.normalize(sample), [[1.0, 1.5]], rtol=1e-4)
    for device in (None, "cpu"):
        found = normalizer.normalize_torch(torch.tensor(sample), device)
        assert_close(found, torch.tensor(normalizer.normalize(sample)))
    assert normalizer.mean.tolist() == pytest.approx([3.0, 20.0], rel=1e-4)  # normalising leaves them alone


def test_unit_length() -> None:
    assert_close(Normalize()(torch.tensor([[3.0, 4.0], [0.0, 0.0]])), torch.tensor([[0.6, 0.8], [0.0, 0.0]]))


def test_nothing_moves_no_statistics() -> None:
    known = RunningMeanStd(shape=(2,))
    known.update(np.ones((3, 2)))
    before = known.mean.copy(), known.var.copy()
    known.update(np.zeros((0, 2)))
    np.testing.assert_array_equal((known.mean, known.var), before)
