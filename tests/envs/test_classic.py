import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import poise.envs  # noqa: F401  (registers them)


@pytest.mark.parametrize(
    ("name", "whole", "kept"), [("CartPole", "CartPole-v1", [0, 2]), ("Pendulum", "Pendulum-v1", [0, 1])]
)
def test_the_same_task_with_some_components(name: str, whole: str, kept: list[int]) -> None:
    hidden, full = gym.make(f"poise/{name}WithoutVelocities-v0"), gym.make(whole)
    seen, everything = hidden.reset(seed=3)[0], full.reset(seed=3)[0]
    full.action_space.seed(3)
    steps = 0
    for _ in range(20):
        np.testing.assert_array_equal(seen, everything[kept])
        assert hidden.observation_space.contains(seen)
        action = full.action_space.sample()
        seen, *outcome, _ = hidden.step(action)
        everything, *expected, _ = full.step(action)
        assert outcome == expected
        steps += 1
        if outcome[1]:  # a fallen pole leaves the space
            break
    assert steps > 10


def test_it_is_a_good_citizen() -> None:
    check_env(gym.make("poise/CartPoleWithoutVelocities-v0").unwrapped, skip_render_check=True)
