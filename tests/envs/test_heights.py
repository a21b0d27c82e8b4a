"""Ground heights around the robot, against MuJoCo's own rays."""

from collections.abc import Callable

import mujoco
import numpy as np
import pytest

from poise.envs import BallbotVectorEnv
from poise.sim.terrain import TerrainOptions

MakeRobots = Callable[..., BallbotVectorEnv]
SCAN = {"enabled": True, "size": 5, "spacing": 0.13}


def ground_by_ray(model: mujoco.MjModel, data: mujoco.MjData, x: float, y: float) -> float:
    start, down = np.array([x, y, 5.0]), np.array([0.0, 0.0, -1.0])
    geom = np.array([model.geom(i).type[0] == mujoco.mjtGeom.mjGEOM_HFIELD for i in range(model.ngeom)])
    groups = np.zeros(6, np.uint8)
    model.geom_group[:] = np.where(geom, 0, 5)
    groups[0] = 1
    return 5.0 - mujoco.mj_ray(model, data, start, down, groups, 1, -1, np.zeros(1, np.int32), None)


def test_they_are_those_of_the_terrain(make_robots: MakeRobots) -> None:
    env = make_robots(3, heights=SCAN, start={"yaw": 180.0, "tilt": 5.0, "speed": 0.5}, terrain={"height": 0.4})
    observation, _ = env.reset(seed=1)
    generator = np.random.default_rng(0)
    for _ in range(60):
        observation, *_ = env.step(generator.uniform(-1, 1, (3, 3)))
    simulation = env.task.simulation
    for robot in range(3):
        model = simulation._models[robot]
        data = mujoco.MjData(model)
        data.qpos[:] = simulation.qpos[robot]
        mujoco.mj_forward(model, data)
        x, y, _ = data.geom("ball").xpos
        w, z = simulation.qpos[robot, [simulation.base_qpos + 3, simulation.base_qpos + 6]]
        yaw = 2.0 * np.arctan2(z, w)
        below = ground_by_ray(model, data, x, y)
        for i, ahead in enumerate(np.arange(-2, 3) * 0.13):
            for j, left in enumerate(np.arange(-2, 3) * 0.13):
                px = x + np.cos(yaw) * ahead - np.sin(yaw) * left
                py = y + np.sin(yaw) * ahead + np.cos(yaw) * left
                expected = ground_by_ray(model, data, px, py) - below
                assert observation["heights"][robot, i, j] == pytest.approx(expected, abs=1e-6)
    assert env.single_observation_space["heights"].shape == (5, 5)
    assert env.observation_space.contains(observation)


def test_a_cell_by_hand() -> None:
    terrain = TerrainOptions(nodes=3, half_size=1.0, height=2.0)
    heights = np.array([[[0.0, 0.2, 0.0], [0.6, 1.0, 0.0], [0.0, 0.0, 0.5]]], np.float32)  # rows along y, cells of 1 m
    points = np.array([[[-1.0, -1.0], [-0.5, -0.5], [-0.25, -0.75], [-0.75, -0.25], [9.0, 9.0]]])
    # on a node; halfway along the diagonal; right of it 0 + .75 (.2 - 0) + .25 (1 - .2); left of it; off the map
    expected = 2.0 * np.array([[0.0, 0.5, 0.35, 0.75 * 0.6 + 0.25 * 0.4, 0.5]])
    np.testing.assert_allclose(terrain.ground(heights, points), expected, atol=1e-6)
