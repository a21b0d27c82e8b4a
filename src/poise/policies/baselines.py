"""Baselines: doing nothing, acting at random, and what is scripted for a robot. What a trained policy has to beat."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from poise.envs import BallbotVectorEnv
from poise.envs.options import BallbotOptions
from poise.errors import InvalidValueError
from poise.policies.agents import Agent
from poise.policies.lqr import LqrController
from poise.policies.pid import PidController
from poise.policies.push_expert import PushExpert


class DoNothing:
    """All motors off.

    Args:
        num_robots: how many.
        num_actions: of each robot.
    """

    def __init__(self, num_robots: int, num_actions: int = 3) -> None:
        self._actions = np.zeros((num_robots, num_actions), np.float32)

    def act(self, observation: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Zeros (N, A)."""
        return self._actions.copy()

    def reset(self, dones: NDArray[np.bool_]) -> None:
        """Nothing is remembered."""


class ActAtRandom:
    """Actions drawn uniformly from what the environment accepts.

    Args:
        num_robots: how many.
        space: of one robot's actions, with bounds.
    """

    def __init__(self, num_robots: int, space: spaces.Box) -> None:
        self._space = space
        self._shape = (num_robots, *space.shape)
        self._generator = np.random.default_rng(0)

    def act(self, observation: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """(N, A)."""
        return self._generator.uniform(self._space.low, self._space.high, self._shape).astype(np.float32)

    def reset(self, dones: NDArray[np.bool_]) -> None:
        """Nothing is remembered."""


TRAVEL_SPEED = 0.2
"""Speed that the PID baseline is asked for, m/s. It has it on flat ground; hills stop it, and faster it falls."""


def pid_controller(env: VectorEnv[Any, Any, Any]) -> PidController:
    """The PID controller of ballbots, travelling along the goal where it can know it, else standing.

    Raises:
        InvalidValueError: these are no ballbots.
    """
    options = _ballbot_options(env, "the PID controller")
    direction = np.array(options.goal.direction) / np.linalg.norm(options.goal.direction)
    speed = TRAVEL_SPEED if options.knows_goal else 0.0
    return PidController(env.num_envs, options.control_step, speed, direction, options=options)


def lqr_controller(env: VectorEnv[Any, Any, Any]) -> LqrController:
    """The linear-quadratic regulator of ballbots, standing: hills stop it where it is to travel.

    Raises:
        InvalidValueError: these are no ballbots.
    """
    return LqrController(env.num_envs, _ballbot_options(env, "the LQR"))


def do_nothing(env: VectorEnv[Any, Any, Any]) -> DoNothing:
    """No torque, in any environment of continuous actions.

    Raises:
        InvalidValueError: the actions are of another kind, none of which is to do nothing.
    """
    return DoNothing(env.num_envs, _box(env, "do-nothing").shape[0])


def act_at_random(env: VectorEnv[Any, Any, Any]) -> ActAtRandom:
    """Uniform actions, in any environment of continuous actions with bounds.

    Raises:
        InvalidValueError: the actions are of another kind.
    """
    space = _box(env, "random")
    if not space.is_bounded():
        raise InvalidValueError(f"random needs actions with bounds, not {space}")
    return ActAtRandom(env.num_envs, space)


def scripted_expert(env: VectorEnv[Any, Any, Any]) -> Agent:
    """The expert that is written for an environment, and told more than a policy that learns from it.

    Raises:
        InvalidValueError: there is none.
    """
    if not {"state", "cube", "goal"} <= set(getattr(env.single_observation_space, "spaces", ())):
        raise InvalidValueError(
            "there is an expert for poise/Push-v0 only: name a configuration of it, such as "
            "'--config configs/push/expert.yaml', or a run of 'poise train' in its place"
        )
    return PushExpert()


def _box(env: VectorEnv[Any, Any, Any], who: str) -> spaces.Box:
    space = env.single_action_space
    if not isinstance(space, spaces.Box) or len(space.shape) != 1:
        raise InvalidValueError(f"{who} needs continuous actions, a Box with one axis, not {space}")
    return space


def _ballbot_options(env: VectorEnv[Any, Any, Any], who: str) -> BallbotOptions:
    if not isinstance(env.unwrapped, BallbotVectorEnv):
        raise InvalidValueError(f"{who} drives ballbots only, not {env}; choose another policy")
    return env.unwrapped.options


BASELINES: dict[str, Callable[[VectorEnv[Any, Any, Any]], Agent]] = {
    "do-nothing": do_nothing,
    "random": act_at_random,
    "expert": scripted_expert,
    "pid": pid_controller,
    "lqr": lqr_controller,
}
"""By the names that `poise evaluate` knows."""
