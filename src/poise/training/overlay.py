"""What a video writes on its pictures: read-outs, and how the episode ended."""

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw

from poise.sim.insets import LABEL, MARGIN, PANEL, draw_panel, font
from poise.training.mp4 import Picture

_PANEL_HEIGHT, _CELL = 50, 98
_VALUE = (255, 255, 255)
SUCCESS, FAILURE = (46, 160, 67), (196, 62, 10)
"""Colours of how an episode ended."""


def draw_readouts(picture: Picture, readouts: Mapping[str, str]) -> Picture:
    """Names and values in a panel at the upper left; a new picture (H, W, 3)."""
    unit = picture.shape[0] / 480
    canvas = Image.fromarray(picture)
    width = len(readouts) * _CELL
    draw_panel(canvas, (MARGIN, MARGIN, MARGIN + width, MARGIN + _PANEL_HEIGHT), PANEL, unit)
    draw = ImageDraw.Draw(canvas)
    for index, (name, value) in enumerate(readouts.items()):
        left = MARGIN + 12 + index * _CELL
        draw.text((left * unit, (MARGIN + 7) * unit), name, LABEL, font("DejaVuSans", 10.5 * unit))
        draw.text((left * unit, (MARGIN + 22) * unit), value, _VALUE, font("DejaVuSans-Bold", 16 * unit))
    return np.array(canvas)


def draw_alert(picture: Picture, text: str, colour: tuple[int, int, int] = FAILURE) -> Picture:
    """A sentence at the lower left that cannot be overlooked; a new picture (H, W, 3)."""
    height = picture.shape[0]
    unit = height / 480
    canvas = Image.fromarray(picture)
    bold = font("DejaVuSans-Bold", 15 * unit)
    width = bold.getlength(text) / unit + 26
    draw_panel(canvas, (MARGIN, 480 - MARGIN - 34, MARGIN + width, 480 - MARGIN), (*colour, 225), unit)
    position = ((MARGIN + 13) * unit, (480 - MARGIN - 17) * unit)
    ImageDraw.Draw(canvas).text(position, text, _VALUE, bold, anchor="lm")
    return np.array(canvas)
