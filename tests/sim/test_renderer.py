"""Pictures: OpenGL where there is some, a clear error where there is none, and the shaded rays against MuJoCo's."""

from collections.abc import Callable, Iterator

import mujoco
import numpy as np
import pytest

from poise.sim import opengl
from poise.sim.depth import DepthCameras
from poise.sim.renderer import OpenGLError, RgbCameras, SceneView, opengl_available
from poise.sim.scene import RayScene, tracking_camera
from poise.sim.scene_shading import SUN

CAMERAS = ("rgbd_0", "rgbd_1")
Poses = Callable[..., np.ndarray]
needs_opengl = pytest.mark.skipif(not opengl_available()[0], reason=opengl_available()[1])


@pytest.fixture
def fresh_probe() -> Iterator[None]:
    """Ask for OpenGL again, before and after."""
    opengl_available.cache_clear()
    yield
    opengl_available.cache_clear()


@pytest.mark.usefixtures("fresh_probe")
def test_without_opengl_the_error_says_what_to_install(model: mujoco.MjModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(opengl, "_TRIAL", "raise ImportError('no {module} here')")
    monkeypatch.setattr(opengl.platform, "system", lambda: "Linux")
    with pytest.raises(OpenGLError, match=r"egl: ImportError: no mujoco.egl here.*apt-get install libegl1.*libosmesa6"):
        RgbCameras(model, CAMERAS)
    with pytest.raises(OpenGLError):
        SceneView(model, opengl=True)


@pytest.mark.usefixtures("fresh_probe")
def test_a_driver_that_aborts_takes_nothing_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    monkeypatch.setattr(opengl, "_TRIAL", "import os; os.abort()")
    available, reason = opengl_available()
    assert not available
    assert "osmesa: ended with status" in reason


@pytest.mark.usefixtures("fresh_probe")
def test_opengl_can_be_switched_off(model: mujoco.MjModel, hills: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "off")
    assert opengl_available() == (
        False,
        "OpenGL is switched off by MUJOCO_GL=off; unset it to draw with MuJoCo's renderer",
    )
    assert SceneView(model, 64, 48).render(model.qpos0, hills).shape == (48, 64, 3)


@needs_opengl
def test_colours_and_rough_depth_through_opengl(model: mujoco.MjModel, hills: np.ndarray, random_poses: Poses) -> None:
    poses = random_poses(model, 2, seed=8)
    exact = np.zeros((2, 2, 64, 64), np.float32)
    DepthCameras(model, CAMERAS).render(poses, np.stack([hills, hills]), np.arange(2), exact)
    cameras = RgbCameras(model, CAMERAS)
    for pose, depth in zip(poses, exact, strict=True):
        images = cameras.render_rgbd(pose, hills)
        assert images.shape == (2, 4, 64, 64)
        assert images[:, :3].min() >= 0.0
        assert images[:, :3].max() <= 1.0
        assert (np.abs(images[:, 3] - depth) < 5e-3).mean() > 0.94  # but for outlines: OpenGL's solids have facets
        np.testing.assert_array_equal(cameras.render(pose, hills), images[:, :3])
    cameras.close()


@needs_opengl
def test_one_renderer_serves_many_terrains(model: mujoco.MjModel, hills: np.ndarray) -> None:
    pose = model.qpos0.copy()
    pose[[2, model.joint("ball").qposadr[0] + 2]] += 0.11
    with_hills, flat = RgbCameras(model, CAMERAS), np.zeros_like(hills)
    first = with_hills.render_rgbd(pose, hills)
    level = with_hills.render_rgbd(pose, flat)
    assert np.abs(first[:, 3] - level[:, 3]).max() > 0.01
    np.testing.assert_array_equal(with_hills.render_rgbd(pose, hills), first)
    with_hills.close()


@needs_opengl
def test_scene_through_opengl(model: mujoco.MjModel, hills: np.ndarray) -> None:
    view = SceneView(model, 96, 72, opengl=True)
    picture = view.render(model.qpos0, hills, (0.0, 1.0))
    assert picture.shape == (72, 96, 3)
    assert picture.std() > 10.0
    view.close()


def _pixel_rays(scene: RayScene, pose: np.ndarray, goal: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """The eye, and (H, W, 3) rays that go 1 m ahead."""
    shot = scene._shot(tracking_camera(pose[:3], goal))
    height, width = scene._part.shape
    x = shot.lens[0] + shot.lens[2] * np.arange(width)
    y = shot.lens[1] - shot.lens[2] * np.arange(height)
    return shot.eye, x[None, :, None] * shot.axes[0] + y[:, None, None] * shot.axes[1] + shot.axes[2]


def test_shaded_rays_find_what_mujocos_rays_find(model: mujoco.MjModel, hills: np.ndarray, random_poses: Poses) -> None:
    """Depth, part and shadow of random pixels."""
    scene = RayScene(model, 48, 64)
    data = mujoco.MjData(model)
    geom = np.zeros(1, np.int32)
    rng = np.random.default_rng(9)
    agree = []
    for pose in random_poses(model, 3, seed=9, reach=2.0):
        scene.render(pose, hills, (0.0, 1.0))
        data.qpos[:] = pose
        mujoco.mj_forward(model, data)
        eye, rays = _pixel_rays(scene, pose, (0.0, 1.0))
        for row, col in zip(rng.integers(0, 48, 300), rng.integers(0, 64, 300), strict=True):
            ray = rays[row, col]
            length = np.linalg.norm(ray)
            hit = mujoco.mj_ray(model, data, eye, ray / length, None, 1, -1, geom, None)
            part = scene._part[row, col]
            if hit < 0.0 or hit / length > 13.9:
                assert part == -1
                continue
            assert scene._depth[0, 0, row, col] == pytest.approx(hit / length, abs=1e-4)
            seen = model.geom("terrain").id if part < 0 else scene._geoms[part % len(scene._geoms)]
            assert seen == geom[0]
            if part < 0:
                above = eye + (hit - 1e-3) * ray / length
                shadow = mujoco.mj_ray(model, data, above, np.array(SUN), None, 0, -1, geom, None) >= 0.0
                agree.append(shadow == scene._shadow[row, col])
    assert len(agree) > 300
    assert np.mean(agree) > 0.99


def test_the_camera_stays_above_the_hills_and_the_way_leads_to_the_right(
    steep_model: mujoco.MjModel, hills: np.ndarray
) -> None:
    scene = RayScene(steep_model, 24, 32)
    for goal in ((0.0, 1.0), (1.0, 0.0), (-0.6, -0.8)):
        scene.render(steep_model.qpos0, hills, goal)
        shot = scene._shot(tracking_camera(steep_model.qpos0[:3], goal))
        assert shot.axes[0, :2] @ goal > 0.8
        assert shot.axes[2, :2] @ goal > 0.3
        assert shot.eye[2] > scene._ground_height(shot.eye) + 0.1
        np.testing.assert_allclose(shot.axes @ shot.axes.T, np.eye(3), atol=1e-12)


def test_a_picture_shows_the_goal(model: mujoco.MjModel, hills: np.ndarray) -> None:
    pose = model.qpos0.copy()
    pose[[2, model.joint("ball").qposadr[0] + 2]] += 0.11
    view = SceneView(model, 320, 240, opengl=False)
    plain = view.render(pose, hills)
    np.testing.assert_array_equal(plain, view.render(pose, hills))
    arrow = view.render(pose, hills, (0.0, 1.0))
    changed = np.abs(plain.astype(int) - arrow).max(-1) > 8
    assert 100 < changed.sum() < 6000
    assert (arrow[changed].mean(0) @ [0.5, 0.5, -1.0]) > 40.0  # yellow


@pytest.mark.parametrize("opengl", [False, pytest.param(True, marks=needs_opengl)])
def test_a_picture_shows_the_way_that_was_come(model: mujoco.MjModel, hills: np.ndarray, opengl: bool) -> None:
    pose = model.qpos0.copy()
    pose[[2, model.joint("ball").qposadr[0] + 2]] += 0.11
    view = SceneView(model, 320, 240, opengl=opengl)
    plain = view.render(pose, hills, (0.0, 1.0))
    path = pose[:2] + np.column_stack([np.zeros(20), np.linspace(-0.8, 0.0, 20)])
    lined = view.render(pose, hills, (0.0, 1.0), path)
    view.close()
    changed = np.abs(plain.astype(int) - lined).max(-1) > 8
    assert 50 < changed.sum() < 3000
    assert np.flatnonzero(changed.any(axis=0)).max() < 200  # it came from the left
    assert lined[changed].mean() > plain[changed].mean() + 20.0


def test_hills_are_lit_from_the_sun(model: mujoco.MjModel, hills: np.ndarray) -> None:
    """Ground that faces the sun is brighter than ground of the same height that faces away."""
    scene = RayScene(model, 120, 160)
    scene.render(model.qpos0, hills)
    nodes = scene._nodes.astype(np.float64)
    expected = np.gradient(0.1 * hills.astype(np.float64), 10.0 / 292)
    np.testing.assert_allclose(nodes[1:-1, 1:-1, 1], expected[1][1:-1, 1:-1], atol=1e-5)
    np.testing.assert_allclose(nodes[1:-1, 1:-1, 2], expected[0][1:-1, 1:-1], atol=1e-5)
    lit = nodes[..., 3]
    facing = -nodes[..., 1] * SUN[0] - nodes[..., 2] * SUN[1]
    assert lit.min() >= 0.0
    assert lit.max() == 1.0
    assert lit[facing > 0.0].mean() >= lit[facing < -0.3].mean()
