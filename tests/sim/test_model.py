"""The model against the check figures of the data sheet."""

import mujoco
import numpy as np
import pytest

from poise.sim.model import ballbot_model
from poise.sim.terrain import TerrainOptions


def test_masses(model: mujoco.MjModel) -> None:
    assert model.body_mass.sum() == pytest.approx(4.021, abs=5e-4)
    assert model.body("base").subtreemass[0] == pytest.approx(3.853, abs=5e-4)
    assert model.body("ball").mass[0] == pytest.approx(0.168, abs=5e-4)
    for i in range(3):
        assert model.body(f"wheel_{i}").mass[0] == pytest.approx(0.0893, abs=5e-5)
    for i in range(2):
        assert model.body(f"camera_mount_{i}").mass[0] == pytest.approx(0.067, abs=5e-4)


def test_centre_of_mass_above_the_ball(model: mujoco.MjModel) -> None:
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    above = data.subtree_com[model.body("base").id] - data.geom("ball").xpos
    assert above[2] == pytest.approx(0.131, abs=5e-4)


def test_wheels_press_into_the_ball_at_spawn(model: mujoco.MjModel) -> None:
    data = mujoco.MjData(model)
    data.qpos[[2, model.joint("ball").qposadr[0] + 2]] += 1.0  # clear of the ground
    mujoco.mj_forward(model, data)
    assert data.ncon == 3
    np.testing.assert_allclose(data.contact.dist, -0.0105, atol=5e-5)
    np.testing.assert_allclose(data.contact.friction[:, :2], [[0.001, 1.0]] * 3)


def test_world_of_the_data_sheet(model: mujoco.MjModel) -> None:
    assert model.opt.timestep == 0.002
    assert model.opt.cone == mujoco.mjtCone.mjCONE_ELLIPTIC
    assert model.opt.solver == mujoco.mjtSolver.mjSOL_NEWTON
    assert model.opt.integrator == mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    assert (model.hfield_nrow[0], model.hfield_ncol[0]) == (293, 293)
    np.testing.assert_allclose(model.hfield_size[0], [5.0, 5.0, 0.1, 0.1])
    np.testing.assert_allclose(model.actuator_ctrlrange, [[-10.0, 10.0]] * 3)
    assert [float(model.camera(f"rgbd_{i}").fovy[0]) for i in range(2)] == [90.0, 90.0]


def test_terrain_and_integrator_are_choices() -> None:
    built = ballbot_model(TerrainOptions(nodes=21, half_size=2.0, height=0.3), timestep=0.001, integrator="rk4")
    assert built.hfield_nrow[0] == built.hfield_ncol[0] == 21
    np.testing.assert_allclose(built.hfield_size[0, :3], [2.0, 2.0, 0.3])
    assert built.opt.timestep == 0.001
    assert built.opt.integrator == mujoco.mjtIntegrator.mjINT_RK4
