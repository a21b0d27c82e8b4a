"""Intervals against scipy and against arithmetic by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from poise.errors import InvalidValueError
from poise.training.statistics import mean_interval, student_t_quantile, wilson_interval


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
@pytest.mark.parametrize(
    ("successes", "n"), [(0, 1), (1, 1), (0, 100), (1, 100), (50, 100), (95, 100), (100, 100), (7, 9)]
)
def test_wilson_against_scipy(successes: int, n: int, confidence: float) -> None:
    expected = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    interval = wilson_interval(successes, n, confidence)
    assert interval.low == pytest.approx(expected.low, abs=1e-12)
    assert interval.high == pytest.approx(expected.high, abs=1e-12)


def test_wilson_by_hand() -> None:
    z2 = 1.959963984540054**2  # all n succeed: the lower bound is n / (n + z^2), the upper 1
    assert wilson_interval(100, 100) == (pytest.approx(100 / (100 + z2), abs=1e-12), 1.0)
    assert wilson_interval(0, 100) == (0.0, pytest.approx(z2 / (100 + z2), abs=1e-12))


def test_wilson_covers_the_truth_as_often_as_it_says() -> None:
    draws = np.random.default_rng(0).binomial(100, 0.97, 4000)
    covered = [low <= 0.97 <= high for low, high in (wilson_interval(int(k), 100) for k in draws)]
    assert 0.93 < np.mean(covered) < 0.98


@pytest.mark.parametrize(("successes", "n"), [(-1, 10), (11, 10), (0, 0), (0, -1)])
def test_wilson_refuses_what_cannot_be(successes: int, n: int) -> None:
    with pytest.raises(InvalidValueError, match=f"got {successes} of {n}"):
        wilson_interval(successes, n)


@pytest.mark.parametrize("confidence", [0.0, 1.0, -0.1, 95, math.nan])
def test_confidence_is_a_probability(confidence: float) -> None:
    with pytest.raises(InvalidValueError, match="confidence must lie between 0 and 1"):
        wilson_interval(1, 2, confidence)
    with pytest.raises(InvalidValueError, match="confidence must lie between 0 and 1"):
        mean_interval([1.0, 2.0], confidence)


@pytest.mark.parametrize("degrees", [*range(1, 12), 29, 99, 100, 999, 10_000])
@pytest.mark.parametrize("confidence", [0.1, 0.5, 0.9, 0.95, 0.999])
def test_student_t_against_scipy(degrees: int, confidence: float) -> None:
    expected = stats.t.ppf((1 + confidence) / 2, degrees)
    assert student_t_quantile(confidence, degrees) == pytest.approx(expected, rel=1e-9)


def test_student_t_by_hand() -> None:
    assert student_t_quantile(0.5, 1) == pytest.approx(1.0)  # Cauchy: half the mass lies within 1
    assert student_t_quantile(0.8, 2) == pytest.approx(0.8 * math.sqrt(2 / (1 - 0.64)))  # A = t / sqrt(2 + t^2)
    assert student_t_quantile(1e-6, 4) == pytest.approx(4e-6 / 3, rel=1e-3)  # 2 t times the density at 0, which is 3/8


@pytest.mark.parametrize("n", [2, 3, 30, 101])
def test_mean_interval_against_scipy(n: int) -> None:
    values = np.random.default_rng(n).normal(85.5, 4.0, n)
    expected = stats.t.interval(0.95, n - 1, loc=values.mean(), scale=stats.sem(values))
    np.testing.assert_allclose(mean_interval(values), expected, rtol=1e-10)
    np.testing.assert_allclose(mean_interval(list(values)), expected, rtol=1e-10)


def test_mean_interval_at_its_edges() -> None:
    assert mean_interval([3.0]) == (-math.inf, math.inf)
    assert mean_interval([3, 3, 3]) == (3.0, 3.0)
    assert all(math.isnan(bound) for bound in mean_interval([1.0, math.nan]))
    with pytest.raises(InvalidValueError, match="at least one value, got none"):
        mean_interval([])
