"""What a ballbot feels, one small function per component; positions in m, world frame, quaternions world from base.

`frame` (N, 4) are the axes a component is given in, seen from the world; None for the world's own.
"""

import numpy as np
from numpy.typing import NDArray

from poise.envs import rotations

Array = NDArray[np.float64]

VELOCITY_LIMIT = 2.0
"""Clip of angular velocity (rad/s), velocity (m/s) and motor state."""

MOTOR_SCALE = 10.0
"""rad/s of a wheel per unit of `motor_state`."""


def orientation(quaternion: Array, frame: Array | None, kind: str) -> Array:
    """(N, 3) orientation of the base relative to `frame`, as a rotation vector or Euler angles, rad."""
    seen = quaternion if frame is None else rotations.relative(frame, quaternion)
    return rotations.rotation_vector(seen) if kind == "rotation_vector" else rotations.euler_angles(seen)


def angular_velocity(before: Array, now: Array, interval: float) -> Array:
    """(N, 3) rad/s, frame of the base: the turn since the last step over its duration, clipped."""
    turned = rotations.rotation_vector(rotations.relative(before, now))
    return np.clip(turned / interval, -VELOCITY_LIMIT, VELOCITY_LIMIT)


def base_velocity(before: Array, now: Array, interval: float) -> Array:
    """(N, 3) m/s, world frame: the base's change of position since the last step over its duration, clipped."""
    return np.clip((now - before) / interval, -VELOCITY_LIMIT, VELOCITY_LIMIT)


def velocity(world_velocity: Array, frame: Array | None) -> Array:
    """(N, 3) m/s: the velocity of the base in the axes of `frame`, clipped."""
    if frame is None:
        return world_velocity
    in_frame = rotations.rotate(rotations.inverse(frame), world_velocity)
    return np.clip(in_frame, -VELOCITY_LIMIT, VELOCITY_LIMIT)


def motor_state(wheel_velocity: Array) -> Array:
    """(N, 3) speed of the wheels in units of 10 rad/s, clipped."""
    return np.clip(wheel_velocity / MOTOR_SCALE, -VELOCITY_LIMIT, VELOCITY_LIMIT)


def goal(direction: Array, frame: Array | None) -> Array:
    """(N, 2) unit vectors of the goal, in the axes of `frame`, which is upright."""
    if frame is None:
        return direction
    level = np.concatenate([direction, np.zeros((len(direction), 1))], axis=1)
    return rotations.rotate(rotations.inverse(frame), level)[:, :2]
