"""Positions from `qpos` alone, against MuJoCo's."""

from collections.abc import Callable

import mujoco
import numpy as np

from poise.sim.kinematics import camera_views, robot_geometry, rotate_about, rotation_matrix

CAMERAS = ("rgbd_0", "rgbd_1")


def test_rotation_matrix_is_mujocos() -> None:
    for quaternion in np.random.default_rng(0).normal(size=(20, 4)):
        quaternion /= np.linalg.norm(quaternion)
        ours, expected = np.empty((3, 3)), np.empty(9)
        rotation_matrix(quaternion, ours)
        mujoco.mju_quat2Mat(expected, quaternion)
        np.testing.assert_allclose(ours.ravel(), expected, atol=1e-14)


def test_rotation_about_an_axis_by_hand() -> None:
    turned = np.empty(3)
    rotate_about(np.array([0.0, 0.0, 1.0]), np.pi / 2.0, np.array([2.0, 0.0, 3.0]), turned)
    np.testing.assert_allclose(turned, [0.0, 2.0, 3.0], atol=1e-15)


def test_geometry_of_the_data_sheet(model: mujoco.MjModel) -> None:
    geometry = robot_geometry(model, CAMERAS)
    np.testing.assert_allclose(geometry.camera_position, [[0.17, -0.01, -0.06], [-0.17, -0.01, -0.06]], atol=1e-12)
    lean = np.sin(np.radians(30.0)), np.cos(np.radians(30.0))
    np.testing.assert_allclose(-geometry.camera_rotation[0][:, 2], [-lean[0], 0.0, -lean[1]], atol=1e-12)
    np.testing.assert_allclose(-geometry.camera_rotation[1][:, 2], [lean[0], 0.0, -lean[1]], atol=1e-12)
    assert (geometry.ball_radius, geometry.wheel_radius) == (0.09, 0.025)
    np.testing.assert_allclose(geometry.ball_centre, [0.0, 0.0, -0.14])


def test_views_are_where_mujoco_puts_them(model: mujoco.MjModel, random_poses: Callable[..., np.ndarray]) -> None:
    poses = random_poses(model, 12)
    rng = np.random.default_rng(1)
    start = model.joint("ball").qposadr[0] + 3
    poses[:, start : start + 4] = rng.normal(size=(12, 4))
    poses[:, start : start + 4] /= np.linalg.norm(poses[:, start : start + 4], axis=1, keepdims=True)
    robots = np.array([7, 2, 11])
    views = np.empty((3, 2, 11, 3))
    camera_views(poses, robots, robot_geometry(model, CAMERAS), views)
    data = mujoco.MjData(model)
    for robot, per_robot in zip(robots, views, strict=True):
        data.qpos[:] = poses[robot]
        mujoco.mj_forward(model, data)
        points = [data.geom("ball").xpos]
        for i in range(3):
            wheel = data.geom(f"wheel_{i}")
            points += [wheel.xpos + side * 0.02 * wheel.xmat.reshape(3, 3)[:, 2] for side in (-1.0, 1.0)]
        for name, view in zip(CAMERAS, per_robot, strict=True):
            camera = data.camera(name)
            axes = camera.xmat.reshape(3, 3).T * [[1.0], [1.0], [-1.0]]
            np.testing.assert_allclose(view[0], camera.xpos, atol=1e-12)
            np.testing.assert_allclose(view[1:4], axes, atol=1e-12)
            np.testing.assert_allclose(view[4:], (np.array(points) - camera.xpos) @ axes.T, atol=1e-12)
