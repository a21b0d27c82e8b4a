"""Starts that are spread."""

from collections.abc import Callable

import mujoco
import numpy as np

from poise.envs import BallbotVectorEnv

MakeRobots = Callable[..., BallbotVectorEnv]
FLAT = {"kind": "flat", "nodes": 5}


def test_a_spread_start_keeps_the_wheels_on_the_ball(make_robots: MakeRobots) -> None:
    env = make_robots(8, start={"tilt": 15.0, "yaw": 180.0}, goal={"kind": "sampled"})
    env.reset(seed=0)
    simulation = env.task.simulation
    data = mujoco.MjData(simulation.model)
    tilts = []
    for robot in range(8):
        data.qpos[:] = simulation.qpos[robot]
        mujoco.mj_forward(simulation.model, data)
        assert data.ncon == 3
        np.testing.assert_allclose(data.contact.dist, -0.0105, atol=2e-4)
        tilts.append(np.degrees(np.arccos(data.body("base").xmat[8])))
    assert 5.0 < max(tilts) <= 15.0
    assert len(set(tilts)) == 8


def test_a_share_of_the_starts_is_spread(make_robots: MakeRobots) -> None:
    env = make_robots(200, start={"tilt": 10.0, "speed": 0.3, "share": 0.3}, terrain=FLAT)
    env.reset(seed=0)
    simulation = env.task.simulation
    upright = simulation.qpos[:, simulation.base_qpos + 3] == 1.0
    at_rest = (simulation.qvel == 0.0).all(axis=1)
    assert (upright == at_rest).all()
    assert 0.2 < 1.0 - upright.mean() < 0.4


def test_start_speed_moves_robot_and_ball_together(make_robots: MakeRobots) -> None:
    env = make_robots(50, start={"speed": 0.5}, terrain=FLAT)
    env.reset(seed=0)
    simulation = env.task.simulation
    base = simulation.qvel[:, simulation.base_qvel : simulation.base_qvel + 3]
    ball = simulation.qvel[:, simulation.ball_qvel : simulation.ball_qvel + 3]
    np.testing.assert_array_equal(base, ball)
    speeds = np.linalg.norm(base, axis=1)
    assert 0.4 < speeds.max() <= 0.5
    assert speeds.min() < 0.1
