"""What a video writes on its pictures: read-outs, the robot's depth images, and how the episode ended."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from poise.training.mp4 import Picture

_MARGIN, _PANEL_HEIGHT, _CELL = 12, 50, 100
_PANEL, _LABEL, _VALUE, _ALERT = (12, 18, 28, 168), (176, 190, 205), (255, 255, 255), (196, 62, 10, 225)


def draw_readouts(picture: Picture, readouts: Mapping[str, str]) -> Picture:
    """Names and values in a panel at the upper left; a new picture (H, W, 3)."""
    unit = picture.shape[0] / 480
    canvas = Image.fromarray(picture)
    width = len(readouts) * _CELL + 8
    _panel(canvas, (_MARGIN, _MARGIN, _MARGIN + width, _MARGIN + _PANEL_HEIGHT), _PANEL, unit)
    draw = ImageDraw.Draw(canvas)
    for index, (name, value) in enumerate(readouts.items()):
        left = _MARGIN + 12 + index * _CELL
        draw.text((left * unit, (_MARGIN + 7) * unit), name, _LABEL, _font("DejaVuSans", 10.5 * unit))
        draw.text((left * unit, (_MARGIN + 22) * unit), value, _VALUE, _font("DejaVuSans-Bold", 16 * unit))
    return np.array(canvas)


def draw_alert(picture: Picture, text: str) -> Picture:
    """A sentence at the lower left that cannot be overlooked; a new picture (H, W, 3)."""
    height = picture.shape[0]
    unit = height / 480
    canvas = Image.fromarray(picture)
    font = _font("DejaVuSans-Bold", 15 * unit)
    width = font.getlength(text) / unit + 26
    _panel(canvas, (_MARGIN, 480 - _MARGIN - 34, _MARGIN + width, 480 - _MARGIN), _ALERT, unit)
    position = ((_MARGIN + 13) * unit, (480 - _MARGIN - 17) * unit)
    ImageDraw.Draw(canvas).text(position, text, _VALUE, font, anchor="lm")
    return np.array(canvas)


def draw_depth(picture: Picture, images: Sequence[NDArray[np.float32]], max_depth: float) -> Picture:
    """Depth images (h, w), m, side by side at the lower right, yellow near and dark far; a new picture (H, W, 3)."""
    height, width, _ = picture.shape
    unit = height / 480
    side, gap, margin, header = (round(length * unit) for length in (112, 6, _MARGIN, 16))
    right, bottom = width - margin - gap, height - margin - gap
    left, top = right - len(images) * (side + gap) + gap, bottom - side
    canvas = Image.fromarray(picture)
    edges = (left - gap, top - gap - header, right + gap, bottom + gap)
    _panel(canvas, (edges[0] / unit, edges[1] / unit, edges[2] / unit, edges[3] / unit), _PANEL, unit)
    draw, font = ImageDraw.Draw(canvas), _font("DejaVuSans", 10.5 * unit)
    draw.text((left, top - header), "depth cameras" if len(images) > 1 else "depth camera", _LABEL, font)
    draw.text((right, top - header), f"0–{max_depth:g} m", _LABEL, font, anchor="ra")
    for index, image in enumerate(images):
        coloured = Image.fromarray(_depth_colours(image, max_depth))
        canvas.paste(coloured.resize((side, side), Image.Resampling.NEAREST), (left + index * (side + gap), top))
    return np.array(canvas)


def _depth_colours(image: NDArray[np.float32], max_depth: float) -> Picture:
    """(h, w, 3) in the colours that the autoencoder's reconstructions are shown in."""
    shades = np.clip(image / max_depth, 0.0, 1.0)
    return _palette()[(255 * shades).astype(np.uint8)]


def _panel(canvas: Image.Image, box: tuple[float, float, float, float], colour: tuple[int, ...], unit: float) -> None:
    """A rounded, translucent rectangle, in units of a picture 480 high."""
    left, top, right, bottom = (round(edge * unit) for edge in box)
    smooth = 4  # drawn larger and shrunk: pillow's own corners are jagged
    mask = Image.new("L", ((right - left) * smooth, (bottom - top) * smooth), 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, mask.width - 1, mask.height - 1), 8 * unit * smooth, colour[3])
    mask = mask.resize((right - left, bottom - top), Image.Resampling.BOX)
    canvas.paste(Image.new("RGB", mask.size, colour[:3]), (left, top), mask)


@cache
def _palette() -> Picture:
    colours = matplotlib.colormaps["viridis_r"](np.arange(256))[:, :3]
    return (255 * colours).round().astype(np.uint8)


@cache
def _font(name: str, size: float) -> ImageFont.FreeTypeFont:
    """A font that matplotlib brings along, so that videos look alike everywhere."""
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"), size)
