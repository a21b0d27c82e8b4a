"""How sure an evaluation is: intervals for rates and means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtrit

from poise.errors import InvalidValueError

Values = Sequence[float] | npt.NDArray[np.floating | np.integer]


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Interval for the probability behind `successes` out of `n` trials (E. B. Wilson, 1927).

    Unlike p ± z sqrt(p(1-p)/n) it stays inside [0, 1] and keeps its coverage near 0 and 1, where survival rates lie.
    """
    _check_confidence(confidence)
    if not 0 <= successes <= n or n < 1:
        raise InvalidValueError(f"expected 0 <= successes <= n and n >= 1, got {successes} of {n}")
    z = float(ndtri((1.0 + confidence) / 2.0))
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


def student_t_quantile(confidence: float, degrees: int) -> float:
    """The t with P(|T| < t) = confidence."""
    return float(stdtrit(degrees, (1.0 + confidence) / 2.0))


def _as_sample(values: Values) -> npt.NDArray[np.float64]:
    sample = np.asarray(values, dtype=np.float64).ravel()
    if sample.size == 0:
        raise InvalidValueError("expected at least one value, got none")
    return sample


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise InvalidValueError(f"confidence must lie between 0 and 1, got {confidence}")
