"""Pictures as they might as well have been: shifted, brighter or darker, with more or less contrast and colour.

Each sample is changed by itself; what cannot be told from a picture, such as the state beside it, stays.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from poise.config import Config
from poise.imitation.pictures import in_unit_range


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

    @property
    def is_only_shift(self) -> bool:
        """Whether pictures are moved at most."""
        return not any(self.model_dump(exclude={"shift"}).values())


def augment(pictures: Tensor, config: AugmentationConfig, generator: torch.Generator) -> Tensor:
    """Pictures (..., N, C, H, W), uint8 or in [0, 1], changed; what one of the N sees at several moments alike.

    Those that are only shifted stay of their type, all others become float32.
    """
    if config.shift:
        pictures = shift(pictures, config.shift, generator)
    if config.is_only_shift:
        return pictures
    pictures = in_unit_range(pictures)
    count, channels, height, width = pictures.shape[-4:]
    for change, amount in (
        (_brighten, config.brightness),
        (_contrast, config.contrast),
        (_saturate, config.saturation),
    ):
        if amount:
            factor = 1.0 + amount * (2.0 * torch.rand(count, 1, 1, 1, generator=generator) - 1.0)
            pictures = change(pictures, factor)
    if config.noise:
        noise = torch.randn(count, height, width, channels, generator=generator).permute(0, 3, 1, 2)
        pictures = pictures + config.noise * noise
    if config.erase:
        pictures = erase(pictures, config.erase, generator)
    return pictures.clamp(0.0, 1.0)


def shift(pictures: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Each of N pictures (..., N, C, H, W) moved by up to `most` whole pixels along each axis, its edges repeated."""
    count, _, height, width = pictures.shape[-4:]
    padded = _with_edges(_with_edges(pictures, -2, most), -1, most)
    moved = torch.empty_like(pictures)
    places = torch.randint(2 * most + 1, (count, 2), generator=generator).tolist()
    for number, (down, right) in enumerate(places):
        moved[..., number, :, :, :] = padded[..., number, :, down : down + height, right : right + width]
    return moved


def _with_edges(pictures: Tensor, axis: int, width: int) -> Tensor:
    """With the outermost pixels of an axis repeated `width` times."""
    first, last = (pictures.narrow(axis, place, 1) for place in (0, pictures.shape[axis] - 1))
    sizes = list(pictures.shape)
    sizes[axis] = width
    return torch.cat([first.expand(sizes), pictures, last.expand(sizes)], dim=axis)


def erase(pictures: Tensor, longest: float, generator: torch.Generator) -> Tensor:
    """A grey square in each of N, of a side and at a place that are drawn (Zhong et al., arXiv 1708.04896)."""
    count, _, height, width = pictures.shape[-4:]
    draws = torch.rand(3, count, 1, 1, 1, generator=generator)
    side = longest * draws[0] * min(height, width)
    top, left = draws[1] * (height - side), draws[2] * (width - side)
    rows, columns = torch.arange(height).view(1, 1, -1, 1), torch.arange(width).view(1, 1, 1, -1)
    inside = (rows >= top) & (rows < top + side) & (columns >= left) & (columns < left + side)
    return pictures.masked_fill(inside, 0.5)


def _brighten(pictures: Tensor, factor: Tensor) -> Tensor:
    return pictures * factor


def _contrast(pictures: Tensor, factor: Tensor) -> Tensor:
    middle = pictures.mean(dim=(-3, -2, -1), keepdim=True)
    return middle + factor * (pictures - middle)


def _saturate(pictures: Tensor, factor: Tensor) -> Tensor:
    grey = pictures.mean(dim=-3, keepdim=True)
    return grey + factor * (pictures - grey)
