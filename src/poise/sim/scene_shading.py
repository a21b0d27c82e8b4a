"""The colours of a picture: sun and sky on the robot and on the ground, from what `poise.sim.scene_rays` has found.

Lengths in metres, in the world frame; colours are linear until the last step.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from poise.sim.scene_rays import Array, Image, Parts, Shot, Triple

# No function of another file is called: numba's cache would not notice when that one changes.
_options = {"cache": True, "error_model": "numpy", "nogil": True, "fastmath": {"contract", "nsz", "arcp"}}

SUN: Triple = (-0.36, -0.65, 0.669254)
"""Unit vector towards it."""
_SUN_COLOR: Triple = (1.75, 1.50, 1.15)
_SKY_COLOR: Triple = (0.24, 0.32, 0.46)
_HORIZON: Triple = (0.60, 0.74, 0.88)
_ZENITH: Triple = (0.10, 0.27, 0.60)
_LOW: Triple = (0.03, 0.12, 0.13)
_MIDDLE: Triple = (0.13, 0.22, 0.06)
_HIGH: Triple = (0.55, 0.38, 0.19)
_SOIL: Triple = (0.22, 0.15, 0.10)
_GOAL: Triple = (0.95, 0.75, 0.10)
_PATH: Triple = (0.85, 0.85, 0.80)
_PATH_WIDTH = 0.016
"""Of the line that the robot has come along, m."""
_HAZE = 20.0
"""Distance at which the ground has all but faded into the horizon, m."""
_CHECKER = 0.5
"""Side of the squares on the ground, m."""
_CONTOUR = 0.02
"""Height between two contour lines, m."""


class Relief(NamedTuple):
    """The ground, prepared by `prepare_relief`."""

    nodes: Image
    """(rows, cols, 4) height, its slopes along x and y, and how much of the sun reaches it past the hills, 0 to 1."""
    half: tuple[float, float]
    """Half extents in x and y."""
    scale: float
    """Height of the highest node."""


@njit(**_options)
def prepare_relief(heights: Image, half: tuple[float, float], scale: float, out: Image) -> None:
    """Fill `Relief.nodes`: central differences, and a march towards the sun from every node."""
    rows, cols = heights.shape
    dx = 2.0 * half[0] / (cols - 1)
    dy = 2.0 * half[1] / (rows - 1)
    climb = SUN[2] / math.hypot(SUN[0], SUN[1]) * 0.5 * (dx + dy)
    east, north = SUN[0] / math.hypot(SUN[0], SUN[1]), SUN[1] / math.hypot(SUN[0], SUN[1])
    for row in range(rows):
        for col in range(cols):
            left, right = max(col - 1, 0), min(col + 1, cols - 1)
            low, high = max(row - 1, 0), min(row + 1, rows - 1)
            z = scale * heights[row, col]
            out[row, col, 0] = z
            out[row, col, 1] = scale * (heights[row, right] - heights[row, left]) / ((right - left) * dx)
            out[row, col, 2] = scale * (heights[high, col] - heights[low, col]) / ((high - low) * dy)
            light = 1.0
            for step in range(1, 1 + int((scale - z) / climb)):
                r, c = int(row + step * north + 0.5), int(col + step * east + 0.5)
                if r < 0 or c < 0 or r >= rows or c >= cols:
                    break
                light = min(light, 1.0 - 4.0 * (scale * heights[r, c] - z - step * climb) / climb / math.sqrt(step))
            out[row, col, 3] = max(light, 0.0)


@njit(**_options)
def shade(
    shot: Shot, depth: Image, part: Parts, normal: Image, shadow: NDArray[np.bool_], relief: Relief,
    colors: Array, ball: Array, arrow: Array, path: Array, far: float, out: Image,
) -> None:  # fmt: skip
    """Colour a picture.

    Args:
        shot: the camera.
        depth: (H, W) of everything; `far` and beyond is sky.
        part: (H, W) which of the parts a pixel sees, -1 for the ground.
        normal: (H, W, 3) of the parts.
        shadow: (H, W) whether the robot keeps the sun away.
        relief: the ground.
        colors: (2 P, 3) of the parts.
        ball: (4,) centre and radius, for the shade below it.
        arrow: (4,) start and direction of the goal's arrow on the ground; no direction, no arrow.
        path: (M, 2) points of the line on the ground that the robot has come along.
        far: how far the picture reaches.
        out: (H, W, 3) colours, linear.
    """
    left, top, step = shot.lens
    a = shot.axes
    base = np.empty(3)
    reach = _reach(path)
    for row in range(depth.shape[0]):
        y = top - step * row
        for col in range(depth.shape[1]):
            x = left + step * col
            length = math.sqrt(x * x + y * y + 1.0)
            dx = (x * a[0, 0] + y * a[1, 0] + a[2, 0]) / length
            dy = (x * a[0, 1] + y * a[1, 1] + a[2, 1]) / length
            dz = (x * a[0, 2] + y * a[1, 2] + a[2, 2]) / length
            distance = depth[row, col] * length
            if depth[row, col] > 0.999 * far:
                _sky(dz, out[row, col])
                continue
            px, py, pz = shot.eye[0] + distance * dx, shot.eye[1] + distance * dy, shot.eye[2] + distance * dz
            sunlight = 0.0 if shadow[row, col] else 1.0
            if part[row, col] >= 0:
                nx, ny, nz = normal[row, col, 0], normal[row, col, 1], normal[row, col, 2]
                for i in range(3):
                    base[i] = colors[part[row, col], i]
                gloss = 0.35
            else:
                slope_x, slope_y, lit = _ground(relief, arrow, px, py, pz, distance * step, base)
                _blend(base, _PATH, 0.8 * _along(path, reach, px, py, distance * step))
                scale = 1.0 / math.sqrt(slope_x * slope_x + slope_y * slope_y + 1.0)
                nx, ny, nz = -slope_x * scale, -slope_y * scale, scale
                sunlight *= lit
                gloss = 0.0
            facing = nx * SUN[0] + ny * SUN[1] + nz * SUN[2]
            mirrored = dx * SUN[0] + dy * SUN[1] + dz * SUN[2] - 2.0 * (dx * nx + dy * ny + dz * nz) * facing
            shine = gloss * sunlight * max(mirrored, 0.0) ** 24
            openness = (0.55 + 0.45 * nz) * _open(ball, part[row, col] >= 0, px, py, pz, nx, ny, nz)
            haze = math.exp(-3.0 * (distance / _HAZE) ** 2)
            for i in range(3):
                lit_color = base[i] * (sunlight * max(facing, 0.0) * _SUN_COLOR[i] + openness * _SKY_COLOR[i]) + shine
                out[row, col, i] = haze * lit_color + (1.0 - haze) * _HORIZON[i]


@njit(**_options)
def _sky(up: float, out: Image) -> None:
    blend = math.sqrt(min(max(up, 0.0), 1.0))
    for i in range(3):
        out[i] = _HORIZON[i] + blend * (_ZENITH[i] - _HORIZON[i])


@njit(**_options)
def _open(ball: Array, part: bool, x: float, y: float, z: float, nx: float, ny: float, nz: float) -> float:
    """How much of the sky the ball leaves to a point of the ground with the given normal."""
    bx, by, bz = ball[0] - x, ball[1] - y, ball[2] - z
    square = bx * bx + by * by + bz * bz
    if part or square > 36.0 * ball[3] * ball[3]:
        return 1.0
    return 1.0 - min(max(nx * bx + ny * by + nz * bz, 0.0) / math.sqrt(square) * ball[3] * ball[3] / square, 0.9)


@njit(**_options)
def _ground(
    relief: Relief, arrow: Array, x: float, y: float, z: float, footprint: float, color: Array
) -> tuple[float, float, float]:
    """Write the ground's colour where a pixel is `footprint` wide. Returns its slopes, and how much sun it gets."""
    nodes = relief.nodes
    rows, cols = nodes.shape[0], nodes.shape[1]
    u = min(max((x / relief.half[0] + 1.0) * 0.5 * (cols - 1), 0.0), cols - 1.001)
    v = min(max((y / relief.half[1] + 1.0) * 0.5 * (rows - 1), 0.0), rows - 1.001)
    slope_x = _between_nodes(nodes, u, v, 1)
    slope_y = _between_nodes(nodes, u, v, 2)
    lit = _between_nodes(nodes, u, v, 3)
    rim = min(min(u, v), min(cols - 1 - u, rows - 1 - v)) < 0.01
    if rim and z < _between_nodes(nodes, u, v, 0) - 0.005:  # a wall of the map
        for i in range(3):
            color[i] = _SOIL[i]
        return slope_x, slope_y, 0.5
    height = z / relief.scale
    low = min(2.0 * height, 1.0)
    high = max(2.0 * height - 1.0, 0.0)
    paint = 1.0 + 0.13 * _checker(x / _CHECKER, y / _CHECKER, 2.0 * footprint / _CHECKER)
    steep = math.sqrt(slope_x * slope_x + slope_y * slope_y) + 1e-3
    line = abs(z / _CONTOUR - math.floor(z / _CONTOUR + 0.5)) * _CONTOUR / steep  # distance from the contour line, m
    width = 0.003 + footprint
    if steep > 0.01:
        paint *= 1.0 - 0.25 * max(1.0 - line / width, 0.0) * min(0.006 / width, 1.0)
    for i in range(3):
        color[i] = (_LOW[i] + low * (_MIDDLE[i] - _LOW[i]) + high * (_HIGH[i] - _MIDDLE[i])) * paint
    _blend(color, _GOAL, _arrow(arrow, x, y, footprint))
    return slope_x, slope_y, lit


@njit(**_options)
def _blend(color: Array, paint: Triple, share: float) -> None:
    """Cover a share of a colour with paint."""
    for i in range(3):
        color[i] += share * (paint[i] - color[i])


@njit(**_options)
def _between_nodes(nodes: Image, u: float, v: float, channel: int) -> float:
    """Bilinear interpolation at grid column `u` and row `v`, below the last ones."""
    col, row = int(u), int(v)
    u -= col
    v -= row
    low = (1.0 - u) * nodes[row, col, channel] + u * nodes[row, col + 1, channel]
    return (1.0 - v) * low + v * ((1.0 - u) * nodes[row + 1, col, channel] + u * nodes[row + 1, col + 1, channel])


@njit(**_options)
def _checker(x: float, y: float, width: float) -> float:
    """A chessboard of unit squares, -1 and 1, averaged over a window (Quilez, "Filtering the checkerboard", 2017)."""
    width = max(width, 1e-4)
    return _square_wave(x, width) * _square_wave(y, width)


@njit(**_options)
def _square_wave(x: float, width: float) -> float:
    """The mean over a window of the wave that is 1 on [0, 1) and -1 on [1, 2)."""
    a, b = 0.5 * (x - 0.5 * width), 0.5 * (x + 0.5 * width)
    return 2.0 * (abs(a - math.floor(a) - 0.5) - abs(b - math.floor(b) - 0.5)) / width


@njit(**_options)
def _arrow(arrow: Array, x: float, y: float, footprint: float) -> float:
    """How much of the goal's arrow covers a point of the ground."""
    along = (x - arrow[0]) * arrow[2] + (y - arrow[1]) * arrow[3]
    aside = abs((y - arrow[1]) * arrow[2] - (x - arrow[0]) * arrow[3])
    shaft = min(min(along - 0.30, 0.62 - along), 0.03 - aside)
    head = min(along - 0.60, 0.5 * (0.82 - along) - 0.7 * aside)
    return 0.9 * min(max(max(shaft, head) / max(footprint, 1e-4) + 0.5, 0.0), 1.0)


@njit(**_options)
def _reach(path: Array) -> tuple[float, float, float, float]:
    """Least and greatest x, least and greatest y of a path; nothing lies between those of an empty one."""
    west, east, south, north = math.inf, -math.inf, math.inf, -math.inf
    for i in range(len(path)):
        west, east = min(west, path[i, 0]), max(east, path[i, 0])
        south, north = min(south, path[i, 1]), max(north, path[i, 1])
    return west, east, south, north


@njit(**_options)
def _along(path: Array, reach: tuple[float, float, float, float], x: float, y: float, footprint: float) -> float:
    """How much of the line along a path covers a point of the ground."""
    margin = 0.5 * (_PATH_WIDTH + footprint)
    if x < reach[0] - margin or x > reach[1] + margin or y < reach[2] - margin or y > reach[3] + margin:
        return 0.0
    nearest = math.inf
    for i in range(1, len(path)):
        ax, ay = path[i, 0] - path[i - 1, 0], path[i, 1] - path[i - 1, 1]
        bx, by = x - path[i - 1, 0], y - path[i - 1, 1]
        t = min(max((ax * bx + ay * by) / max(ax * ax + ay * ay, 1e-12), 0.0), 1.0)
        nearest = min(nearest, math.hypot(bx - t * ax, by - t * ay))
    return min(max((0.5 * _PATH_WIDTH - nearest) / max(footprint, 1e-4) + 0.5, 0.0), 1.0)


@njit(**_options)
def develop(colors: Image, depth: Image, part: Parts, out: NDArray[np.uint8]) -> None:
    """Linear colours (H, W, 3) to a picture: outlines smoothed, highlights rolled off, gamma applied."""
    height, width = depth.shape
    for row in range(height):
        for col in range(width):
            edge = False
            if 0 < row < height - 1 and 0 < col < width - 1:
                here, near = part[row, col], depth[row, col]
                for dr, dc in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                    other = depth[row + dr, col + dc]
                    edge |= (part[row + dr, col + dc] != here) | (abs(other - near) > 0.06 * near)
            for i in range(3):
                value = colors[row, col, i]
                if edge:
                    value = 0.0
                    for dr in range(-1, 2):
                        for dc in range(-1, 2):
                            weight = np.float32(0.25 / (1 + abs(dr)) / (1 + abs(dc)))
                            value += weight * colors[row + dr, col + dc, i]
                value = value * (1.0 + 0.25 * value) / (1.0 + value) * 1.25
                out[row, col, i] = np.uint8(255.0 * math.sqrt(min(max(value, 0.0), 1.0)))
