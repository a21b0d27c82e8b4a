"""The ballbot for Stable-Baselines3, as fast as it can be had there: one batch of robots, no worker processes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from poise.envs import BallbotVectorEnv
from poise.perception import FrozenDepthEncoder

CAMERAS = ("rgbd_0", "rgbd_1")


class BatchedBallbots(VecEnv):
    """Wraps our vector environment in Stable-Baselines3's interface, which it all but has."""

    def __init__(self, env: BallbotVectorEnv) -> None:
        self._env = env  # which the base class asks for its render mode
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self._pending = np.zeros((env.num_envs, 3), np.float32)

    def reset(self) -> dict[str, np.ndarray]:
        return self._env.reset(seed=0)[0]

    def step_async(self, actions: np.ndarray) -> None:
        self._pending = actions

    def step_wait(self) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, list[dict[str, Any]]]:
        observation, reward, terminated, truncated, info = self._env.step(self._pending)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for robot in np.flatnonzero(terminated | truncated):
            infos[robot] = {
                "terminal_observation": info["final_obs"][robot],
                "TimeLimit.truncated": bool(truncated[robot]),
            }
        return observation, reward, terminated | truncated, infos

    def close(self) -> None:
        self._env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self._env, attr_name)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError("nothing is set on the robots one by one")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        raise NotImplementedError("nothing is called on the robots one by one")

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> Sequence[bool]:
        return [False] * self.num_envs


class EncodedImages(BaseFeaturesExtractor):
    """The same frozen encoder, then concatenation.

    Stable-Baselines3 keeps images in its rollout and has no place for features computed once, so the encoder runs for
    every image of every forward: once in the rollout and once in each epoch.
    """

    def __init__(self, observation_space: spaces.Dict, encoder: FrozenDepthEncoder) -> None:
        widths = [
            encoder.spec.latent if name in CAMERAS else int(np.prod(space.shape or (1,)))
            for name, space in observation_space.spaces.items()
        ]
        super().__init__(observation_space, sum(widths))
        self.encoder = encoder

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        count = len(observations[CAMERAS[0]])
        features = self.encoder(torch.cat([observations[camera] for camera in CAMERAS]))
        encoded = dict(zip(CAMERAS, features.split(count), strict=True))
        return torch.cat([encoded.get(name, value) for name, value in observations.items()], dim=1)
