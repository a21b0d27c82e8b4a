"""The ballbot as gymnasium environments: one robot (`gym.make`) and many (`gym.make_vec`)."""

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from poise.config import parse
from poise.envs.options import BallbotOptions
from poise.envs.task import BallbotTask, Observation


class BallbotVectorEnv(VectorEnv[Observation, NDArray[Any], NDArray[Any]]):
    """Many ballbots in one simulation.

    An episode that ends starts anew within the same step: the observation is the new episode's first, the old one's last is
    in `info["final_obs"]`, its information in `info["final_info"]`, as gymnasium has it for `AutoresetMode.SAME_STEP`.

    Args:
        num_envs: number of robots.
        threads: for physics and cameras, 0 for all cores; results do not depend on it.
        options: fields of `poise.envs.BallbotOptions`, e.g. `cameras={"enabled": False}`.

    Raises:
        InvalidValueError: an option is unknown or impossible.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 50, "autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(self, num_envs: int = 1, threads: int = 0, render_mode: str | None = None, **options: Any) -> None:
        self.options = parse(BallbotOptions, options, "options of poise/Ballbot-v0")
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.task = BallbotTask(num_envs, self.options, threads)
        self.single_observation_space = self.task.observation_space
        self.single_action_space = self.task.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._everyone = np.ones(num_envs, np.bool_)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start new episodes. A seed s gives robot i the seed s + i; `options={"reset_mask": (N,) bool}` chooses robots."""
        if options and "reset_mask" in options:
            robots = np.flatnonzero(options["reset_mask"])
        else:
            robots = np.arange(self.num_envs)
        if seed is None or isinstance(seed, (int, np.integer)):
            seeds: list[int | None] = [None if seed is None else int(seed) + int(i) for i in robots]
        else:
            seeds = [seed[i] for i in robots]
        self.task.reset(robots, seeds)
        return self.task.observe(), {}

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[Observation, NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Apply actions (N, 3) in [-1, 1]."""
        observation, reward, terminated, truncated, info = self.task.step(actions)
        done = terminated | truncated
        result = self._masked(info, self._everyone)
        if done.any():
            robots = np.flatnonzero(done)
            result |= {
                "final_obs": self._masked(observation, done),
                "_final_obs": done,
                "final_info": self._masked(info, done),
                "_final_info": done,
            }
            self.task.reset(robots, [None] * len(robots))
            observation = self.task.observe()
        return observation, reward, terminated, truncated, result

    def render(self) -> tuple[NDArray[np.uint8], ...]:
        """One picture (480, 640, 3) for each robot."""
        return tuple(self.task.picture(robot) for robot in range(self.num_envs))

    def set_goal(self, directions: NDArray[Any]) -> None:
        """Command the goal: (2,) for all robots or (N, 2), x and y in the world frame."""
        self.task.set_goal(directions)

    def state(self) -> dict[str, Any]:
        """Everything needed to continue bit for bit."""
        return self.task.state()

    def load_state(self, state: Mapping[str, Any]) -> Observation:
        """Continue from `state()` of an environment with the same options; returns the current observation."""
        self.task.load_state(state)
        return self.task.observe()

    def close_extras(self, **kwargs: Any) -> None:
        """End the threads."""
        self.task.close()

    @staticmethod
    def _masked(values: Mapping[str, Any], mask: NDArray[np.bool_]) -> dict[str, Any]:
        """Gymnasium's vector form: beside each array, under its name with an underscore, who it is valid for."""
        return dict(values) | {f"_{name}": mask for name in values}


class BallbotEnv(gym.Env[Observation, NDArray[Any]]):
    """One ballbot.

    Args:
        options: fields of `poise.envs.BallbotOptions`, e.g. `cameras={"enabled": False}`.

    Raises:
        InvalidValueError: an option is unknown or impossible.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 50}

    def __init__(self, render_mode: str | None = None, **options: Any) -> None:
        self.options = parse(BallbotOptions, options, "options of poise/Ballbot-v0")
        self.render_mode = render_mode
        self.task = BallbotTask(1, self.options, threads=1)
        self.observation_space = self.task.observation_space
        self.action_space = self.task.action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start a new episode."""
        super().reset(seed=seed)
        self.task.reset(np.zeros(1, np.int64), [seed])
        return _only(self.task.observe()), {}

    def step(self, action: NDArray[Any]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Apply an action (3,) in [-1, 1]."""
        outcome = self.task.step(np.asarray(action)[None])
        info = {name: value[0] for name, value in outcome.info.items()}
        return (
            _only(outcome.observation),
            float(outcome.reward[0]),
            bool(outcome.terminated[0]),
            bool(outcome.truncated[0]),
            info,
        )

    def render(self) -> NDArray[np.uint8] | None:  # type: ignore[override]
        """A picture (480, 640, 3) of the robot from outside, when made with `render_mode="rgb_array"`."""
        return self.task.picture(0) if self.render_mode == "rgb_array" else None

    def set_goal(self, direction: NDArray[Any]) -> None:
        """Command the goal (2,), x and y in the world frame."""
        self.task.set_goal(direction)

    def close(self) -> None:
        """End the threads."""
        self.task.close()


def _only(observation: Observation) -> Observation:
    """The observation of the one robot there is."""
    return {name: value[0] for name, value in observation.items()}
