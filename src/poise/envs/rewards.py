"""The reward of a ballbot, one small function per term; the task weighs and reports them, and the cost of a failure."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def directional(velocity: Array, goal: Array, top_speed: float | None = None) -> Array:
    """Speed along the goal, m/s, folded at the top speed if there is one.

    Args:
        velocity: (N, 3) of the base, m/s, world frame.
        goal: (N, 2) unit vectors, world frame.
        top_speed: the speed v that pays most, m/s; v + x pays as v - x does.
    """
    speed: Array = velocity[:, 0] * goal[:, 0] + velocity[:, 1] * goal[:, 1]
    return speed if top_speed is None else top_speed - np.abs(top_speed - speed)


def following(velocity: Array, command: Array) -> Array:
    """As much as is asked for, less what is missed of it, m/s: c - |v - c|; standing still is asked for by c = 0.

    Args:
        velocity: (N, 3) of the base, m/s, world frame.
        command: (N, 2) the velocity c that is asked for, m/s, world frame.
    """
    missed: Array = np.linalg.norm(velocity[:, :2] - command, axis=1)
    return np.linalg.norm(command, axis=1) - missed


def effort(action: Array) -> Array:
    """Squared norm of the action (N, 3), to be paid for."""
    return np.einsum("ni,ni->n", action, action)


def survival(tilt: Array, max_tilt: float) -> Array:
    """1 within the tilt limit, 0 beyond it; both in degrees."""
    return (tilt <= max_tilt).astype(np.float64)
