"""The ballbot on hills, and random places to stand."""

from collections.abc import Callable

import mujoco
import numpy as np
import pytest

from poise.sim.model import ballbot_model
from poise.sim.terrain import TerrainOptions, perlin_terrain

Poses = Callable[..., np.ndarray]


@pytest.fixture(scope="session")
def hills() -> np.ndarray:
    return perlin_terrain(293, seed=5)


@pytest.fixture(scope="session")
def model(hills: np.ndarray) -> mujoco.MjModel:
    """The ballbot on hills 0.1 m high."""
    built = ballbot_model()
    built.hfield_data[:] = hills.ravel()
    return built


@pytest.fixture(scope="session")
def steep_model(hills: np.ndarray) -> mujoco.MjModel:
    """The ballbot on hills 0.5 m high."""
    built = ballbot_model(TerrainOptions(height=0.5))
    built.hfield_data[:] = hills.ravel()
    return built


@pytest.fixture(scope="session")
def random_poses() -> Poses:
    """(count, nq) configurations: anywhere on the map, any heading, tilted, clear of the ground, wheels turned."""

    def sample(model: mujoco.MjModel, count: int, seed: int = 0, reach: float = 4.9, tilt: float = 20.0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        nodes = model.hfield_data.reshape(model.hfield_nrow[0], model.hfield_ncol[0])
        cell = 2.0 * model.hfield_size[0, 0] / (nodes.shape[0] - 1)
        poses = np.tile(model.qpos0, (count, 1))
        base, ball = int(model.joint("base").qposadr[0]), int(model.joint("ball").qposadr[0])
        for pose in poses:
            place = rng.uniform(-reach, reach, 2)
            col, row = np.clip(np.rint((place + model.hfield_size[0, :2]) / cell).astype(int), 0, nodes.shape[0] - 1)
            below = nodes[max(row - 8, 0) : row + 9, max(col - 8, 0) : col + 9]
            lift = model.hfield_size[0, 2] * below.max() + rng.uniform(-0.01, 0.02)
            for start in (base, ball):
                pose[start : start + 2] += place
                pose[start + 2] += lift
            way, heading = rng.uniform(-np.pi, np.pi, 2)
            lean = np.radians(rng.uniform(0.0, tilt)) / 2.0
            leaning = np.array([np.cos(lean), np.sin(lean) * np.cos(way), np.sin(lean) * np.sin(way), 0.0])
            turning = np.array([np.cos(heading / 2.0), 0.0, 0.0, np.sin(heading / 2.0)])
            mujoco.mju_mulQuat(pose[base + 3 : base + 7], leaning, turning)
            for i in range(3):
                pose[model.joint(f"wheel_{i}").qposadr[0]] = rng.uniform(-10.0, 10.0)
        return poses

    return sample
