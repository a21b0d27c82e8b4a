"""A world whose every number is known: what is done changes nothing but the reward, which is the first action."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

SIDE = 12


class Insides(gym.Env[Any, Any]):
    """An episode of seed s lasts 5 + s % 3 steps."""

    observation_space = spaces.Dict(
        {
            "eye": spaces.Box(0.0, 1.0, (1, SIDE, SIDE), np.float32),
            "position": spaces.Box(-1.0, 1.0, (2,), np.float32),
            "wind": spaces.Box(-np.inf, np.inf, (2,), np.float32),
        }
    )
    action_space = spaces.Box(-2.0, 2.0, (2,), np.float32)

    def __init__(self) -> None:
        self._seed, self._step, self._length = 0, 0, 5

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._seed = self._seed if seed is None else seed
        self._step, self._length = 0, 5 + self._seed % 3
        return told(self._seed, 0), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._step += 1
        return told(self._seed, self._step), float(action[0]), False, self._step >= self._length, {"speed": 0.5}


def told(seed: int, step: int) -> dict[str, np.ndarray[Any, Any]]:
    """What is observed: a bright column that wanders, a place on a circle, and a wind that grows."""
    eye = np.zeros((1, SIDE, SIDE), np.float32)
    eye[0, :, (seed + step) % SIDE] = 1.0
    angle = seed + 0.3 * step
    position = np.array([np.sin(angle), np.cos(angle)], np.float32)
    return {"eye": eye, "position": position, "wind": np.array([0.1 * step, seed % 2], np.float32)}


gym.register("Insides-v0", entry_point=Insides)
