"""How sure an evaluation is: intervals for rates and means.

Student's t and the normal distribution are computed here, to about ten digits, so that scipy is not needed to train.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from poise.errors import InvalidValueError

Values = Sequence[float] | npt.NDArray[np.floating | np.integer]


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


@dataclass(frozen=True)
class Summary:
    """What a table says of a sample. `low` and `high` bound the mean with 95 % confidence (Student's t)."""

    count: int
    mean: float
    std: float  # of the sample, n - 1 degrees of freedom; 0 for a single value
    low: float
    high: float
    minimum: float
    median: float
    maximum: float


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Interval for the probability behind `successes` out of `n` trials (E. B. Wilson, 1927).

    Unlike p ± z sqrt(p(1-p)/n) it stays inside [0, 1] and keeps its coverage near 0 and 1, where survival rates lie.
    """
    _check_confidence(confidence)
    if not 0 <= successes <= n or n < 1:
        raise InvalidValueError(f"expected 0 <= successes <= n and n >= 1, got {successes} of {n}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p = successes / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    # At the ends the bounds are exactly 0 and 1; rounding would miss them by 1e-17.
    return Interval(0.0 if successes == 0 else centre - half, 1.0 if successes == n else centre + half)


def mean_interval(values: Values, confidence: float = 0.95) -> Interval:
    """Interval for the mean: mean ± t sd/sqrt(n), Student's t with n - 1 degrees of freedom.

    A single value says nothing of the spread, so its interval is (-inf, inf). NaN among the values gives NaN.
    """
    sample = _as_sample(values)
    _check_confidence(confidence)
    if sample.size == 1:
        return Interval(-math.inf, math.inf)
    mean = float(sample.mean())
    half = student_t_quantile(confidence, sample.size - 1) * float(sample.std(ddof=1)) / math.sqrt(sample.size)
    return Interval(mean - half, mean + half)


def summarise(values: Values) -> Summary:
    """The figures of a sample (at least one value)."""
    sample = _as_sample(values)
    low, high = mean_interval(sample)
    return Summary(
        count=sample.size,
        mean=float(sample.mean()),
        std=float(sample.std(ddof=1)) if sample.size > 1 else 0.0,
        low=low,
        high=high,
        minimum=float(sample.min()),
        median=float(np.median(sample)),
        maximum=float(sample.max()),
    )


def student_t_quantile(confidence: float, degrees: int) -> float:
    """The t with P(|T| < t) = confidence, by bisection on theta = arctan(t / sqrt(degrees))."""
    low, high = 0.0, math.pi / 2
    for _ in range(60):  # halves the bracket to below the resolution of a float
        theta = (low + high) / 2
        if _student_t_within(theta, degrees) < confidence:
            low = theta
        else:
            high = theta
    return math.sqrt(degrees) * math.tan((low + high) / 2)


def _student_t_within(theta: float, degrees: int) -> float:
    """P(|T| < sqrt(degrees) tan theta): the finite series of Abramowitz & Stegun, 26.7.3 (odd) and 26.7.4 (even)."""
    cos, sin = math.cos(theta), math.sin(theta)
    if degrees % 2 == 0:
        k = np.arange(1, degrees // 2)  # 1 + 1/2 cos^2 + (1·3)/(2·4) cos^4 + ...
        return sin * (1 + float(np.cumprod((2 * k - 1) / (2 * k) * cos**2).sum()))
    if degrees == 1:
        return 2 / math.pi * theta
    k = np.arange(1, (degrees - 1) // 2)  # cos (1 + 2/3 cos^2 + (2·4)/(3·5) cos^4 + ...)
    return 2 / math.pi * (theta + sin * cos * (1 + float(np.cumprod(2 * k / (2 * k + 1) * cos**2).sum())))


def _as_sample(values: Values) -> npt.NDArray[np.float64]:
    sample = np.asarray(values, dtype=np.float64).ravel()
    if sample.size == 0:
        raise InvalidValueError("expected at least one value, got none")
    return sample


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise InvalidValueError(f"confidence must lie between 0 and 1, got {confidence}")
