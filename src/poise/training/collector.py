"""Experience: acting in the environments and filling rollouts."""

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray
from torch import Tensor

from poise.algorithms import OnPolicyAlgorithm
from poise.nn.frames import dense
from poise.policies import Sensing
from poise.storage import Rollout
from poise.training.environments import steps_per_action, successes_of_step, tells, told_of_step, within_bounds

_ENDS = ("failure", "off_map", "diverged")
"""What an environment may tell of how episodes ended, each being counted."""
_RECENT = 100
"""Episodes that the reported means are taken over."""


class Collector:
    """Drives the environments with the learning policy.

    Args:
        env: resets within the step that ends an episode.
        sensing: prepares its observations.
        algorithm: decides.
        num_steps: length of a rollout.
    """

    def __init__(
        self, env: VectorEnv[Any, Any, Any], sensing: Sensing, algorithm: OnPolicyAlgorithm, num_steps: int
    ) -> None:
        self.env = env
        self.sensing = sensing
        self.algorithm = algorithm
        self.rollout = Rollout(num_steps, env.num_envs)
        self._observation: dict[str, Tensor] = {}
        self._returns = np.zeros(env.num_envs)
        self._lengths = np.zeros(env.num_envs, np.int64)
        self._episodes: deque[list[float]] = deque(maxlen=_RECENT)
        self._infos: dict[str, float] = {}
        self._ends: dict[str, float] = {}

    @property
    def observation(self) -> dict[str, Tensor]:
        """{name: (N, ...)}: the latest, which nobody has acted on yet."""
        return dict(self._observation)

    def start(self, seeds: list[int]) -> None:
        """New episodes everywhere."""
        each: Any = seeds  # VectorEnv is typed for one seed, and takes a list
        observation, _ = self.env.reset(seed=each)
        self._observation = self.sensing(observation)
        self.algorithm.reset(torch.ones(self.env.num_envs, dtype=torch.bool))
        self._returns[:] = 0.0
        self._lengths[:] = 0

    def warm_up_normalization(self) -> None:
        """Statistics of the first observations, so that the first actions see inputs of about unit scale."""
        self.algorithm.policy.update_normalization(self._observation)

    def collect(self) -> Tensor:
        """Fill the rollout; returns the values (N,) of the observations after it."""
        self.rollout.clear(self.algorithm.hidden_states)
        self.sensing.forget()
        sums: dict[str, float] = {}
        self._ends = {}
        for _ in range(self.rollout.num_steps):
            seen = self.algorithm.prepare(self._observation)
            decision = self.algorithm.act(seen)
            actions = within_bounds(decision.actions.numpy(), self.env)  # the rollout keeps them as they were drawn
            observation, reward, terminated, truncated, info = self.env.step(actions)
            done = terminated | truncated
            dones = torch.from_numpy(done)
            self.rollout.add(
                seen,
                rewards=torch.from_numpy(np.asarray(reward, np.float32)),
                dones=dones,
                bootstraps=self._final_values(truncated, info),
                **decision.columns(),
            )
            self.algorithm.reset(dones)
            self._count(reward, done, truncated, info)
            for name, value in _means(info).items():
                sums[name] = sums.get(name, 0.0) + value / self.rollout.num_steps
            self._observation = self.sensing(observation)
        self._infos = sums
        self.rollout.finish(self._observation)
        return self.algorithm.evaluate(self._observation)

    def metrics(self) -> dict[str, float]:
        """Means over the last rollout and the latest episodes, and how many of the rollout's ended badly, by how."""
        result = {f"rollout/{name}": value for name, value in (self._infos | self._ends).items()}
        if self._episodes:
            means = np.mean(np.array(self._episodes), axis=0)
            result |= dict(zip(("episode/return", "episode/length", "episode/success_rate"), means, strict=True))
        return result

    def state(self) -> dict[str, Any]:
        """Everything but the environments, to continue bit for bit."""
        return {
            "observation": {name: dense(value) for name, value in self._observation.items()},
            "sensing": self.sensing.state(),
            "returns": self._returns.copy(),
            "lengths": self._lengths.copy(),
            "episodes": np.array(self._episodes, np.float64).reshape(-1, 3),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from `state()`."""
        self.sensing.load_state(state["sensing"])
        self._observation = self.sensing.as_frames(dict(state["observation"]))
        self._returns[:] = state["returns"]
        self._lengths[:] = state["lengths"]
        self._episodes = deque(state["episodes"].tolist(), maxlen=_RECENT)

    def _final_values(self, truncated: NDArray[np.bool_], info: Mapping[str, Any]) -> Tensor:
        """(N,) values of the final observations of truncated episodes, 0 elsewhere."""
        values = torch.zeros(self.env.num_envs)
        if truncated.any():
            robots = np.flatnonzero(truncated)
            final = info["final_obs"]
            rows = torch.from_numpy(robots)
            values[rows] = self.algorithm.evaluate(self.sensing.final(final, robots), rows)
        return values

    def _count(
        self, reward: NDArray[Any], done: NDArray[np.bool_], truncated: NDArray[np.bool_], info: Mapping[str, Any]
    ) -> None:
        self._returns += reward
        self._lengths += steps_per_action(self.env)
        success = successes_of_step(info, truncated)
        for name in _ENDS:
            if tells(info, name):
                ended = told_of_step(info, name, np.zeros_like(done))[done].sum()
                self._ends[name] = self._ends.get(name, 0.0) + float(ended)
        for i in np.flatnonzero(done):
            self._episodes.append([float(self._returns[i]), float(self._lengths[i]), float(success[i])])
        self._returns[done] = 0.0
        self._lengths[done] = 0


def _means(info: Mapping[str, Any]) -> dict[str, float]:
    """Means of the information that every environment gives as one real number."""
    return {
        name: float(value.mean())
        for name, value in info.items()
        if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind == "f"
    }
