"""Panels on pictures of the robot, and the one with its depth images. Lengths are those of a picture 480 high."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Picture = NDArray[np.uint8]
Color = tuple[int, ...]

MARGIN = 12
PANEL: Color = (12, 18, 28, 168)
LABEL: Color = (176, 190, 205)


def draw_depth(picture: Picture, images: Sequence[NDArray[np.float32]], max_depth: float) -> Picture:
    """Depth images (h, w), m, side by side at the upper right, with a scale below; a new picture (H, W, 3)."""
    height, width, _ = picture.shape
    unit = height / 480
    side, gap, margin, header, footer = (round(length * unit) for length in (96, 6, MARGIN, 18, 18))
    right, top = width - margin - gap, margin + header
    left, bottom = right - len(images) * (side + gap) + gap, top + side
    canvas = Image.fromarray(picture)
    edges = (left - gap, margin, right + gap, bottom + footer)
    draw_panel(canvas, (edges[0] / unit, edges[1] / unit, edges[2] / unit, edges[3] / unit), PANEL, unit)
    title = "depth cameras" if len(images) > 1 else "depth"
    small = font("DejaVuSans", 10.5 * unit)
    ImageDraw.Draw(canvas).text((left, margin + header // 2), title, LABEL, small, anchor="lm")
    for index, image in enumerate(images):
        coloured = Image.fromarray(_depth_colours(image, max_depth))
        canvas.paste(coloured.resize((side, side), Image.Resampling.NEAREST), (left + index * (side + gap), top))
    _draw_scale(canvas, (left, right), bottom + footer // 2, max_depth, unit)
    return np.array(canvas)


def _draw_scale(canvas: Image.Image, span: tuple[int, int], middle: int, max_depth: float, unit: float) -> None:
    """The colours from near to far, in words at both ends, between two columns and around a row of pixels."""
    small, gap = font("DejaVuSans", 9.5 * unit), round(5 * unit)
    draw = ImageDraw.Draw(canvas)
    near, far = "near", f"{max_depth:g} m"
    draw.text((span[0], middle), near, LABEL, small, anchor="lm")
    draw.text((span[1], middle), far, LABEL, small, anchor="rm")
    left = span[0] + round(small.getlength(near)) + gap
    right = span[1] - round(small.getlength(far)) - gap
    size = (max(right - left, 1), max(round(6 * unit), 1))
    bar = Image.fromarray(_palette()[None]).resize(size, Image.Resampling.BILINEAR)
    canvas.paste(bar, (left, middle - size[1] // 2))


def draw_panel(canvas: Image.Image, box: tuple[float, float, float, float], colour: Color, unit: float) -> None:
    """A rounded, translucent rectangle; `unit` pixels of the canvas are one of the box."""
    left, top, right, bottom = (round(edge * unit) for edge in box)
    smooth = 4  # drawn larger and shrunk: pillow's own corners are jagged
    mask = Image.new("L", ((right - left) * smooth, (bottom - top) * smooth), 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, mask.width - 1, mask.height - 1), 8 * unit * smooth, colour[3])
    mask = mask.resize((right - left, bottom - top), Image.Resampling.BOX)
    canvas.paste(Image.new("RGB", mask.size, colour[:3]), (left, top), mask)


@cache
def font(name: str, size: float) -> ImageFont.FreeTypeFont:
    """A font that matplotlib brings along, so that pictures look alike everywhere."""
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"), size)


def _depth_colours(image: NDArray[np.float32], max_depth: float) -> Picture:
    """(h, w, 3) in the colours that the autoencoder's reconstructions are shown in."""
    shades = np.clip(image / max_depth, 0.0, 1.0)
    return _palette()[(255 * shades).astype(np.uint8)]


@cache
def _palette() -> Picture:
    colours = matplotlib.colormaps["viridis_r"](np.arange(256))[:, :3]
    return (255 * colours).round().astype(np.uint8)
