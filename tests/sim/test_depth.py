"""Depth images against MuJoCo's rays and against hand arithmetic."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import mujoco
import numpy as np
import pytest

from poise.sim.depth import DepthCameras, pixel_rays
from poise.sim.model import ballbot_model

CAMERAS = ("rgbd_0", "rgbd_1")
Poses = Callable[..., np.ndarray]


def _ray_depth(model: mujoco.MjModel, pose: np.ndarray, name: str, height: int, width: int, limit: float) -> np.ndarray:
    """(H, W) by one `mj_ray` a pixel (`mj_multiRay` culls geoms that it should not)."""
    data = mujoco.MjData(model)
    data.qpos[:] = pose
    mujoco.mj_forward(model, data)
    camera = data.camera(name)
    body = int(model.camera(name).bodyid[0])
    half = math.tan(math.radians(float(model.camera(name).fovy[0])) / 2.0)
    depth = np.full((height, width), limit)
    for row, col in np.ndindex(depth.shape):
        x = half * (2.0 * (col + 0.5) - width) / height
        y = half * (height - 2.0 * (row + 0.5)) / height
        ray = camera.xmat.reshape(3, 3) @ (x, y, -1.0)
        length = np.linalg.norm(ray)
        hit = mujoco.mj_ray(model, data, camera.xpos, ray / length, None, 1, body, np.zeros(1, np.int32), None)
        if hit >= 0.0:
            depth[row, col] = min(hit / length, limit)
    return depth


def _render(
    model: mujoco.MjModel, poses: np.ndarray, height: int = 64, width: int = 64, limit: float = 1.0
) -> np.ndarray:
    """(N, C, H, W) of poses on the model's terrain."""
    cameras = DepthCameras(model, CAMERAS, height, width, limit)
    nodes = model.hfield_data.reshape(model.hfield_nrow[0], model.hfield_ncol[0])
    out = np.full((len(poses), 2, height, width), np.nan, np.float32)
    cameras.render(poses, np.tile(nodes, (len(poses), 1, 1)), np.arange(len(poses)), out)
    return out


@pytest.mark.parametrize("which", ["model", "steep_model"])
def test_every_pixel_is_what_a_ray_finds(which: str, request: pytest.FixtureRequest, random_poses: Poses) -> None:
    model = request.getfixturevalue(which)
    poses = random_poses(model, 4, seed=3)
    for pose, images in zip(poses, _render(model, poses), strict=True):
        for name, image in zip(CAMERAS, images, strict=True):
            np.testing.assert_allclose(image, _ray_depth(model, pose, name, 64, 64, 1.0), atol=1e-6)


def test_the_edge_of_the_map_and_its_walls(model: mujoco.MjModel, random_poses: Poses) -> None:
    """On the edge, a camera off the map sees the walls of the field."""
    poses = random_poses(model, 4, seed=4, tilt=15.0)
    base, ball = 0, int(model.joint("ball").qposadr[0])
    for pose, (axis, place) in zip(poses, ((0, 4.97), (0, -5.05), (1, 5.1), (1, -4.9)), strict=True):
        shift = place - pose[base + axis]
        pose[base + axis] += shift
        pose[ball + axis] += shift
    for pose, images in zip(poses, _render(model, poses), strict=True):
        for name, image in zip(CAMERAS, images, strict=True):
            np.testing.assert_allclose(image, _ray_depth(model, pose, name, 64, 64, 1.0), atol=1e-6)


def test_other_shapes_and_clips(model: mujoco.MjModel, random_poses: Poses) -> None:
    poses = random_poses(model, 1, seed=5)
    for height, width, limit in ((10, 27, 0.17), (33, 16, 3.0), (1, 5, 1.0)):
        image = _render(model, poses, height, width, limit)[0, 1]
        np.testing.assert_allclose(image, _ray_depth(model, poses[0], "rgbd_1", height, width, limit), atol=1e-6)
        assert image.max() <= np.float32(limit)


def test_flat_ground_by_hand() -> None:
    """Camera 0 is 0.18 m above the ball's lowest point and leans 30 degrees; right of the ball it sees only ground."""
    model = ballbot_model()
    height = 0.24 - 0.06 + 0.05
    pose = model.qpos0.copy()
    pose[[2, model.joint("ball").qposadr[0] + 2]] += 0.05
    image = _render(model, pose[None])[0, 0]
    right = (2.0 * (np.arange(34, 64) + 0.5) - 64) / 64.0
    expected = height / (math.cos(math.radians(30.0)) + right * math.sin(math.radians(30.0)))
    np.testing.assert_allclose(image[:, 34:], np.tile(expected, (64, 1)), atol=1e-6)


def test_row_zero_is_the_top() -> None:
    """Up in the image of camera 0 is the world's +y: ground raised there is near in the top rows."""
    model = ballbot_model()
    nodes = model.hfield_data.reshape(293, 293)
    nodes[np.linspace(-5.0, 5.0, 293) > 0.1] = 0.8
    image = _render(model, model.qpos0[None])[0, 0]
    assert image[:6, 40:].max() < image[-6:, 40:].min()


def test_a_camera_does_not_see_its_own_mount(model: mujoco.MjModel) -> None:
    """Rays that may hit the mount end in its housing, at 1 cm at most."""
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    camera = data.camera("rgbd_0")
    ahead = -camera.xmat.reshape(3, 3)[:, 2]
    assert mujoco.mj_ray(model, data, camera.xpos, ahead, None, 1, -1, np.zeros(1, np.int32), None) <= 0.0101
    assert _render(model, model.qpos0[None]).min() > 0.03


def test_only_the_robots_asked_for_are_drawn_at_any_number_of_threads(
    model: mujoco.MjModel, random_poses: Poses, hills: np.ndarray
) -> None:
    poses = random_poses(model, 7, seed=6)
    terrain = np.stack([np.roll(hills, 11 * i, axis=0) for i in range(7)])
    robots = np.array([5, 0, 3, 6])
    images = []
    with ThreadPoolExecutor(3) as pool:
        for cameras in (DepthCameras(model, CAMERAS), DepthCameras(model, CAMERAS, pool=pool, threads=3)):
            out = np.full((7, 2, 64, 64), -1.0, np.float32)
            cameras.render(poses, terrain, robots, out)
            images.append(out)
    np.testing.assert_array_equal(images[0], images[1])
    assert (images[0][[1, 2, 4]] == -1.0).all()
    assert (images[0][robots] > 0.0).all()


def test_pixels_are_square_and_centred() -> None:
    left, top, step = pixel_rays(90.0, 4, 6)
    np.testing.assert_allclose(left + step * np.arange(6), [-1.25, -0.75, -0.25, 0.25, 0.75, 1.25])
    np.testing.assert_allclose(top - step * np.arange(4), [0.75, 0.25, -0.25, -0.75])
