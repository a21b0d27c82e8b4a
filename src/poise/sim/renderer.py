"""Pictures of the robot: the colours that its cameras see, and the view from outside that videos are made of."""

import mujoco
import numpy as np
from numpy.typing import NDArray

from poise.sim.opengl import OpenGLError, OpenGLRenderer, Strokes, opengl_available
from poise.sim.scene import RayScene, tracking_camera
from poise.sim.terrain import height_at

__all__ = ["OpenGLError", "RgbCameras", "SceneView", "opengl_available"]

_NEAR = 0.01
"""What lies nearer to a robot's camera is not drawn, m."""
_ARROW_RADIUS, _ARROW_COLOR = 0.014, (0.97, 0.85, 0.3, 1.0)
_PATH_RADIUS, _PATH_COLOR = 0.007, (0.95, 0.95, 0.92, 1.0)


class RgbCameras:
    """The robot's cameras in colour, through MuJoCo's renderer. Made once and used for all robots, from one thread.

    Args:
        model: the ballbot.
        names: of the cameras, in the order of the images.
        height, width: of the images, pixels.

    Raises:
        OpenGLError: there is no OpenGL, with what to install.
    """

    def __init__(self, model: mujoco.MjModel, names: tuple[str, ...], height: int = 64, width: int = 64) -> None:
        self._renderer = OpenGLRenderer(model, height, width)
        self._renderer.model.vis.map.znear = _NEAR / self._renderer.model.stat.extent
        self._cameras = []
        for name in names:
            camera = mujoco.MjvCamera()
            camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
            camera.fixedcamid = model.camera(name).id
            self._cameras.append(camera)

    def render(self, qpos: NDArray[np.float64], terrain: NDArray[np.float32]) -> NDArray[np.float32]:
        """(C, 3, H, W) colours in [0, 1] for a configuration (nq,) on a terrain of (rows, cols) nodes in [0, 1]."""
        return self.render_rgbd(qpos, terrain)[:, :3]

    def render_rgbd(
        self, qpos: NDArray[np.float64], terrain: NDArray[np.float32], max_depth: float = 1.0
    ) -> NDArray[np.float32]:
        """(C, 4, H, W) the same, and OpenGL's depth clipped to `max_depth`, m, which is rougher than `DepthCameras`."""
        self._renderer.set_terrain(terrain)
        images = []
        for camera in self._cameras:
            colors, depth = self._renderer.render(qpos, camera)
            images.append(np.concatenate([colors.transpose(2, 0, 1) / 255.0, np.minimum(depth, max_depth)[None]]))
        return np.array(images, np.float32)

    def close(self) -> None:
        """Give the OpenGL context back."""
        self._renderer.close()


class SceneView:
    """The robot from outside, by a camera that travels along: MuJoCo's renderer if there is OpenGL, else shaded rays.

    Args:
        model: the ballbot.
        width, height: of the pictures, pixels.
        opengl: True or False to insist on either; None takes what there is.

    Raises:
        OpenGLError: OpenGL was insisted on and there is none.
    """

    def __init__(self, model: mujoco.MjModel, width: int = 640, height: int = 480, opengl: bool | None = None) -> None:
        use = opengl_available()[0] if opengl is None else opengl
        self._opengl = OpenGLRenderer(model, height, width) if use else None
        self._rays = None if use else RayScene(model, height, width)

    def render(
        self,
        qpos: NDArray[np.float64],
        terrain: NDArray[np.float32],
        goal: tuple[float, float] | None = None,
        path: NDArray[np.float64] | None = None,
    ) -> NDArray[np.uint8]:
        """A picture (H, W, 3).

        Args:
            qpos: (nq,) configuration.
            terrain: (rows, cols) node heights in [0, 1].
            goal: unit vector of the way to travel, an arrow on the ground; the camera stands beside it.
            path: (M, 2) points that the robot has come along, m, drawn as a line on the ground.
        """
        if self._rays is not None:
            picture = self._rays.render(qpos, terrain, goal, path)
        else:
            assert self._opengl is not None
            self._opengl.set_terrain(terrain)
            picture, _ = self._opengl.render(
                qpos, tracking_camera(qpos[:3], goal), self._strokes(qpos, terrain, goal, path)
            )
        return picture

    def _strokes(
        self,
        qpos: NDArray[np.float64],
        terrain: NDArray[np.float32],
        goal: tuple[float, float] | None,
        path: NDArray[np.float64] | None,
    ) -> Strokes:
        """What OpenGL draws on the ground."""
        assert self._opengl is not None
        model = self._opengl.model
        arrow = [] if goal is None else _arrow(qpos[:2], goal)
        strokes = [(_on_ground(model, terrain, line), _ARROW_RADIUS, _ARROW_COLOR) for line in arrow]
        return strokes if path is None else [*strokes, (_on_ground(model, terrain, path), _PATH_RADIUS, _PATH_COLOR)]

    def close(self) -> None:
        """Give the OpenGL context back."""
        if self._opengl is not None:
            self._opengl.close()


def _arrow(position: NDArray[np.float64], goal: tuple[float, float]) -> list[NDArray[np.float64]]:
    """Shaft and barbs of the goal's arrow before a robot at (2,): lines (M, 2), m."""
    ahead, left = np.array(goal), np.array([-goal[1], goal[0]])
    tip = position + 0.8 * ahead
    back = 0.12 * np.linspace(0.0, 1.0, 4)[:, None]
    shaft = position + np.linspace(0.3, 0.8, 12)[:, None] * ahead
    return [shaft, tip + back * (0.7 * left - ahead), tip - back * (0.7 * left + ahead)]


def _on_ground(model: mujoco.MjModel, terrain: NDArray[np.float32], line: NDArray[np.float64]) -> NDArray[np.float64]:
    """A line (M, 2) laid on the ground, (M, 3), m."""
    half_size, _, height, _ = model.hfield_size[0]
    return np.column_stack([line, height * height_at(terrain[None], line[None], half_size)[0]])
