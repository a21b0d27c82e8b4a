"""What controllers of ballbots share: how the body stands, from what it senses, and how to drive the ball."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from poise.envs import rotations
from poise.envs.options import BallbotOptions

Array = NDArray[np.float64]

_WHEEL_AZIMUTHS = np.radians(-102.7 + 120.0 * np.arange(3))
"""Directions in the base's x-y plane about which a positive action on each wheel drives the ball; measured."""

_TO_WHEELS = np.stack([np.sin(_WHEEL_AZIMUTHS), -np.cos(_WHEEL_AZIMUTHS)])
"""(2, 3) actions that drive the ball along x and along y: to roll along u it turns about the axis (-u_y, u_x)."""
_FROM_WHEELS = np.linalg.pinv(_TO_WHEELS)


def to_wheels(drive: Array) -> Array:
    """Actions (N, 3) that drive the ball along x and y, (N, 2), each robot's whatever the number of robots.

    BLAS, which `@` calls, rounds by the number of rows on some machines.
    """
    return np.einsum("ni,ij->nj", drive, _TO_WHEELS)


def drive_of(wheels: Array) -> Array:
    """(N, 2) of `to_wheels` that comes nearest to actions (N, 3)."""
    return np.einsum("ni,ij->nj", wheels, _FROM_WHEELS)


class Body(NamedTuple):
    """How N ballbots stand and move, in the x-y planes of their own bases."""

    tilt: Array
    """(N, 2) where the z axis leans, rad."""
    tilt_rate: Array
    """(N, 2) rad/s."""
    turning: Array
    """(N,) about the vertical, rad/s."""
    base_from_frame: Array
    """(N, 4) turns what is given in the observation's frame."""

    def in_base(self, vectors: Array) -> Array:
        """(N, 3) in the frame of the observation to (N, 2) in the bases' planes."""
        return rotations.rotate(self.base_from_frame, vectors)[:, :2]


def felt(observation: Mapping[str, NDArray[Any]], options: BallbotOptions) -> Body:
    """From `orientation` and `angular_vel`, (N, 3) each, of an environment with these options."""
    base_from_frame = rotations.inverse(_orientation(observation, options))
    up = np.tile([0.0, 0.0, 1.0], (len(base_from_frame), 1))
    turning = np.asarray(observation["angular_vel"], np.float64)
    return Body(
        tilt=-rotations.rotate(base_from_frame, up)[:, :2],
        tilt_rate=np.stack([turning[:, 1], -turning[:, 0]], axis=1),
        turning=turning[:, 2],
        base_from_frame=base_from_frame,
    )


def as_action(command: Array, observation: Mapping[str, NDArray[Any]], options: BallbotOptions) -> Array:
    """What to ask of such an environment so that the motors get `command` (N, 3)."""
    increment = options.action_increment
    return command if increment is None else np.clip((command - observation["actions"]) / increment, -1.0, 1.0)


def _orientation(observation: Mapping[str, NDArray[Any]], options: BallbotOptions) -> Array:
    """(N, 4) quaternions."""
    angles = np.asarray(observation["orientation"], np.float64)
    if options.orientation == "rotation_vector":
        return rotations.from_rotation_vector(angles)
    roll, pitch, yaw = (
        rotations.about(np.tile(axis, (len(angles), 1)), angles[:, i]) for i, axis in enumerate(np.eye(3))
    )
    return rotations.product(yaw, rotations.product(pitch, roll))
