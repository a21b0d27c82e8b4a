"""Small environments whose every number is known."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv


class Counting(gym.Env[Any, Any]):
    """Observes how many steps the episode has, and is rewarded by 1 for each; what it was told is kept in `actions`.

    Args:
        length: steps of an episode.
        truncates: whether it is truncated at its end, or terminated.
        by_seed: the seed lengthens the episode: 1 + seed % length steps.
        mapping: whether observations are mappings.
        action_space: anything; actions change nothing.
    """

    def __init__(
        self,
        length: int = 3,
        truncates: bool = True,
        by_seed: bool = False,
        mapping: bool = False,
        action_space: spaces.Space[Any] | None = None,
    ) -> None:
        box = spaces.Box(0.0, 1000.0, (1,), np.float32)
        self._mapping, self._by_seed, self._truncates = mapping, by_seed, truncates
        self._length = self._until = length
        self.observation_space = spaces.Dict({"count": box, "twice": box}) if mapping else box
        self.action_space = action_space or spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.actions: list[Any] = []
        self._count = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None and self._by_seed:
            self._until = 1 + seed % self._length
        self._count = 0
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.actions.append(action)
        self._count += 1
        over = self._count >= self._until
        info = {"speed": 0.5 * self._count, "success": over and self._until == self._length}
        return self._observe(), 1.0, over and not self._truncates, over and self._truncates, info

    def _observe(self) -> Any:
        count = np.array([self._count], np.float32)
        return {"count": count, "twice": 2.0 * count} if self._mapping else count


def many(count: int, **settings: Any) -> SyncVectorEnv:
    """Some of them, reset in the step that ends an episode."""
    return SyncVectorEnv([lambda: Counting(**settings)] * count, autoreset_mode=AutoresetMode.SAME_STEP)
