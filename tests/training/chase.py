"""A task for policies that see: a dot is to be brought to the middle of its picture. Channels last, as most draw."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

SIZE = 24


class Chase(gym.Env[dict[str, NDArray[Any]], NDArray[Any]]):
    """Actions (2) in [-1, 1] move it by 0.3; it succeeds within 0.15 of the middle, in 12 steps."""

    def __init__(self, size: int = SIZE) -> None:
        self._size = size
        picture = spaces.Box(0, 255, (size, size, 3), np.uint8)
        state = spaces.Box(-np.inf, np.inf, (1,), np.float32)
        self.observation_space = spaces.Dict({"image": picture, "state": state, "place": spaces.Box(-1, 1, (2,))})
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        super().reset(seed=seed)
        self._place = self.np_random.uniform(-0.9, 0.9, 2).astype(np.float32)
        self._steps = 0
        return self._observe(), {}

    def step(self, action: NDArray[Any]) -> tuple[dict[str, NDArray[Any]], float, bool, bool, dict[str, Any]]:
        self._place = np.clip(self._place + 0.3 * action, -0.9, 0.9).astype(np.float32)
        self._steps += 1
        there = bool(np.linalg.norm(self._place) < 0.15)
        return self._observe(), -1.0, there, self._steps == 12, {"success": there}

    def _observe(self) -> dict[str, NDArray[Any]]:
        picture = np.zeros((self._size, self._size, 3), np.uint8)
        row, column = ((self._place + 1) / 2 * self._size).astype(int)
        picture[row - 2 : row + 2, column - 2 : column + 2] = (255, 120, 0)
        return {"image": picture, "state": np.array([self._steps / 12], np.float32), "place": self._place.copy()}


def expert(place: NDArray[Any]) -> NDArray[Any]:
    """Actions (..., 2) that bring it there fastest."""
    return np.clip(-place / 0.3, -1.0, 1.0)


gym.register("Chase-v0", Chase)
