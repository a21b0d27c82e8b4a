"""From observations to features: pictures through backbones, everything else brought to unit scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from poise.errors import InvalidValueError
from poise.imitation.backbones import SpatialSoftmax, build_backbone
from poise.imitation.config import BackboneConfig
from poise.imitation.pictures import scaled
from poise.policies.actor_critic import Shapes

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and spread of red, green and blue."""

_CONSTANT = 1e-6
"""Standard deviation of what only rounding changes: it is taken as it is, for any other value would look immense."""


class Scale(NamedTuple):
    """Mean and standard deviation of a component: of each number, or of each channel of pictures in [0, 1]."""

    mean: Sequence[float]
    std: Sequence[float]


class Range(NamedTuple):
    """The middle of each number's range, and how far it reaches from there; what a network says in [-1, 1]."""

    middle: Sequence[float]
    reach: Sequence[float]


class Scales(NamedTuple):
    """What a policy sees and does it in."""

    components: Mapping[str, Scale]
    actions: Range


class Eye(nn.Module):
    """A camera.

    Args:
        shape: of its pictures (C, H, W).
        config: of the backbone.
        scale: of its pictures.

    Attributes:
        width: features of the summary.
        channels: features of each place.
        places: rows and columns of them that it makes of a picture.

    Raises:
        InvalidValueError: the pictures are too small.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, shape: Sequence[int], config: BackboneConfig, scale: Scale) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.backbone = build_backbone(config.name, shape, config.weights is not None)
        self.channels = self.backbone.channels
        self.pool = SpatialSoftmax() if config.pooling == "spatial_softmax" else None
        self.width = self.channels * (2 if self.pool else 1)
        self.places = self._probed(config.name)
        if self.pool is not None and self.places.numel() == 1:
            raise InvalidValueError(
                f"backbone.pooling 'spatial_softmax' tells where things are, but {config.name} makes a single place of "
                f"pictures of {shape[1]}x{shape[2]} pixels; give it larger ones, or set pooling to 'summary'"
            )
        mean, std = IMAGENET if config.normalize == "imagenet" and shape[0] == 3 else scale
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).clamp(min=1e-3).view(-1, 1, 1))

    def _probed(self, name: str) -> torch.Size:
        """Rows and columns that the backbone makes of a picture."""
        try:
            with torch.no_grad():
                return self.backbone.places(torch.zeros(1, *self.shape)).shape[2:]
        except RuntimeError as error:
            _, height, width = self.shape
            raise InvalidValueError(
                f"backbone.name '{name}' makes nothing of pictures of {height}x{width} pixels; give it larger ones"
            ) from error

    def forward(self, pictures: Tensor) -> Tensor:
        """(..., C, H, W), uint8 or in [0, 1], to (..., width).

        Raises:
            InvalidValueError: they are of another size.
        """
        flat = self._normalised(pictures)
        found = self.backbone.summary(flat) if self.pool is None else self.pool(self.backbone.places(flat))
        return found.float().unflatten(0, pictures.shape[:-3])

    def tokens(self, pictures: Tensor, grid: int) -> tuple[Tensor, Tensor | None]:
        """(..., C, H, W) to (..., h w, channels), of at most grid x grid places: neighbours are averaged.

        Also where things are, to finer than a place: the spatial softmax (..., width), if that is the pooling.
        """
        places = self.backbone.places(self._normalised(pictures)).float()
        size = min(places.shape[2], grid), min(places.shape[3], grid)
        tokens = functional.adaptive_avg_pool2d(places, size).flatten(2).transpose(1, 2)
        where = None if self.pool is None else self.pool(places).unflatten(0, pictures.shape[:-3])
        return tokens.unflatten(0, pictures.shape[:-3]), where

    def count_tokens(self, grid: int) -> int:
        """How many `tokens` makes of a picture."""
        rows, columns = self.places
        return min(rows, grid) * min(columns, grid)

    def _normalised(self, pictures: Tensor) -> Tensor:
        if pictures.shape[-3:] != self.shape:
            raise InvalidValueError(
                f"expected pictures of shape {self.shape} (channels, height, width), got {tuple(pictures.shape[-3:])}"
            )
        return scaled(pictures, self.mean.flatten(), self.std.flatten())


class Body(nn.Module):
    """Everything that is no picture, at unit scale, side by side.

    Args:
        shapes: of the components.
        scales: of the components.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, shapes: Shapes, scales: Mapping[str, Scale]) -> None:
        super().__init__()
        self.names = tuple(shapes)
        self.width = sum(int(torch.Size(shape).numel()) for shape in shapes.values())
        mean = [value for name in self.names for value in scales[name].mean]
        std = [value for name in self.names for value in scales[name].std]
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        scale = torch.tensor(std, dtype=torch.float32)
        self.register_buffer("std", torch.where(scale < _CONSTANT, 1.0, scale.clamp(min=1e-4)))

    def forward(self, observation: Mapping[str, Tensor], leading: int) -> Tensor:
        """Components (..., shape), whose first `leading` axes are of samples, to (..., width)."""
        flat = torch.cat([observation[name].flatten(leading) for name in self.names], dim=-1)
        return (flat - self.mean) / self.std
