"""Pictures as tensors (..., C, H, W): which components they are, their range, and how they lie in memory.

In memory the channels of a pixel lie side by side (torch's channels_last), as convolutions want them: pictures are laid
out so once, where demonstrations are read, and everything on the way to the first convolution leaves them so.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from poise.errors import InvalidValueError
from poise.policies.actor_critic import Shapes


def pictures_among(shapes: Shapes) -> tuple[str, ...]:
    """Components that are pictures (C, H, W)."""
    return tuple(name for name, shape in shapes.items() if len(shape) == 3)


def check_range(name: str, pictures: Tensor) -> None:
    """Refuse pictures (N, C, H, W) that are neither bytes nor in [0, 1]; bytes are not looked at.

    Raises:
        InvalidValueError: they are.
    """
    if pictures.dtype == torch.uint8:
        return
    if not pictures.is_floating_point():
        kind = str(pictures.dtype).removeprefix("torch.")
        raise InvalidValueError(f"'{name}' must be uint8, or floating in [0, 1], got {kind}")
    least, most = map(float, pictures.aminmax()) if pictures.numel() else (0.0, 0.0)
    if not (least >= 0.0 and most <= 1.0):  # nor what is no number
        raise InvalidValueError(
            f"'{name}' must be uint8, or floating in [0, 1], got numbers from {least:g} to {most:g}"
        )


def in_unit_range(pictures: Tensor) -> Tensor:
    """Pictures in [0, 1]: bytes are brought there, depth images are there already."""
    return pictures.float() / 255.0 if pictures.dtype == torch.uint8 else pictures


def end_to_end(parts: Sequence[Tensor]) -> Tensor:
    """Frames (F, ...) after one another; pictures are laid out on the way."""
    if parts[0].ndim != 4:
        return torch.cat(list(parts))
    lengths = [len(part) for part in parts]
    whole = torch.empty(sum(lengths), *parts[0].shape[1:], dtype=parts[0].dtype, memory_format=torch.channels_last)
    for place, part in zip(whole.split(lengths), parts, strict=True):
        place.copy_(part)
    return whole


def taken(values: Tensor, frames: Tensor) -> Tensor:
    """Of values (F, ...) those at frames (...); pictures as a whole, not number by number."""
    if values.ndim != 4:
        return values[frames]
    found = values.permute(0, 2, 3, 1).index_select(0, frames.flatten())
    return found.permute(0, 3, 1, 2).unflatten(0, frames.shape)


def scaled(pictures: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Pictures (..., C, H, W), uint8 or in [0, 1], less a mean (C,) and over a spread (C,): (N, C, H, W)."""
    width = pictures.shape[-1]
    rows = pictures.flatten(0, -4).permute(0, 2, 3, 1).flatten(2)  # (N, H, W C)
    full = 255.0 if pictures.dtype == torch.uint8 else 1.0
    gain, offset = 1.0 / (full * std), -mean / std
    found = torch.addcmul(offset.repeat(width), rows.float(), gain.repeat(width))
    return found.unflatten(2, (width, -1)).permute(0, 3, 1, 2)
