"""Pictures of the push task by PyBullet's software renderer, and what may be wrong with them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from poise.envs.push.options import PushCameraOptions, PushCorruptionOptions
from poise.envs.push.world import HIDDEN_LINKS, PushWorld

Picture = NDArray[np.uint8]
_LIGHT = (-1.0, -0.5, 2.0)
_GREY = 128
_FURTHER = 1.6
"""How far away people look from, in the camera's distances."""


class PushCamera:
    """Takes pictures (3, height, width) uint8.

    Args:
        world: what is in the picture.
        options: where the camera is.
        corruptions: what is wrong with it.
    """

    def __init__(self, world: PushWorld, options: PushCameraOptions, corruptions: PushCorruptionOptions) -> None:
        self._world = world
        self._options = options
        self._corruptions = corruptions
        self._generator = np.random.default_rng(0)
        self._gain, self._corner, self._shift = 1.0, (0, 0), np.zeros(3)
        if not options.arm:
            self._show_arm(False)

    def reset(self, generator: np.random.Generator) -> None:
        """Draw what is wrong in a new episode."""
        wrong, options = self._corruptions, self._options
        self._generator = generator
        self._gain = 1.0 + wrong.brightness * generator.uniform(-1.0, 1.0)
        room = [side - self._covered(side) for side in (options.height, options.width)]
        self._corner = (int(generator.integers(room[0] + 1)), int(generator.integers(room[1] + 1)))
        self._shift = wrong.shift * generator.uniform(-1.0, 1.0, 3)

    def take(self) -> Picture:
        """(3, height, width) of this moment, with all that is wrong."""
        options = self._options
        return self._corrupted(self._shot(options.height, options.width)).transpose(2, 0, 1)

    def film(self, size: int) -> Picture:
        """(size, size, 3) for people: from further away, with the arm, and nothing wrong."""
        self._show_arm(True)
        seen = self._shot(size, size, further=_FURTHER, shift=np.zeros(3))
        self._show_arm(self._options.arm)
        return seen

    def _shot(self, height: int, width: int, further: float = 1.0, shift: Any = None) -> Picture:
        """(height, width, 3)."""
        client, options = self._world.client, self._options
        target = np.asarray(options.target) + (self._shift if shift is None else shift)
        view = client.computeViewMatrixFromYawPitchRoll(
            target.tolist(), further * options.distance, options.yaw, options.pitch, 0.0, 2
        )
        lens = client.computeProjectionMatrixFOV(options.field_of_view, width / height, 0.05, 10.0)
        *_, seen, _, _ = client.getCameraImage(
            width,
            height,
            view,
            lens,
            shadow=0,
            lightDirection=_LIGHT,
            renderer=client.ER_TINY_RENDERER,
            flags=client.ER_NO_SEGMENTATION_MASK,
        )
        return np.ascontiguousarray(np.reshape(seen, (height, width, 4))[..., :3].astype(np.uint8))

    def _corrupted(self, picture: Picture) -> Picture:
        wrong = self._corruptions
        if wrong.brightness or wrong.noise:
            values = picture * self._gain
            if wrong.noise:
                values = values + 255.0 * wrong.noise * self._generator.standard_normal(picture.shape)
            picture = np.clip(values, 0.0, 255.0).astype(np.uint8)
        if wrong.occlusion:
            (top, left), (height, width) = self._corner, (self._covered(side) for side in picture.shape[:2])
            picture[top : top + height, left : left + width] = _GREY
        return picture

    def _covered(self, side: int) -> int:
        return round(side * self._corruptions.occlusion)

    def _show_arm(self, shown: bool) -> None:
        """What is transparent costs the renderer nothing."""
        for link in HIDDEN_LINKS:
            self._world.client.changeVisualShape(self._world.body("panda"), link, rgbaColor=[1, 1, 1, float(shown)])
