"""Depth cameras by ray casting: every robot's images at once, without OpenGL.

A pixel's ray is `origin + depth * direction` with a direction whose component along the optical axis is 1, so the ray parameter *is*
the depth. The nearest surface along it is the least of four:

1. what is rigidly fixed to the cameras (tower, ballast, the other camera's arm): the same in every image, cast once by MuJoCo;
2. the ball, 3. the wheels: intersected exactly, within the rectangle of pixels each can cover;
4. the terrain: a walk over the grid cells under the ray, from where it dips below the highest ground in view.

Geoms of the camera's own body are not seen, as in the reference (`mj_ray` with `bodyexclude`).
"""

import copy
import math
from concurrent.futures import ThreadPoolExecutor

import mujoco
import numpy as np
from numba import njit
from numpy.typing import NDArray

from poise.sim.kinematics import RobotGeometry, robot_geometry, rotate_about, rotation_matrix

Array = NDArray[np.float64]
Image = NDArray[np.float32]

_options = {"cache": True, "error_model": "numpy", "nogil": True}
_FIXED_GROUP = 5
_TILE = 8
_SLACK = 1e-9


class DepthCameras:
    """The robot's depth cameras, for any number of robots.

    Args:
        model: the ballbot.
        names: of the cameras, in the order of the images.
        height, width: of the images, pixels.
        max_depth: clip, m.
        terrain_size: half extents in x and y and the height scale of the heightfield, m.
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
        self._size = tuple(float(s) for s in model.hfield_size[0, :3])
        self._slopes = [pixel_slopes(float(model.camera(name).fovy[0]), height, width) for name in names]
        self._columns = np.array([columns for columns, _ in self._slopes])
        self._rows = np.array([rows for _, rows in self._slopes])
        self._fixed = np.array([self._cast_fixed(model, i) for i in range(len(names))], np.float32)
        self._pool = pool
        self._threads = threads

    def render(self, qpos: Array, terrain: Image, robots: NDArray[np.int64], out: Image) -> None:
        """Depth images of some robots.

        Args:
            qpos: (N, nq) configurations of all robots.
            terrain: (N, rows, cols) node heights in [0, 1] of all robots' terrains.
            robots: (K,) which to render.
            out: (N, C, H, W) m, clipped to `max_depth`; rows of other robots stay as they are. Row 0 is the top of the image.
        """
        chunks = [part for part in np.array_split(robots, self._threads) if len(part)]
        jobs = [(qpos, terrain, part, out, self.geometry, *self._constants) for part in chunks]
        if self._pool is None or len(jobs) < 2:
            for job in jobs:
                _render(*job)
        else:
            for done in [self._pool.submit(_render, *job) for job in jobs]:
                done.result()

    @property
    def _constants(self) -> tuple[Array, Array, Image, tuple[float, ...], float]:
        return self._columns, self._rows, self._fixed, self._size, self.max_depth

    def _cast_fixed(self, model: mujoco.MjModel, camera: int) -> Image:
        """(H, W) depth of the geoms that are rigidly fixed to the base, but for the camera's own body; m."""
        marked = copy.copy(model)
        view = model.camera(self.names[camera])
        fixed = [b for b in range(model.nbody) if model.body_weldid[b] == model.body("base").id]
        marked.geom_group[:] = np.where(np.isin(model.geom_bodyid, fixed), _FIXED_GROUP, 0)
        data = mujoco.MjData(marked)
        mujoco.mj_forward(marked, data)
        columns, rows = self._slopes[camera]
        x, y = np.meshgrid(columns, rows)
        rays = np.stack([x, y, -np.ones_like(x)], -1) @ data.cam_xmat[view.id].reshape(3, 3).T
        lengths = np.linalg.norm(rays, axis=-1)
        groups = (np.arange(6) == _FIXED_GROUP).astype(np.uint8)
        geom = np.zeros(1, np.int32)
        depth = np.full(x.shape, np.float32(self.max_depth))
        for pixel in np.ndindex(x.shape):
            ray = rays[pixel] / lengths[pixel]
            hit = mujoco.mj_ray(marked, data, data.cam_xpos[view.id], ray, groups, 1, int(view.bodyid[0]), geom, None)
            if hit >= 0.0:
                depth[pixel] = min(hit / lengths[pixel], self.max_depth)
        return depth


def pixel_slopes(fovy: float, height: int, width: int) -> tuple[Array, Array]:
    """Slopes of the rays through the pixels' centres: (W,) to the right and (H,) upwards, top row first.

    Args:
        fovy: vertical field of view, degrees.
        height, width: pixels; they are square.
    """
    half = math.tan(math.radians(fovy) / 2.0)
    rows = half * (1.0 - 2.0 * (np.arange(height) + 0.5) / height)
    columns = half * width / height * (2.0 * (np.arange(width) + 0.5) / width - 1.0)
    return columns, rows


@njit(**_options)
def _render(
    qpos: Array,
    terrain: Image,
    robots: NDArray[np.int64],
    out: Image,
    geometry: RobotGeometry,
    columns: Array,
    rows: Array,
    fixed: Image,
    size: tuple[float, float, float],
    max_depth: float,
) -> None:
    base = np.empty((3, 3))
    axes = np.empty((3, 3))
    rotated = np.empty(3)
    ball_rotation = np.empty((3, 3))
    ends = np.empty((6, 3))
    for k in range(len(robots)):
        n = robots[k]
        q = qpos[n]
        position = q[geometry.base_qpos : geometry.base_qpos + 3]
        rotation_matrix(q[geometry.base_qpos + 3 : geometry.base_qpos + 7], base)
        rotation_matrix(q[geometry.ball_qpos + 3 : geometry.ball_qpos + 7], ball_rotation)
        ball = q[geometry.ball_qpos : geometry.ball_qpos + 3] + ball_rotation @ geometry.ball_centre
        for wheel in range(3):
            angle = q[geometry.wheel_qpos[wheel]]
            anchor = geometry.wheel_anchor[wheel]
            for end in range(2):
                rotate_about(geometry.wheel_axis[wheel], angle, geometry.wheel_ends[wheel, end] - anchor, rotated)
                ends[2 * wheel + end] = position + base @ (anchor + rotated)
        for camera in range(len(geometry.camera_position)):
            origin = position + base @ geometry.camera_position[camera]
            axes[:] = base @ geometry.camera_rotation[camera]
            image = out[n, camera]
            image[:] = fixed[camera]
            _draw_capsule(image, origin, axes, columns[camera], rows[camera], ball, ball, geometry.ball_radius)
            for wheel in range(3):
                _draw_capsule(
                    image, origin, axes, columns[camera], rows[camera], ends[2 * wheel], ends[2 * wheel + 1],
                    geometry.wheel_radius,
                )  # fmt: skip
            _draw_terrain(image, origin, axes, columns[camera], rows[camera], terrain[n], size, max_depth)


@njit(**_options)
def _draw_capsule(
    image: Image, origin: Array, axes: Array, columns: Array, rows: Array, a: Array, b: Array, radius: float
) -> None:
    """Lower the depth of the pixels that see the capsule from `a` to `b` (a sphere where they are equal)."""
    height, width = image.shape
    middle = 0.5 * (a + b) - origin
    bound = radius + 0.5 * math.sqrt(np.sum((b - a) ** 2))
    x = np.sum(middle * axes[:, 0])
    y = np.sum(middle * axes[:, 1])
    depth = -np.sum(middle * axes[:, 2])
    left, right = _silhouette(x, depth, bound)
    bottom, top = _silhouette(y, depth, bound)
    ax, ay, az = a[0] - origin[0], a[1] - origin[1], a[2] - origin[2]
    bax, bay, baz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    length2 = bax * bax + bay * bay + baz * baz
    for row in range(height):
        if rows[row] < bottom or rows[row] > top:
            continue
        for col in range(width):
            if columns[col] < left or columns[col] > right:
                continue
            dx = columns[col] * axes[0, 0] + rows[row] * axes[0, 1] - axes[0, 2]
            dy = columns[col] * axes[1, 0] + rows[row] * axes[1, 1] - axes[1, 2]
            dz = columns[col] * axes[2, 0] + rows[row] * axes[2, 1] - axes[2, 2]
            t = _ray_sphere(dx, dy, dz, ax, ay, az, radius)
            if length2 > 0.0:
                t = min(t, _ray_sphere(dx, dy, dz, ax + bax, ay + bay, az + baz, radius))
                t = min(t, _ray_tube(dx, dy, dz, ax, ay, az, bax, bay, baz, length2, radius))
            if t < image[row, col]:
                image[row, col] = t


@njit(**_options)
def _silhouette(aside: float, ahead: float, radius: float) -> tuple[float, float]:
    """Least and greatest slope aside / ahead at which a circle is seen from the origin; an empty range when it lies behind."""
    distance2 = aside * aside + ahead * ahead
    if distance2 <= radius * radius:
        return -math.inf, math.inf
    direction = math.atan2(aside, ahead)
    spread = math.asin(radius / math.sqrt(distance2))
    least, greatest = direction - spread, direction + spread
    quarter = 0.5 * math.pi
    if least >= quarter or greatest <= -quarter:
        return math.inf, -math.inf
    return (
        math.tan(least) if least > -quarter else -math.inf,
        math.tan(greatest) if greatest < quarter else math.inf,
    )


@njit(**_options)
def _ray_sphere(dx: float, dy: float, dz: float, cx: float, cy: float, cz: float, radius: float) -> float:
    """Ray parameter at which a ray from the origin along d enters the sphere at c, infinite for a miss."""
    dd = dx * dx + dy * dy + dz * dz
    dc = dx * cx + dy * cy + dz * cz
    discriminant = dc * dc - dd * (cx * cx + cy * cy + cz * cz - radius * radius)
    if discriminant < 0.0:
        return math.inf
    t = (dc - math.sqrt(discriminant)) / dd
    return t if t >= 0.0 else math.inf


@njit(**_options)
def _ray_tube(
    dx: float, dy: float, dz: float, ax: float, ay: float, az: float,
    ex: float, ey: float, ez: float, length2: float, radius: float,
) -> float:  # fmt: skip
    """Ray parameter at which a ray from the origin along d enters the open tube around a to a + e, infinite for a miss."""
    de = dx * ex + dy * ey + dz * ez
    ae = ax * ex + ay * ey + az * ez
    dd = dx * dx + dy * dy + dz * dz
    da = dx * ax + dy * ay + dz * az
    quadratic = dd - de * de / length2
    if quadratic <= 1e-14 * dd:
        return math.inf  # along the axis: only the end caps can be hit
    linear = da - de * ae / length2
    constant = ax * ax + ay * ay + az * az - ae * ae / length2 - radius * radius
    discriminant = linear * linear - quadratic * constant
    if discriminant < 0.0:
        return math.inf
    t = (linear - math.sqrt(discriminant)) / quadratic
    along = t * de - ae
    return t if t >= 0.0 and 0.0 <= along <= length2 else math.inf


@njit(**_options)
def _draw_terrain(
    image: Image,
    origin: Array,
    axes: Array,
    columns: Array,
    rows: Array,
    heights: Image,
    size: tuple[float, float, float],
    max_depth: float,
) -> None:
    """Lower the depth of the pixels that see the terrain; in units of cells horizontally and of metres vertically.

    Tile by tile: the ground below a tile spans a thin slab of heights, and a ray can only hit inside it.
    """
    per_x = (heights.shape[1] - 1) / (2.0 * size[0])
    per_y = (heights.shape[0] - 1) / (2.0 * size[1])
    u0 = (origin[0] + size[0]) * per_x
    v0 = (origin[1] + size[1]) * per_y
    z0 = origin[2]
    corners = np.empty((4, 3))
    for top in range(0, len(rows), _TILE):
        below = min(top + _TILE, len(rows))
        for left in range(0, len(columns), _TILE):
            beyond = min(left + _TILE, len(columns))
            for i in range(4):
                y = rows[top if i < 2 else below - 1]
                x = columns[left if i % 2 == 0 else beyond - 1]
                corners[i, 0] = (x * axes[0, 0] + y * axes[0, 1] - axes[0, 2]) * per_x
                corners[i, 1] = (x * axes[1, 0] + y * axes[1, 1] - axes[1, 2]) * per_y
                corners[i, 2] = x * axes[2, 0] + y * axes[2, 1] - axes[2, 2]
            farthest = image[top:below, left:beyond].max()
            floor, ceiling = _slab(heights, size[2], u0, v0, z0, corners, 0.0, size[2], farthest)
            floor, ceiling = _slab(heights, size[2], u0, v0, z0, corners, floor, ceiling, farthest)
            for row in range(top, below):
                for col in range(left, beyond):
                    dz = columns[col] * axes[2, 0] + rows[row] * axes[2, 1] - axes[2, 2]
                    start, limit = _crossing(z0, dz, floor, ceiling, image[row, col])
                    if start >= limit:
                        continue
                    du = (columns[col] * axes[0, 0] + rows[row] * axes[0, 1] - axes[0, 2]) * per_x
                    dv = (columns[col] * axes[1, 0] + rows[row] * axes[1, 1] - axes[1, 2]) * per_y
                    t = _walk(heights, size[2], u0, v0, z0, du, dv, dz, start, limit)
                    if t < image[row, col]:
                        image[row, col] = t


@njit(**_options)
def _crossing(z0: float, dz: float, floor: float, ceiling: float, limit: float) -> tuple[float, float]:
    """Ray parameters between which z0 + t dz lies in the slab [floor, ceiling], within [0, limit]; empty if the first is not less."""
    if abs(dz) < 1e-12:
        return (0.0, limit) if floor <= z0 <= ceiling else (limit, limit)
    one = (floor - z0) / dz
    other = (ceiling - z0) / dz
    return max(min(one, other) - _SLACK, 0.0), min(max(one, other) + _SLACK, limit)


@njit(**_options)
def _slab(
    heights: Image, scale: float, u0: float, v0: float, z0: float, corners: Array, floor: float, ceiling: float, limit: float
) -> tuple[float, float]:
    """Lowest and highest ground, m, where rays between four corner directions pass between `floor` and `ceiling`."""
    start = math.inf
    end = 0.0
    for i in range(4):
        enter, leave = _crossing(z0, corners[i, 2], floor, ceiling, limit)
        start = min(start, enter)
        end = max(end, leave)
    u_low, u_high, v_low, v_high = math.inf, -math.inf, math.inf, -math.inf
    for i in range(4):
        for t in (start, end):
            u_low, u_high = min(u_low, u0 + t * corners[i, 0]), max(u_high, u0 + t * corners[i, 0])
            v_low, v_high = min(v_low, v0 + t * corners[i, 1]), max(v_high, v0 + t * corners[i, 1])
    first_row, last_row = max(int(math.floor(v_low)), 0), min(int(math.floor(v_high)) + 1, heights.shape[0] - 1)
    first_col, last_col = max(int(math.floor(u_low)), 0), min(int(math.floor(u_high)) + 1, heights.shape[1] - 1)
    lowest, highest = np.float32(1.0), np.float32(0.0)
    for row in range(first_row, last_row + 1):
        for col in range(first_col, last_col + 1):
            lowest = min(lowest, heights[row, col])
            highest = max(highest, heights[row, col])
    return scale * lowest, scale * highest


@njit(**_options)
def _walk(
    heights: Image, scale: float, u0: float, v0: float, z0: float, du: float, dv: float, dz: float, start: float, limit: float
) -> float:
    """Ray parameter of the first hit between `start` and `limit`, infinite without one (Amanatides and Woo, 1987).

    The ray is (u0, v0, z0) + t (du, dv, dz) with u and v in cells; `scale` turns node heights into metres. Off the map there is
    no ground.
    """
    last_row, last_col = heights.shape[0] - 2, heights.shape[1] - 2
    col = int(math.floor(u0 + start * du))
    row = int(math.floor(v0 + start * dv))
    end_col = int(math.floor(u0 + limit * du))
    end_row = int(math.floor(v0 + limit * dv))
    if col == end_col and row == end_row:  # most rays cross the slab within one cell
        if col < 0 or row < 0 or col > last_col or row > last_row:
            return math.inf
        return _ray_cell(heights, scale, row, col, u0, v0, z0, du, dv, dz, start, limit)
    step_u = 1 if du > 0.0 else -1
    step_v = 1 if dv > 0.0 else -1
    per_u = 1.0 / du if du != 0.0 else math.inf
    per_v = 1.0 / dv if dv != 0.0 else math.inf
    next_u = (col + (du > 0.0) - u0) * per_u if du != 0.0 else math.inf
    next_v = (row + (dv > 0.0) - v0) * per_v if dv != 0.0 else math.inf
    per_u, per_v = abs(per_u), abs(per_v)
    t = start
    while t < limit:
        leave = min(min(next_u, next_v), limit)
        if 0 <= col <= last_col and 0 <= row <= last_row:
            hit = _ray_cell(heights, scale, row, col, u0, v0, z0, du, dv, dz, t, leave)
            if hit < math.inf:
                return hit
        if next_u < next_v:
            col += step_u
            t = next_u
            next_u += per_u
        else:
            row += step_v
            t = next_v
            next_v += per_v
    return math.inf


@njit(**_options)
def _ray_cell(
    heights: Image, scale: float, row: int, col: int, u: float, v: float, z: float,
    du: float, dv: float, dz: float, enter: float, leave: float,
) -> float:  # fmt: skip
    """First hit of a ray with a cell's two triangles, which meet along the diagonal from (row, col) to (row + 1, col + 1)."""
    h00 = scale * heights[row, col]
    h10 = scale * heights[row, col + 1]
    h01 = scale * heights[row + 1, col]
    h11 = scale * heights[row + 1, col + 1]
    lowest = z + dz * (leave if dz < 0.0 else enter)
    if lowest > max(max(h00, h10), max(h01, h11)) + _SLACK:
        return math.inf
    u -= col
    v -= row
    best = math.inf
    for half in range(2):
        along_u = h10 - h00 if half == 0 else h11 - h01
        along_v = h11 - h10 if half == 0 else h01 - h00
        closing = along_u * du + along_v * dv - dz
        if abs(closing) < 1e-15:
            continue
        t = (z - h00 - along_u * u - along_v * v) / closing
        if t < enter - _SLACK or t > leave + _SLACK or t >= best:
            continue
        above_diagonal = (v + t * dv) - (u + t * du)
        if (above_diagonal <= _SLACK) if half == 0 else (above_diagonal >= -_SLACK):
            best = t
    return best
