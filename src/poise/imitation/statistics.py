"""Statistics of features, of one episode and of many, as LeRobot's format keeps them.

min, max, mean, std over frames, and how many; of pictures over all their pixels, by channel, values in [0, 1]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Statistics = dict[str, NDArray[Any]]
"""min, max, mean and std of a feature's shape, (C, 1, 1) for pictures, and count (1,)."""
KINDS = ("min", "max", "mean", "std", "count")


def of_frames(values: NDArray[Any]) -> Statistics:
    """Of one episode's frames (T, ...), pictures (T, C, H, W) uint8, depth images uint16."""
    pictures = values.ndim == 4
    numbers = values.astype(np.float64) / (np.iinfo(values.dtype).max if pictures else 1.0)
    axes = (0, 2, 3) if pictures else (0,)
    found = {name: getattr(numbers, name)(axis=axes) for name in ("min", "max", "mean", "std")}
    shape = (values.shape[1], 1, 1) if pictures else values.shape[1:] or (1,)
    return {name: value.reshape(shape) for name, value in found.items()} | {"count": np.array([len(values)])}


def together(parts: Sequence[Statistics]) -> Statistics:
    """Of many episodes' frames, from those of each: with n frames each of mean m and deviation s,

    M = sum n m / N,    S^2 = sum n (s^2 + (m - M)^2) / N
    """
    counts = np.array([part["count"][0] for part in parts], np.float64)
    stacked = {name: np.stack([part[name] for part in parts]) for name in ("min", "max", "mean", "std")}
    weights = (counts / counts.sum()).reshape(-1, *[1] * (stacked["mean"].ndim - 1))
    mean = (weights * stacked["mean"]).sum(axis=0)
    variance = (weights * (stacked["std"] ** 2 + (stacked["mean"] - mean) ** 2)).sum(axis=0)
    return {
        "min": stacked["min"].min(axis=0),
        "max": stacked["max"].max(axis=0),
        "mean": mean,
        "std": np.sqrt(variance),
        "count": np.array([int(counts.sum())]),
    }
