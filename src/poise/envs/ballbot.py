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
from poise.errors import InvalidValueError
from poise.sim.simulation import Indices

_RENDER_MODES = ["rgb_array"]
_METADATA: dict[str, Any] = {"render_modes": _RENDER_MODES, "render_fps": 50}
_VECTOR_METADATA: dict[str, Any] = _METADATA | {"autoreset_mode": AutoresetMode.SAME_STEP}


class BallbotVectorEnv(VectorEnv[Observation, NDArray[Any], NDArray[Any]]):
    """Many ballbots in one simulation.

    An episode that ends starts anew within the same step, as gymnasium has it for `AutoresetMode.SAME_STEP`: the
    observation is the new episode's first, the old one's last is in `info["final_obs"]` (one mapping for each robot
    whose episode ended, None for the others), its information in `info["final_info"]`.

    Args:
        num_envs: number of robots.
        threads: for physics and cameras, 0 for all cores; results do not depend on it.
        render_mode: "rgb_array" or None.
        options: fields of `poise.envs.BallbotOptions`, e.g. `cameras={"enabled": False}`.

    Raises:
        InvalidValueError: an option is unknown or impossible.
    """

    metadata = _VECTOR_METADATA

    def __init__(self, num_envs: int = 1, threads: int = 0, render_mode: str | None = None, **options: Any) -> None:
        parsed = _parsed(options, render_mode)
        for name, number, least in (("num_envs", num_envs, 1), ("threads", threads, 0)):
            if not isinstance(number, (int, np.integer)) or isinstance(number, bool) or number < least:
                raise InvalidValueError(f"{name} must be a whole number of at least {least}, got {number!r}")
        self.num_envs = int(num_envs)
        self.render_mode = render_mode
        self.task = BallbotTask(self.num_envs, parsed, threads)
        self.single_observation_space = self.task.observation_space
        self.single_action_space = self.task.action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    @property
    def options(self) -> BallbotOptions:
        """Of the task, with the reward's weights as they are now."""
        return self.task.options

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start new episodes.

        Args:
            seed: s gives robot i the seed s + i; a sequence gives each its own, None goes on with its generator.
            options: `{"reset_mask": (N,) bool}` chooses robots; without it all start anew.
        """
        robots = self._chosen(options)
        if seed is None or isinstance(seed, (int, np.integer)):
            seeds = [None if seed is None else int(seed) + i for i in range(self.num_envs)]
        else:
            seeds = list(seed)
        if len(seeds) != self.num_envs:
            raise InvalidValueError(f"expected one seed for each of {self.num_envs} robots, got {len(seeds)}")
        self.task.reset(robots, [seeds[i] for i in robots])
        return self.task.observe(), {}

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[Observation, NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Apply actions (N, 3) in [-1, 1].

        In the information, `_name` (N,) tells for whom `name` holds in the episode that goes on; for robots whose
        episode has just ended, `name` holds the old episode's last value, as `info["final_info"]` does.
        """
        observation, reward, terminated, truncated, info = self.task.step(actions)
        done = terminated | truncated
        result = _masked(info, ~done)
        if done.any():
            ended = np.flatnonzero(done)
            final = np.full(self.num_envs, None, dtype=object)
            for robot in ended:
                final[robot] = {name: value[robot] for name, value in observation.items()}
            result |= {"final_obs": final, "_final_obs": done, "final_info": _masked(info, done), "_final_info": done}
            self.task.reset(ended, [None] * len(ended))
            observation = self.task.observe()
        return observation, reward, terminated, truncated, result

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """A picture (480, 640, 3) of each robot from outside, when made with `render_mode="rgb_array"`."""
        if self.render_mode is None:
            return None
        return tuple(self.task.picture(robot) for robot in range(self.num_envs))

    def set_goal(self, directions: NDArray[Any]) -> None:
        """Command the goal: (2,) for all robots or (N, 2), x and y in the world frame."""
        self.task.set_goal(directions)

    def instructions(self) -> tuple[str, ...]:
        """The sentence that each robot is told; empty without the option `instruction.enabled`."""
        return tuple(self.task.instruction(robot) for robot in range(self.num_envs))

    def set_instruction(self, texts: str | Sequence[str]) -> None:
        """Tell all robots the same sentence, or each its own, for the rest of the episode."""
        self.task.set_instruction(texts)

    def set_reward_weights(self, weights: Mapping[str, float]) -> None:
        """Change some of the reward's weights, by their names in `RewardOptions`, from the next step on.

        Raises:
            InvalidValueError: a name is unknown or a weight impossible.
        """
        self.task.set_reward_weights(weights)

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

    def _chosen(self, options: Mapping[str, Any] | None) -> Indices:
        """The robots that a reset's options ask for."""
        if not options or "reset_mask" not in options:
            return np.arange(self.num_envs)
        mask = np.asarray(options["reset_mask"])
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise InvalidValueError(f"reset_mask must be {self.num_envs} truth values, one of them true, got {mask}")
        return np.flatnonzero(mask)


class BallbotEnv(gym.Env[dict[str, Any], NDArray[Any]]):
    """One ballbot.

    Args:
        render_mode: "rgb_array" or None.
        options: fields of `poise.envs.BallbotOptions`, e.g. `cameras={"enabled": False}`.

    Raises:
        InvalidValueError: an option is unknown or impossible.
    """

    metadata = _METADATA

    def __init__(self, render_mode: str | None = None, **options: Any) -> None:
        self.options = _parsed(options, render_mode)
        self.render_mode = render_mode
        self.task = BallbotTask(1, self.options, threads=1)
        self.observation_space = self.task.observation_space
        self.action_space = self.task.action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start a new episode; without a seed, the next of the same random generator."""
        super().reset(seed=seed)
        self.task.reset(np.zeros(1, np.int64), [seed])
        return _only(self.task.observe()), {}

    def step(self, action: NDArray[Any]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Apply an action (3,) in [-1, 1]."""
        outcome = self.task.step(np.asarray(action)[None])
        info = {name: value[0] if value.ndim > 1 else value[0].item() for name, value in outcome.info.items()}
        return (
            _only(outcome.observation),
            float(outcome.reward[0]),
            bool(outcome.terminated[0]),
            bool(outcome.truncated[0]),
            info,
        )

    def render(self) -> NDArray[np.uint8] | None:
        """A picture (480, 640, 3) of the robot from outside, when made with `render_mode="rgb_array"`."""
        return None if self.render_mode is None else self.task.picture(0)

    def set_goal(self, direction: NDArray[Any]) -> None:
        """Command the goal (2,), x and y in the world frame."""
        self.task.set_goal(direction)

    def instruction(self) -> str:
        """The sentence that the robot is told; empty without the option `instruction.enabled`."""
        return self.task.instruction(0)

    def set_instruction(self, text: str) -> None:
        """Tell the robot a sentence, for the rest of the episode."""
        self.task.set_instruction(text)

    def close(self) -> None:
        """End the threads."""
        self.task.close()


def _parsed(options: Mapping[str, Any], render_mode: str | None) -> BallbotOptions:
    if render_mode not in (None, *_RENDER_MODES):
        raise InvalidValueError(f"render_mode must be None or one of {_RENDER_MODES}, got {render_mode!r}")
    return parse(BallbotOptions, options, "options of poise/Ballbot-v0")


def _masked(values: Mapping[str, Any], mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Gymnasium's vector form: beside each array, under its name with an underscore, for whom it holds."""
    return dict(values) | {f"_{name}": mask for name in values}


def _only(observation: Observation) -> Observation:
    """The observation of the one robot there is; the caller's own, where images of several steps are one array."""
    return {name: value[0].copy() for name, value in observation.items()}
