"""What a ballbot feels, one small function per component; positions in m, world frame, quaternions world from base.

`frame` (N, 4) are the axes a component is given in, seen from the world; None for the world's own.
"""

import numpy as np
from numpy.typing import NDArray

from poise.envs import rotations
from poise.envs.options import HeightScanOptions
from poise.sim.course import FIELDS, CourseOptions
from poise.sim.terrain import TerrainOptions

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
    """(N, 2) level vectors, such as of the goal, in the axes of `frame`, which is upright."""
    if frame is None:
        return direction
    level = np.concatenate([direction, np.zeros((len(direction), 1))], axis=1)
    return rotations.rotate(rotations.inverse(frame), level)[:, :2]


NORTH = (0.0, 1.0)
"""Of the compass, x and y in the world frame."""


def heights(
    terrain: TerrainOptions, nodes: NDArray[np.float32], ball: Array, heading: Array, scan: HeightScanOptions
) -> Array:
    """(N, size, size) m: the ground around each ball, relative to the ground below it.

    Args:
        terrain: what `nodes` (N, n, n) are heights of.
        ball: (N, 2) x and y, m.
        heading: (N, 4) upright axes of the grid: the first index counts along x, ahead, the second along y, left.
        scan: the grid.
    """
    offsets = scan.spacing * (np.arange(scan.size) - scan.size // 2)
    ahead, left = (axis.ravel() for axis in np.meshgrid(offsets, offsets, indexing="ij"))
    cosine, sine = 1.0 - 2.0 * heading[:, 3:] ** 2, 2.0 * heading[:, :1] * heading[:, 3:]
    turned = np.stack([cosine * ahead - sine * left, sine * ahead + cosine * left], axis=-1)
    around = terrain.ground(nodes, ball[:, None] + turned)
    below = terrain.ground(nodes, ball[:, None])
    return (around - below).reshape(len(ball), scan.size, scan.size)


def engaging_block(course: CourseOptions, seeds: NDArray[np.int64], y: Array, signed: bool) -> Array:
    """(N, 4) the field of each robot's course at y (N,), m: one-hot, in the order of `FIELDS`.

    With `signed`, slopes are one field, the third, and the last number is what it rises, m, negative downhill.
    """
    fields = np.array([course.field(int(seed), place) for seed, place in zip(seeds, y, strict=True)])
    blocks = np.eye(len(FIELDS))[fields]
    if signed:
        up, down = blocks[:, FIELDS.index("up")], blocks[:, FIELDS.index("down")]
        blocks[:, -2:] = np.stack([up + down, course.rise * (up - down)], axis=1)
    return blocks
