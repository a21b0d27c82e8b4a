"""The reward's terms by hand."""

import numpy as np

from poise.envs import rewards


def test_directional_is_the_velocity_along_the_goal() -> None:
    velocity = np.array([[1.0, 2.0, 9.0], [-0.5, 0.0, 9.0]])
    goal = np.array([[0.0, 1.0], [0.6, 0.8]])
    np.testing.assert_allclose(rewards.directional(velocity, goal), [2.0, -0.3])


def test_directional_falls_beyond_the_top_speed_as_it_rose_before() -> None:
    velocity = np.array([[0.0, speed, 0.0] for speed in (-0.3, 0.4, 0.5, 0.6, 2.0)])
    goal = np.tile([0.0, 1.0], (5, 1))
    np.testing.assert_allclose(rewards.directional(velocity, goal, top_speed=0.5), [-0.3, 0.4, 0.5, 0.4, -1.0])


def test_effort_is_the_squared_norm() -> None:
    np.testing.assert_allclose(rewards.effort(np.array([[1.0, -1.0, 0.5], [0.0, 0.0, 0.0]])), [2.25, 0.0])


def test_survival_ends_beyond_the_limit() -> None:
    np.testing.assert_array_equal(rewards.survival(np.array([0.0, 20.0, 20.001]), 20.0), [1.0, 1.0, 0.0])
