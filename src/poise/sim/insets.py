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
    """Depth images (h, w), m, side by side at the lower right, yellow near and dark far; a new picture (H, W, 3)."""
    height, width, _ = picture.shape
    unit = height / 480
    side, gap, margin, header = (round(length * unit) for length in (112, 6, MARGIN, 16))
    right, bottom = width - margin - gap, height - margin - gap
    left, top = right - len(images) * (side + gap) + gap, bottom - side
    canvas = Image.fromarray(picture)
    edges = (left - gap, top - gap - header, right + gap, bottom + gap)
    draw_panel(canvas, (edges[0] / unit, edges[1] / unit, edges[2] / unit, edges[3] / unit), PANEL, unit)
    draw, small = ImageDraw.Draw(canvas), font("DejaVuSans", 10.5 * unit)
    draw.text((left, top - header), "depth cameras" if len(images) > 1 else "depth camera", LABEL, small)
    draw.text((right, top - header), f"0–{max_depth:g} m", LABEL, small, anchor="ra")
    for index, image in enumerate(images):
        coloured = Image.fromarray(_depth_colours(image, max_depth))
        canvas.paste(coloured.resize((side, side), Image.Resampling.NEAREST), (left + index * (side + gap), top))
    return np.array(canvas)


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
