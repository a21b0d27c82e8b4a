"""The scene from outside without OpenGL: the ground as the depth cameras draw it, the robot by rays, and sunlight."""

import math

import mujoco
import numpy as np
from numpy.typing import NDArray

from poise.sim.depth import pixel_rays
from poise.sim.depth_terrain import draw_terrain
from poise.sim.scene_rays import Shot, Solids, cast_shadows, draw_parts
from poise.sim.scene_shading import SUN, Relief, develop, prepare_relief, shade

Array = NDArray[np.float64]

_FIELD_OF_VIEW = 42.0
_DISTANCE = 1.6
_ELEVATION = -25.0
_ASIDE = 62.0
"""How far the camera stands from straight behind the robot, degrees: beside it, its way shows."""
_LEAD = 0.2
"""How far ahead of the robot, towards its goal, the camera aims, m."""
_AIM = 0.02
"""Where the camera aims, above the base, m."""
_FAR = 14.0
_CLEARANCE = 0.15
"""Least height of the camera above the ground, m."""
_NOWHERE = np.empty((0, 2))


def tracking_camera(base: Array, goal: tuple[float, float] | None) -> mujoco.MjvCamera:
    """The camera that follows a robot with its base at (3,), m, and looks along the goal's direction from aside."""
    camera = mujoco.MjvCamera()
    camera.type = mujoco.mjtCamera.mjCAMERA_FREE
    ahead = goal if goal is not None else (0.0, 1.0)
    camera.lookat[:] = base[0] + _LEAD * ahead[0], base[1] + _LEAD * ahead[1], base[2] + _AIM
    camera.azimuth = math.degrees(math.atan2(ahead[1], ahead[0])) + _ASIDE
    camera.elevation = _ELEVATION
    camera.distance = _DISTANCE
    return camera


class RayScene:
    """Shaded pictures of a robot.

    Args:
        model: the ballbot.
        height, width: of the pictures, pixels.
    """

    def __init__(self, model: mujoco.MjModel, height: int, width: int) -> None:
        self._model = model
        self._data = mujoco.MjData(model)
        self._geoms = np.flatnonzero(np.isin(model.geom_type, (2, 3, 5, 6)))
        self._bound = np.array([_bound(int(model.geom_type[g]), model.geom_size[g]) for g in self._geoms])
        self._colors = _paint(model, self._geoms)
        self._ball = int(model.geom("ball").id)
        self._lens = pixel_rays(_FIELD_OF_VIEW, height, width)
        self._size = tuple(float(extent) for extent in model.hfield_size[0])
        self._half = (self._size[0], self._size[1])
        self._scale = self._size[2]
        self._terrain: NDArray[np.float32] | None = None
        self._nodes = np.empty((int(model.hfield_nrow[0]), int(model.hfield_ncol[0]), 4), np.float32)
        self._depth = np.empty((1, 1, height, width), np.float32)
        self._part = np.empty((height, width), np.int8)
        self._normal = np.empty((height, width, 3), np.float32)
        self._shadow = np.empty((height, width), np.bool_)
        self._linear = np.empty((height, width, 3), np.float32)

    def render(
        self,
        qpos: Array,
        terrain: NDArray[np.float32],
        goal: tuple[float, float] | None = None,
        path: Array | None = None,
    ) -> NDArray[np.uint8]:
        """(H, W, 3) of a configuration (nq,) on a terrain of (rows, cols) nodes in [0, 1]; see `SceneView.render`."""
        self._data.qpos[:] = qpos
        mujoco.mj_kinematics(self._model, self._data)
        self._light_terrain(terrain)
        shot = self._shot(tracking_camera(qpos[:3], goal))
        solids = self._solids()
        depth = self._depth[0, 0]
        self._draw_ground(shot, terrain)
        draw_parts(shot, solids, depth, self._part, self._normal)
        cast_shadows(shot, solids, SUN, depth, _FAR, self._shadow)
        ball = np.append(self._data.geom_xpos[self._ball], self._model.geom_size[self._ball, 0])
        arrow = np.array([*qpos[:2], *(goal if goal is not None else (0.0, 0.0))])
        relief = Relief(self._nodes, self._half, self._scale)
        trail = _NOWHERE if path is None else path
        shade(
            shot, depth, self._part, self._normal, self._shadow, relief, self._colors, ball, arrow, trail, _FAR,
            self._linear,
        )  # fmt: skip
        picture = np.empty((*depth.shape, 3), np.uint8)
        develop(self._linear, depth, self._part, picture)
        return picture

    def _light_terrain(self, terrain: NDArray[np.float32]) -> None:
        if self._terrain is None or not np.array_equal(terrain, self._terrain):
            self._terrain = terrain.copy()
            prepare_relief(self._terrain, self._half, self._scale, self._nodes)

    def _shot(self, camera: mujoco.MjvCamera) -> Shot:
        """The camera in the world, lifted where hills would swallow it."""
        azimuth, elevation = math.radians(camera.azimuth), math.radians(camera.elevation)
        ahead = np.array(
            [
                math.cos(elevation) * math.cos(azimuth),
                math.cos(elevation) * math.sin(azimuth),
                math.sin(elevation),
            ]
        )
        eye = camera.lookat - camera.distance * ahead
        eye[2] = max(eye[2], self._ground_height(eye) + _CLEARANCE)
        ahead = (camera.lookat - eye) / np.linalg.norm(camera.lookat - eye)
        right = np.cross(ahead, (0.0, 0.0, 1.0))
        right /= np.linalg.norm(right)
        return Shot(eye, np.array([right, np.cross(right, ahead), ahead]), self._lens)

    def _ground_height(self, point: Array) -> float:
        rows, cols = self._nodes.shape[:2]
        col = round((point[0] / self._size[0] + 1.0) / 2.0 * (cols - 1))
        row = round((point[1] / self._size[1] + 1.0) / 2.0 * (rows - 1))
        return float(self._nodes[min(max(row, 0), rows - 1), min(max(col, 0), cols - 1), 0])

    def _solids(self) -> Solids:
        position = self._data.geom_xpos[self._geoms]
        centre = 0.5 * ((position - self._bound[:, None]).min(0) + (position + self._bound[:, None]).max(0))
        radius = (np.linalg.norm(position - centre, axis=1) + self._bound).max()
        return Solids(
            kind=self._model.geom_type[self._geoms].astype(np.int64),
            position=position,
            rotation=self._data.geom_xmat[self._geoms].reshape(-1, 3, 3),
            size=self._model.geom_size[self._geoms],
            bound=self._bound,
            whole=np.append(centre, radius),
        )

    def _draw_ground(self, shot: Shot, terrain: NDArray[np.float32]) -> None:
        """Depth of the ground; `_FAR` where there is none."""
        view = np.zeros((1, 1, 11, 3))
        view[0, 0, 0], view[0, 0, 1:4] = shot.eye, shot.axes
        self._depth[:] = 1.0 / _FAR
        window = np.array([[[0.0, self._depth.shape[3], _FAR]]])
        lens = np.array([self._lens])
        draw_terrain(view, np.zeros(1, np.int64), self._depth, terrain[None], window, lens, self._size, _FAR)


def _bound(kind: int, size: Array) -> float:
    """Radius of a sphere around a geom."""
    if kind == mujoco.mjtGeom.mjGEOM_BOX:
        return float(np.linalg.norm(size))
    if kind == mujoco.mjtGeom.mjGEOM_CAPSULE:
        return float(size[0] + size[1])
    return float(size[0]) if kind == mujoco.mjtGeom.mjGEOM_SPHERE else float(np.hypot(size[0], size[1]))


def _paint(model: mujoco.MjModel, geoms: NDArray[np.int64]) -> Array:
    """(2 P, 3) linear colours of the parts, and of the ball's other octants, so that its rolling shows."""
    colors = model.geom_rgba[geoms, :3].astype(np.float64) ** 2
    others = np.where((geoms == model.geom("ball").id)[:, None], (0.9, 0.88, 0.82), colors)
    return np.concatenate([colors, others])
