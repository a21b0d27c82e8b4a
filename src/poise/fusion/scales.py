"""Whether one modality's features dwarf another's, which then hardly counts while networks are new."""

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

MOST = 10.0
"""Ratio of root mean squares from which on one modality dwarfs another. Layers are made for inputs of one scale: a
tenth of it moves what they give by a tenth, and its weights must grow tenfold before it counts alike."""


class Dwarfed(NamedTuple):
    """Two modalities of which one dwarfs the other."""

    large: str
    small: str
    ratio: float
    """Infinite where the small one is all zeros."""

    def __str__(self) -> str:
        if self.ratio == float("inf"):
            return f"the features of '{self.small}' are all zero"
        return f"the features of '{self.large}' are {self.ratio:.3g} times as large as those of '{self.small}'"


def root_mean_squares(features: Mapping[str, Tensor]) -> dict[str, float]:
    """Of all numbers of each modality, {name: (..., any)}."""
    return {name: float(value.detach().double().square().mean().sqrt()) for name, value in features.items()}


def dwarfed(scales: Mapping[str, float], most: float = MOST) -> list[Dwarfed]:
    """Modalities whose root mean square is less than the largest one's over `most`, the smallest first."""
    if not scales:
        return []
    large = max(scales, key=lambda name: scales[name])
    small = sorted((name for name in scales if scales[name] * most < scales[large]), key=lambda name: scales[name])
    return [Dwarfed(large, name, scales[large] / scales[name] if scales[name] else float("inf")) for name in small]
