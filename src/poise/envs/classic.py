"""Gymnasium's classic tasks with their velocities hidden: what moves how fast must be remembered."""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray


class SelectComponents(gym.ObservationWrapper[NDArray[Any], Any, NDArray[Any]]):
    """Some components of an observation (n,).

    Args:
        env: whose observation is an array with one axis.
        components: indices of those to keep, in order.
    """

    def __init__(self, env: gym.Env[NDArray[Any], Any], components: Sequence[int]) -> None:
        super().__init__(env)
        self._components = np.array(components)
        whole = env.observation_space
        assert isinstance(whole, spaces.Box)
        low, high = whole.low[self._components], whole.high[self._components]
        self.observation_space = spaces.Box(low, high, dtype=np.float32)

    def observation(self, observation: NDArray[Any]) -> NDArray[Any]:
        """Those components."""
        return observation[self._components]


def cart_pole_without_velocities(**options: Any) -> gym.Env[NDArray[Any], Any]:
    """CartPole-v1, told the cart's position and the pole's angle only."""
    return SelectComponents(gym.make("CartPole-v1", **options), (0, 2))


def pendulum_without_velocities(**options: Any) -> gym.Env[NDArray[Any], Any]:
    """Pendulum-v1, told the cosine and the sine of its angle only."""
    return SelectComponents(gym.make("Pendulum-v1", **options), (0, 1))
