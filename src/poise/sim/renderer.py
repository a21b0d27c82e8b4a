"""Pictures of the robot: the colours that its cameras see, and the view from outside that videos are made of."""

import mujoco
import numpy as np
from numpy.typing import NDArray

from poise.sim.opengl import OpenGLError, OpenGLRenderer, opengl_available
from poise.sim.scene import RayScene, tracking_camera

__all__ = ["OpenGLError", "RgbCameras", "SceneView", "opengl_available"]

_NEAR = 0.01
"""What lies nearer to a robot's camera is not drawn, m."""


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
    ) -> NDArray[np.uint8]:
        """A picture (H, W, 3).

        Args:
            qpos: (nq,) configuration.
            terrain: (rows, cols) node heights in [0, 1].
            goal: unit vector of the way to travel, drawn as an arrow; the camera looks along it, from behind and aside.
        """
        if self._rays is not None:
            picture = self._rays.render(qpos, terrain, goal)
        else:
            assert self._opengl is not None
            self._opengl.set_terrain(terrain)
            picture, _ = self._opengl.render(
                qpos, tracking_camera(qpos[:3], goal), None if goal is None else _arrow(qpos, goal)
            )
        return picture

    def close(self) -> None:
        """Give the OpenGL context back."""
        if self._opengl is not None:
            self._opengl.close()


def _arrow(qpos: NDArray[np.float64], goal: tuple[float, float]) -> NDArray[np.float64]:
    """(2, 3) ends of the goal's arrow, at the height of the ball, m."""
    ahead = np.array([*goal, 0.0])
    return qpos[:3] - (0.0, 0.0, 0.1) + np.outer((0.3, 0.75), ahead)
