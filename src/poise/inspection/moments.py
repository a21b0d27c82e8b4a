"""What can be said of many samples without keeping them, and few of them, evenly spread, that are kept."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from poise.nn.normalization import combine_moments

Item = TypeVar("Item")
Array = NDArray[np.float64]
_NEVER = 1e-6
"""A standard deviation below this, relative to the magnitude, is rounding."""


class Moments:
    """Of each of some numbers: mean, variance, extremes, and how often they were zero or at a limit.

    Args:
        low, high: limits of the numbers, scalars or one for each; nothing is at an infinite one.
    """

    def __init__(self, low: Any = -np.inf, high: Any = np.inf) -> None:
        self.count = 0
        self._limits = np.ravel(np.asarray(low, np.float64)), np.ravel(np.asarray(high, np.float64))
        self.mean: Array = np.zeros(0)
        self.var: Array = np.zeros(0)
        self.lowest: Array = np.zeros(0)
        self.highest: Array = np.zeros(0)
        self._at_limit: Array = np.zeros(0)

    def add(self, samples: NDArray[Any]) -> None:
        """Take in samples (B, ...)."""
        if not len(samples):
            return
        values = samples.reshape(len(samples), -1).astype(np.float64)
        if not self.count:
            self.mean, self.var, self._at_limit = (np.zeros(values.shape[1]) for _ in range(3))
            self.lowest, self.highest = np.full(values.shape[1], np.inf), np.full(values.shape[1], -np.inf)
        self.count += len(values)
        share = len(values) / self.count
        self.mean, self.var = combine_moments(self.mean, self.var, values.mean(0), values.var(0), share)
        self.lowest = np.minimum(self.lowest, values.min(0))
        self.highest = np.maximum(self.highest, values.max(0))
        low, high = self._limits
        near = 1e-5 * np.where(np.isfinite(high - low), high - low, 0.0)
        self._at_limit += ((values <= low + near) | (values >= high - near)).sum(0)

    @property
    def std(self) -> Array:
        """(n,)."""
        return np.sqrt(self.var)

    @property
    def square(self) -> Array:
        """(n,) means of the squares."""
        return self.mean**2 + self.var

    @property
    def constant(self) -> NDArray[np.bool_]:
        """(n,) which never changed."""
        return self.std <= _NEVER * np.maximum(np.abs(self.mean), _NEVER)

    @property
    def dead(self) -> NDArray[np.bool_]:
        """(n,) which were never anything but zero."""
        return (self.lowest == 0.0) & (self.highest == 0.0)

    @property
    def at_limit(self) -> Array:
        """(n,) in which share of the samples they were at a limit."""
        return self._at_limit / max(self.count, 1)


class Thinned(Generic[Item]):
    """Some of a stream, evenly spread over all of it so far, and never more than `most`.

    When they are too many, every other one is dropped, and from then on only every other one is taken.
    """

    def __init__(self, most: int) -> None:
        self._most = max(most, 2)
        self._stride = 1
        self._given = 0
        self.items: list[Item] = []

    def add(self, make: Callable[[], Item]) -> None:
        """The next of the stream; it is made only if it is kept."""
        if self._given % self._stride == 0:
            self.items.append(make())
            if len(self.items) > self._most:
                self.items = self.items[::2]
                self._stride *= 2
        self._given += 1
