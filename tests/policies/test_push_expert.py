"""The scripted expert of the push task."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from numpy.typing import NDArray

import poise.envs  # noqa: F401  (registers the task)
from poise.errors import InvalidValueError
from poise.policies.baselines import BASELINES
from poise.policies.push_expert import PushExpert
from poise.training.environments import make_vector_env


def act(state: Any, cube: Any = (0.0, 0.0, 0.02), goal: Any = (0.1, 0.0, 0.02)) -> NDArray[Any]:
    """Of one arm."""
    return PushExpert().act({"state": np.array([state]), "cube": np.array([cube]), "goal": np.array([goal])})[0]


def test_what_it_does_by_hand() -> None:
    # to where to push from, 6 cm behind a cube that is to go along +x, first in the air: (-0.06, 0), 12 cm high
    assert act((-0.03, 0.04, 0.12)) == pytest.approx([-0.03 / 0.05, -0.04 / 0.05, 0.0], abs=1e-9)
    assert act((-0.06, 0.0, 0.1)) == pytest.approx([0.0, 0.0, -1.0])  # there: down, more than 5 cm
    assert act((-0.04, 0.0, 0.02)) == pytest.approx([0.5, 0.0, 0.0])  # behind it: push by 2.5 cm
    assert act((-0.04, 0.005, 0.02)) == pytest.approx([0.5, -0.1, 0.0])  # and back to the line
    assert act((-0.04, 0.03, 0.02)) == pytest.approx([-0.4, -0.6, 0.0])  # out of line: slide over
    assert act((0.04, 0.0, 0.02)) == pytest.approx([0.0, 0.0, 1.0])  # on the wrong side: straight up
    assert act((0.15, 0.0, 0.02), (0.19, 0.0, 0.02), (0.25, 0.0, 0.02))[0] == pytest.approx(
        0.7
    )  # 0.5 (1 + 0.02 / 0.05)


def test_it_turns_with_the_task() -> None:
    """Within easy reach, the world may be turned about the vertical."""
    generator = np.random.default_rng(0)
    places = generator.uniform(-0.08, 0.08, (64, 3, 3)) + np.array([0.0, 0.0, 0.1])
    straight = PushExpert().act(dict(zip(("state", "cube", "goal"), places.transpose(1, 0, 2), strict=True)))
    turned = places.copy()
    turned[..., 0], turned[..., 1] = -places[..., 1], places[..., 0]
    found = PushExpert().act(dict(zip(("state", "cube", "goal"), turned.transpose(1, 0, 2), strict=True)))
    assert found == pytest.approx(np.stack([-straight[:, 1], straight[:, 0], straight[:, 2]], axis=1))


def test_it_solves_the_task() -> None:
    env = make_vector_env("poise/Push-v0", 10, {"camera": {"enabled": False}}, threads=1)
    expert = BASELINES["expert"](env)
    observation, _ = env.reset(seed=77)
    solved, running = np.zeros(10, bool), np.ones(10, bool)
    while running.any():
        observation, _, terminated, truncated, _ = env.step(expert.act(observation))
        solved |= running & terminated
        running &= ~(terminated | truncated)
        env.retire(~running)  # type: ignore[attr-defined]
    env.close()
    assert solved.sum() >= 9


def test_it_is_for_that_task_alone() -> None:
    with pytest.raises(InvalidValueError, match="poise/Push-v0 only"):
        BASELINES["expert"](gym.make_vec("Pendulum-v1", num_envs=1))


def test_acting_at_random_is_within_bounds_and_needs_some() -> None:
    env = gym.make_vec("Pendulum-v1", num_envs=500)
    actions = BASELINES["random"](env).act({})
    assert actions.shape == (500, 1)
    assert (np.abs(actions).max(), actions.mean()) == (pytest.approx(2.0, abs=0.05), pytest.approx(0.0, abs=0.2))
    with pytest.raises(InvalidValueError, match="continuous actions"):
        BASELINES["random"](gym.make_vec("CartPole-v1", num_envs=1))
