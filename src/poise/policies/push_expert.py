"""A scripted expert for the push task: it goes behind the cube and pushes it along to its goal."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_STRIDE = 0.05
"""What an action of 1 asks for, m."""
_PUSH = 0.025
"""Advance asked for while pushing, m: faster, and the cube slides on alone."""
_OUTSTRETCHED = 0.13
"""From so far out on, m along x, the arm gives way, and must be asked for up to twice the advance."""
_IN_LINE = 0.013
"""Most that the gripper may be aside of the line where it pushes, m; further behind it may be more."""
_LOW, _HIGH = 0.02, 0.12
"""Heights to push at, and to travel at above the cube, m."""
_DOWN = 0.05
"""Below it the gripper can touch the cube, m."""
_BEHIND = 0.06
"""From the cube's centre to where pushing begins, m."""


class PushExpert:
    """In charge of N arms that are told where the cube is and where it is to go. It remembers nothing.

    On the line from the goal through the cube, behind the cube, is where to push from:

        low, behind and in line      push along the line, and back towards it where the cube slips aside
        low and behind, out of line  slide over to where to push from
        elsewhere                    rise, travel above the cube, come down
    """

    def act(self, observation: Mapping[str, NDArray[Any]]) -> Array:
        """Actions (N, 3) in [-1, 1] for positions (N, 3) m of the gripper (`state`), `cube` and `goal`."""
        gripper, cube, goal = (np.asarray(observation[name], np.float64) for name in ("state", "cube", "goal"))
        gap = (goal - cube)[:, :2]
        along = gap / np.maximum(np.linalg.norm(gap, axis=1, keepdims=True), 1e-6)
        offset = (gripper - cube)[:, :2]
        ahead = (offset * along).sum(axis=1, keepdims=True)
        aside = offset - ahead * along

        spot = cube[:, :2] - _BEHIND * along
        height = gripper[:, 2:]
        low = height < _DOWN
        narrow = _IN_LINE + 0.3 * np.maximum(-ahead - _BEHIND, 0.0)
        pushes = low & (ahead < -0.02) & (np.linalg.norm(aside, axis=1, keepdims=True) < narrow)
        slides = low & (ahead < -0.03) & ~pushes
        place, travel_height = _travel(gripper, spot)

        advance = _PUSH * (1.0 + np.clip((gripper[:, :1] - _OUTSTRETCHED) / 0.05, 0.0, 1.0))
        place = np.where(pushes, gripper[:, :2] + advance * along - aside, np.where(slides, spot, place))
        target = np.hstack([place, np.where(pushes | slides, _LOW, travel_height)])
        return np.clip((target - gripper) / _STRIDE, -1.0, 1.0)

    def reset(self, dones: NDArray[np.bool_]) -> None:
        """Nothing of an episode is remembered."""


def _travel(gripper: Array, spot: Array) -> tuple[Array, Array]:
    """Place (N, 2) and height (N, 1) to go to on the way to a spot (N, 2): straight up first, and down at last."""
    away = np.linalg.norm(spot - gripper[:, :2], axis=1, keepdims=True)
    height = _LOW + (_HIGH - _LOW) * np.clip((away - 0.015) / 0.02, 0.0, 1.0)
    rises = (gripper[:, 2:] < 0.08) & (away > 0.035)
    return np.where(rises, gripper[:, :2], spot), height
