"""Depth cameras: every robot's images at once, without OpenGL; each pixel is what a ray through its centre would find.

The nearest surface is the nearest of four:

1. what is fixed to the cameras (tower, ballast, the other camera's arm): the same in every image, cast once by MuJoCo;
2. the ball and 3. the wheels: intersected exactly, within the rectangle of pixels that can see them (`depth_solids`);
4. the terrain: its triangles in view are drawn (`depth_terrain`). So near the ground a camera sees each cell in dozens
   of pixels, and visiting cells is far cheaper than following rays.

Until it is done an image holds *nearness*, 1 / depth: the greatest on its ray is what a pixel sees, and on a plane it
is an affine function of column and row. Geoms of the camera's own body are not seen, as in the reference (`mj_ray` with
`bodyexclude`).
"""

import copy
import math
from concurrent.futures import ThreadPoolExecutor

import mujoco
import numpy as np
from numpy.typing import NDArray

from poise.sim.depth_solids import Lens, draw_solids
from poise.sim.depth_terrain import draw_terrain
from poise.sim.kinematics import RobotGeometry, camera_views, robot_geometry

Array = NDArray[np.float64]
Image = NDArray[np.float32]

_FIXED_GROUP = 5


class DepthCameras:
    """The robot's depth cameras, for any number of robots.

    Args:
        model: the ballbot, with the size of its terrain.
        names: of the cameras, in the order of the images.
        height, width: of the images, pixels.
        max_depth: clip, m.
        pool: threads to share the robots among, with their number.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        names: tuple[str, ...],
        height: int = 64,
        width: int = 64,
        max_depth: float = 1.0,
        pool: ThreadPoolExecutor | None = None,
        threads: int = 1,
    ) -> None:
        self.names = names
        self.geometry: RobotGeometry = robot_geometry(model, names)
        self.max_depth = max_depth
        rays = [pixel_rays(float(model.camera(name).fovy[0]), height, width) for name in names]
        fixed = [
            _cast_fixed(model, name, lens, (height, width), max_depth) for name, lens in zip(names, rays, strict=True)
        ]
        self._lenses = np.array(rays)
        self._fixed = (1.0 / np.array(fixed)).astype(np.float32)
        self._windows = np.array([_windows(depth, max_depth) for depth in fixed])
        self._radii = (self.geometry.ball_radius, self.geometry.wheel_radius)
        self._size = tuple(float(extent) for extent in model.hfield_size[0])
        self._pool = pool
        self._threads = threads

    def render(self, qpos: Array, terrain: Image, robots: NDArray[np.int64], out: Image) -> None:
        """Depth images of some robots.

        Args:
            qpos: (N, nq) configurations of all robots.
            terrain: (N, rows, cols) node heights in [0, 1] of all robots' terrains.
            robots: (K,) which to render.
            out: (N, C, H, W) m, clipped to `max_depth`, row 0 at the top; images of other robots stay as they are.
        """
        chunks = [part for part in np.array_split(robots, self._threads) if len(part)]
        if self._pool is None or len(chunks) < 2:
            for part in chunks:
                self._render(qpos, terrain, part, out)
        else:
            for done in [self._pool.submit(self._render, qpos, terrain, part, out) for part in chunks]:
                done.result()

    def _render(self, qpos: Array, terrain: Image, robots: NDArray[np.int64], out: Image) -> None:
        views = np.empty((len(robots), len(self.names), 11, 3))
        camera_views(qpos, robots, self.geometry, views)
        draw_solids(views, robots, out, self._fixed, self._lenses, self._radii)
        draw_terrain(views, robots, out, terrain, self._windows, self._lenses, self._size, self.max_depth)


def pixel_rays(fovy: float, height: int, width: int) -> Lens:
    """The rays through the pixels' centres, row 0 at the top.

    Args:
        fovy: vertical field of view, degrees.
        height, width: of the image; its pixels are square.
    """
    half = math.tan(math.radians(fovy) / 2.0)
    step = 2.0 * half / height
    return 0.5 * step * (1 - width), 0.5 * step * (height - 1), step


def _cast_fixed(model: mujoco.MjModel, name: str, lens: Lens, shape: tuple[int, int], max_depth: float) -> Array:
    """(H, W) depth of the geoms that are rigidly fixed to the base, but for the camera's own body; m."""
    marked = copy.copy(model)
    fixed = [b for b in range(model.nbody) if model.body_weldid[b] == model.body("base").id]
    marked.geom_group[:] = np.where(np.isin(model.geom_bodyid, fixed), _FIXED_GROUP, 0)
    groups = (np.arange(6) == _FIXED_GROUP).astype(np.uint8)
    data = mujoco.MjData(marked)
    mujoco.mj_forward(marked, data)
    camera = data.camera(name)
    body = int(model.camera(name).bodyid[0])
    left, top, step = lens
    depth = np.full(shape, max_depth)
    for row, col in np.ndindex(depth.shape):
        ray = camera.xmat.reshape(3, 3) @ (left + step * col, top - step * row, -1.0)
        length = float(np.linalg.norm(ray))
        hit = mujoco.mj_ray(marked, data, camera.xpos, ray / length, groups, 1, body, np.zeros(1, np.int32), None)
        if hit >= 0.0:
            depth[row, col] = min(hit / length, max_depth)
    return depth


def _windows(fixed: Array, max_depth: float) -> Array:
    """(3, 3) where to look for terrain and how far: first column, column after the last, and greatest depth there, m.

    What is fixed to the robot may close the view at the sides.
    """
    open_columns = np.flatnonzero((fixed >= max_depth).any(0))
    first, end = (open_columns[0], open_columns[-1] + 1) if len(open_columns) else (0, 0)
    spans = ((0, first), (first, end), (end, fixed.shape[1]))
    return np.array([(a, b, fixed[:, a:b].max(initial=0.0)) for a, b in spans])
