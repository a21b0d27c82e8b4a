"""Pictures as they might as well have been: shifted, brighter or darker, with more or less contrast and colour.

Each sample is changed by itself; what cannot be told from a picture, such as the state beside it, stays.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from poise.config import Config


class AugmentationConfig(Config):
    """How far pictures are changed while a policy learns."""

    shift: int = Field(0, ge=0, description="most pixels that a picture is moved, its edges repeated (random crop)")
    brightness: float = Field(0.0, ge=0, lt=1, description="largest change of brightness, as a share")
    contrast: float = Field(0.0, ge=0, lt=1, description="largest change of contrast, as a share")
    saturation: float = Field(0.0, ge=0, lt=1, description="largest change of colourfulness, as a share")
    noise: float = Field(0.0, ge=0, description="standard deviation of noise, of full scale")
    erase: float = Field(0.0, ge=0, lt=1, description="longest side of a square that is greyed out, of the picture's")

    @property
    def is_on(self) -> bool:
        """Whether anything is changed."""
        return any(self.model_dump().values())


def augment(pictures: Tensor, config: AugmentationConfig, generator: torch.Generator) -> Tensor:
    """Pictures (N, C, H, W) in [0, 1] to the same, changed."""
    if config.shift:
        pictures = shift(pictures, config.shift, generator)
    for change, amount in (
        (_brighten, config.brightness),
        (_contrast, config.contrast),
        (_saturate, config.saturation),
    ):
        if amount:
            factor = 1.0 + amount * (2.0 * torch.rand(len(pictures), 1, 1, 1, generator=generator) - 1.0)
            pictures = change(pictures, factor)
    if config.noise:
        pictures = pictures + config.noise * torch.randn(pictures.shape, generator=generator)
    if config.erase:
        pictures = erase(pictures, config.erase, generator)
    return pictures.clamp(0.0, 1.0) if config.is_on else pictures


def shift(pictures: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Each picture moved by up to `most` whole pixels along each axis, its edges repeated."""
    count, _, height, width = pictures.shape
    padded = functional.pad(pictures, (most,) * 4, mode="replicate")
    down, right = torch.randint(2 * most + 1, (2, count), generator=generator)
    rows = (down[:, None] + torch.arange(height))[:, None, :, None]
    columns = (right[:, None] + torch.arange(width))[:, None, None, :]
    sample = torch.arange(count)[:, None, None, None]
    channel = torch.arange(pictures.shape[1])[None, :, None, None]
    return padded[sample, channel, rows, columns]


def erase(pictures: Tensor, longest: float, generator: torch.Generator) -> Tensor:
    """A grey square in each, of a side and at a place that are drawn (Zhong et al., arXiv 1708.04896)."""
    count, _, height, width = pictures.shape
    draws = torch.rand(3, count, 1, 1, 1, generator=generator)
    side = longest * draws[0] * min(height, width)
    top, left = draws[1] * (height - side), draws[2] * (width - side)
    rows, columns = torch.arange(height).view(1, 1, -1, 1), torch.arange(width).view(1, 1, 1, -1)
    inside = (rows >= top) & (rows < top + side) & (columns >= left) & (columns < left + side)
    return pictures.masked_fill(inside, 0.5)


def _brighten(pictures: Tensor, factor: Tensor) -> Tensor:
    return pictures * factor


def _contrast(pictures: Tensor, factor: Tensor) -> Tensor:
    middle = pictures.mean(dim=(1, 2, 3), keepdim=True)
    return middle + factor * (pictures - middle)


def _saturate(pictures: Tensor, factor: Tensor) -> Tensor:
    grey = pictures.mean(dim=1, keepdim=True)
    return grey + factor * (pictures - grey)
