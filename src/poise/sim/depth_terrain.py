"""The terrain in a depth image, drawn triangle by triangle.

A vertex has pixel coordinates p = depth * (column, row, 1). The ray of a pixel meets the triangle (p_a, p_b, p_c) where
(column, row, 1) = sum of b_i p_i, so b_a = (p_b x p_c) . (column, row, 1) / det(p_a, p_b, p_c): the pixel sees the
triangle if no b_i is negative, and its nearness there (see `poise.sim.depth`) is b_a + b_b + b_c. This holds for
vertices beside and behind the camera too, so nothing is clipped (Olano and Greer, "Triangle scan conversion using 2D
homogeneous coordinates", 1997).
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from poise.sim.depth_solids import Lens, Span

Array = NDArray[np.float64]
Image = NDArray[np.float32]
Codes = NDArray[np.uint8]


class Eye(NamedTuple):
    """A camera, and the rows and columns of its image to draw."""

    frame: Array
    """(11, 3) of `poise.sim.kinematics.camera_views`, beginning with position and axes right, up and ahead."""
    lens: Lens
    rows: Span
    columns: Span
    max_depth: float


class Ground(NamedTuple):
    """A heightfield."""

    heights: Image
    """(rows, cols) in [0, 1]."""
    size: tuple[float, float, float, float]
    """Half extents in x and y, height scale, depth of the foot below zero; m."""


# No function of another file is called: numba's cache would not notice when that one changes.
_options = {"cache": True, "error_model": "numpy", "nogil": True, "fastmath": {"contract", "nsz"}}
_SLACK = 1e-9
_BEHIND = np.uint8(32)


@njit(**_options)
def draw_terrain(
    views: Array,
    robots: NDArray[np.int64],
    out: Image,
    terrain: Image,
    windows: Array,
    lenses: Array,
    size: tuple[float, float, float, float],
    max_depth: float,
) -> None:
    """Finish the images of some robots.

    Args:
        views: (K, C, 11, 3) of `poise.sim.kinematics.camera_views`.
        robots: (K,) which of the N.
        out: (N, C, H, W) nearness, 1 / m; becomes depth, m.
        terrain: (N, rows, cols) node heights in [0, 1].
        windows: (C, W, 3) how far to look: first column, column after the last, and the greatest depth there, m.
        lenses: (C, 3) the `Lens` of each camera.
        size: of the heightfields, as in `Ground`.
        max_depth: clip, m.
    """
    nodes = np.empty((2, terrain.shape[2] + 2, 5))
    codes = np.empty((2, terrain.shape[2] + 2), np.uint8)
    for k in range(len(robots)):
        ground = Ground(terrain[robots[k]], size)
        for camera in range(views.shape[1]):
            image = out[robots[k], camera]
            lens = (lenses[camera, 0], lenses[camera, 1], lenses[camera, 2])
            for window in windows[camera]:
                columns = (int(window[0]), int(window[1]))
                eye = Eye(views[k, camera], lens, (0, image.shape[0]), columns, window[2])
                _draw_ground(image, eye, ground, nodes, codes)
            _invert(image, np.float32(max_depth))


@njit(**_options)
def _invert(image: Image, max_depth: np.float32) -> None:
    """Turn nearness into depth."""
    for row in range(image.shape[0]):
        for col in range(image.shape[1]):
            image[row, col] = min(np.float32(1.0) / image[row, col], max_depth)


@njit(**_options)
def _draw_ground(image: Image, eye: Eye, ground: Ground, nodes: Array, codes: Codes) -> None:
    """The ground, and the walls around the map: the cells between its rim and the skirt (see `_project`)."""
    floor, ceiling = -ground.size[3], ground.size[2]
    for _ in range(2):  # again between the heights of the ground in view
        rows, cols = _footprint(eye, ground, floor, ceiling)
        floor, ceiling = _height_range(ground, rows, cols)
    projection = _projection(eye, ground)
    for row in range(rows[0], rows[1]):
        last, this = (row - 1) & 1, row & 1
        _project(eye, ground, projection, row, cols, nodes[this], codes[this])
        if row == rows[0]:
            continue
        for i in range(cols[1] - cols[0] - 1):
            if codes[0, i] & codes[0, i + 1] & codes[1, i] & codes[1, i + 1]:
                continue  # all four lie beyond the same border of the view
            ahead = (codes[0, i] | codes[0, i + 1] | codes[1, i] | codes[1, i + 1]) & _BEHIND == 0
            _draw_triangle(image, eye, nodes[last, i], nodes[last, i + 1], nodes[this, i + 1], ahead)
            _draw_triangle(image, eye, nodes[last, i], nodes[this, i], nodes[this, i + 1], ahead)


@njit(**_options)
def _footprint(eye: Eye, ground: Ground, floor: float, ceiling: float) -> tuple[Span, Span]:
    """Rows and columns of the nodes, skirt included, around the part of the view's pyramid between two heights.

    Every corner of that part is on one of the pyramid's eight edges.
    """
    left, top, step = eye.lens
    frame = eye.frame
    corners = np.zeros((5, 3))  # from the camera, which is the last
    for i in range(4):
        x = left + step * (eye.columns[1] - 1 if i in (1, 2) else eye.columns[0])
        y = top - step * (eye.rows[1] - 1 if i in (2, 3) else eye.rows[0])
        for j in range(3):
            corners[i, j] = eye.max_depth * (x * frame[1, j] + y * frame[2, j] + frame[3, j])
    below, above = floor - _SLACK - frame[0, 2], ceiling + _SLACK - frame[0, 2]
    x_low, x_high, y_low, y_high = math.inf, -math.inf, math.inf, -math.inf
    for edge in range(8):
        a = corners[edge % 4]
        b = corners[(edge + 1) % 4 if edge < 4 else 4]
        slope = 1.0 / (b[2] - a[2]) if b[2] != a[2] else math.inf
        s, t = (below - a[2]) * slope, (above - a[2]) * slope
        enter, leave = max(min(s, t), 0.0), min(max(s, t), 1.0)
        if enter <= leave:
            for along in (enter, leave):
                x, y = a[0] + along * (b[0] - a[0]), a[1] + along * (b[1] - a[1])
                x_low, x_high = min(x_low, x), max(x_high, x)
                y_low, y_high = min(y_low, y), max(y_high, y)
    rows, cols = ground.heights.shape
    return (
        _nodes_around(y_low + frame[0, 1], y_high + frame[0, 1], ground.size[1], rows),
        _nodes_around(x_low + frame[0, 0], x_high + frame[0, 0], ground.size[0], cols),
    )


@njit(**_options)
def _nodes_around(low: float, high: float, half: float, count: int) -> Span:
    """Nodes around a range of positions, m; number -1 and `count` are the skirt."""
    if low > high:
        return 0, 0
    per_metre = (count - 1) / (2.0 * half)
    first = math.floor(min(max((low + half) * per_metre - _SLACK, -1.0), float(count)))
    last = math.ceil(min(max((high + half) * per_metre + _SLACK, -1.0), float(count)))
    return int(first), int(last) + 1


@njit(**_options)
def _height_range(ground: Ground, rows: Span, cols: Span) -> tuple[float, float]:
    """Lowest and highest of some nodes, m."""
    heights, size = ground
    lowest, highest = np.float32(1.0), np.float32(0.0)
    for row in range(max(rows[0], 0), min(rows[1], heights.shape[0])):
        for col in range(max(cols[0], 0), min(cols[1], heights.shape[1])):
            lowest = min(lowest, heights[row, col])
            highest = max(highest, heights[row, col])
    skirt = rows[0] < 0 or cols[0] < 0 or rows[1] > heights.shape[0] or cols[1] > heights.shape[1]
    return -size[3] if skirt else size[2] * float(lowest), size[2] * float(highest)


@njit(**_options)
def _projection(eye: Eye, ground: Ground) -> Array:
    """(3, 4) what turns (grid column, grid row, height in m, 1) into pixel coordinates."""
    left, top, step = eye.lens
    frame, size = eye.frame, ground.size
    rows, cols = ground.heights.shape
    out = np.empty((3, 4))
    for i in range(3):
        right, up, ahead = frame[1, i], frame[2, i], frame[3, i]
        out[0, i] = (right - left * ahead) / step
        out[1, i] = (top * ahead - up) / step
        out[2, i] = ahead
    for i in range(3):
        out[i, 3] = -(
            out[i, 0] * (size[0] + frame[0, 0]) + out[i, 1] * (size[1] + frame[0, 1]) + out[i, 2] * frame[0, 2]
        )
        out[i, 0] *= 2.0 * size[0] / (cols - 1)
        out[i, 1] *= 2.0 * size[1] / (rows - 1)
    return out


@njit(**_options)
def _project(eye: Eye, ground: Ground, projection: Array, row: int, cols: Span, nodes: Array, codes: Codes) -> None:
    """Place a grid row's nodes: pixel coordinates (3), column, row; and a bit per border of the view they are past.

    Around the map runs a skirt of nodes, -1 and rows or cols, vertically below its rim, at the foot of the walls.
    """
    heights, size = ground
    p = projection
    rim_row = min(max(row, 0), heights.shape[0] - 1)
    for i in range(cols[1] - cols[0]):
        col = cols[0] + i
        rim_col = min(max(col, 0), heights.shape[1] - 1)
        z = size[2] * heights[rim_row, rim_col] if (row == rim_row) & (col == rim_col) else -size[3]
        x = p[0, 0] * rim_col + p[0, 1] * rim_row + p[0, 2] * z + p[0, 3]
        y = p[1, 0] * rim_col + p[1, 1] * rim_row + p[1, 2] * z + p[1, 3]
        depth = p[2, 0] * rim_col + p[2, 1] * rim_row + p[2, 2] * z + p[2, 3]
        nodes[i, 0], nodes[i, 1], nodes[i, 2] = x, y, depth
        nodes[i, 3], nodes[i, 4] = x / depth, y / depth
        codes[i] = (
            np.uint8(x < eye.columns[0] * depth)
            | np.uint8(x > (eye.columns[1] - 1) * depth) << 1
            | np.uint8(y < eye.rows[0] * depth) << 2
            | np.uint8(y > (eye.rows[1] - 1) * depth) << 3
            | np.uint8(depth > eye.max_depth) << 4
            | np.uint8(depth <= 0.0) * _BEHIND
        )


@njit(**_options)
def _draw_triangle(image: Image, eye: Eye, a: Array, b: Array, c: Array, ahead: bool) -> None:
    """Draw between three nodes (5,); the pixels to try are those around them, or all if a node is not `ahead`."""
    rows, cols = eye.rows, eye.columns
    if ahead:
        cols = _pixels(min(a[3], b[3], c[3]), max(a[3], b[3], c[3]), cols)
        rows = _pixels(min(a[4], b[4], c[4]), max(a[4], b[4], c[4]), rows)
        if rows[0] >= rows[1] or cols[0] >= cols[1]:
            return
    ax, ay, a1 = b[1] * c[2] - b[2] * c[1], b[2] * c[0] - b[0] * c[2], b[0] * c[1] - b[1] * c[0]
    bx, by, b1 = c[1] * a[2] - c[2] * a[1], c[2] * a[0] - c[0] * a[2], c[0] * a[1] - c[1] * a[0]
    cx, cy, c1 = a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]
    determinant = a[0] * ax + a[1] * ay + a[2] * a1
    if abs(determinant) < 1e-14:
        return  # seen edge-on
    scale = 1.0 / determinant
    ax, bx, cx = ax * scale, bx * scale, cx * scale
    for row in range(rows[0], rows[1]):
        a0 = (ay * row + a1) * scale
        b0 = (by * row + b1) * scale
        c0 = (cy * row + c1) * scale
        line = image[row, cols[0] : cols[1]]
        for i in range(len(line)):
            col = cols[0] + i
            share_a = a0 + ax * col
            share_b = b0 + bx * col
            share_c = c0 + cx * col
            nearness = share_a + share_b + share_c
            seen = (min(min(share_a, share_b), share_c) >= -_SLACK) & (nearness > line[i])
            line[i] = nearness if seen else line[i]


@njit(**_options)
def _pixels(least: float, greatest: float, of: Span) -> Span:
    """Pixels of[0] <= i < of[1] with least <= i <= greatest: the first, and the one after the last."""
    first = math.ceil(min(max(least - _SLACK, float(of[0])), float(of[1])))
    last = math.floor(max(min(greatest + _SLACK, of[1] - 1.0), of[0] - 1.0))
    return int(first), int(last) + 1
