"""The one contact between a sphere and a triangulated heightfield.

MuJoCo treats each grid cell under a geom as two convex prisms and reports a contact for each it touches, about five for
a ball on smooth ground. A ball touches smooth ground once: at the closest point of the triangles below it. Cells are
split as in MuJoCo, along the diagonal from node (row, col) to node (row + 1, col + 1).
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Triple = tuple[float, float, float]


# error_model: a Python exception inside a compiled contact callback is printed and swallowed, and the contact with it.
_options = {"cache": True, "error_model": "numpy", "inline": "never"}


@njit(**_options)
def _closest_on_triangle(p: Triple, a: Triple, b: Triple, c: Triple) -> Triple:
    """Point of triangle `abc` closest to `p` (Ericson, Real-Time Collision Detection, 5.1.5)."""
    ab = (b[0] - a[0], b[1] - a[1], b[2] - a[2])
    ac = (c[0] - a[0], c[1] - a[1], c[2] - a[2])
    ap = (p[0] - a[0], p[1] - a[1], p[2] - a[2])
    d1 = ab[0] * ap[0] + ab[1] * ap[1] + ab[2] * ap[2]
    d2 = ac[0] * ap[0] + ac[1] * ap[1] + ac[2] * ap[2]
    if d1 <= 0.0 and d2 <= 0.0:
        return a
    bp = (p[0] - b[0], p[1] - b[1], p[2] - b[2])
    d3 = ab[0] * bp[0] + ab[1] * bp[1] + ab[2] * bp[2]
    d4 = ac[0] * bp[0] + ac[1] * bp[1] + ac[2] * bp[2]
    if d3 >= 0.0 and d4 <= d3:
        return b
    vc = d1 * d4 - d3 * d2
    if vc <= 0.0 and d1 >= 0.0 and d3 <= 0.0:
        v = d1 / (d1 - d3)
        return (a[0] + v * ab[0], a[1] + v * ab[1], a[2] + v * ab[2])
    cp = (p[0] - c[0], p[1] - c[1], p[2] - c[2])
    d5 = ab[0] * cp[0] + ab[1] * cp[1] + ab[2] * cp[2]
    d6 = ac[0] * cp[0] + ac[1] * cp[1] + ac[2] * cp[2]
    if d6 >= 0.0 and d5 <= d6:
        return c
    vb = d5 * d2 - d1 * d6
    if vb <= 0.0 and d2 >= 0.0 and d6 <= 0.0:
        w = d2 / (d2 - d6)
        return (a[0] + w * ac[0], a[1] + w * ac[1], a[2] + w * ac[2])
    va = d3 * d6 - d5 * d4
    if va <= 0.0 and d4 - d3 >= 0.0 and d5 - d6 >= 0.0:
        w = (d4 - d3) / ((d4 - d3) + (d5 - d6))
        return (b[0] + w * (c[0] - b[0]), b[1] + w * (c[1] - b[1]), b[2] + w * (c[2] - b[2]))
    denominator = va + vb + vc
    v = vb / denominator
    w = vc / denominator
    return (a[0] + v * ab[0] + w * ac[0], a[1] + v * ab[1] + w * ac[1], a[2] + v * ab[2] + w * ac[2])


@njit(**_options)
def _height_at(heights: NDArray[np.float32], size: Triple, x: float, y: float) -> float:
    """Height of the triangulated surface above (x, y), which must lie within the field; m."""
    rows, cols = heights.shape
    u = (x + size[0]) * (cols - 1) / (2.0 * size[0])
    v = (y + size[1]) * (rows - 1) / (2.0 * size[1])
    col = min(max(int(math.floor(u)), 0), cols - 2)
    row = min(max(int(math.floor(v)), 0), rows - 2)
    u -= col
    v -= row
    h00 = heights[row, col]
    h11 = heights[row + 1, col + 1]
    if u >= v:
        h10 = heights[row, col + 1]
        return size[2] * (h00 + u * (h10 - h00) + v * (h11 - h10))
    h01 = heights[row + 1, col]
    return size[2] * (h00 + v * (h01 - h00) + u * (h11 - h01))


@njit(**_options)
def closest_on_terrain(
    heights: NDArray[np.float32], size: Triple, centre: Triple, reach: float
) -> tuple[float, Triple]:
    """Closest point of the terrain to a sphere's centre.

    Args:
        heights: (rows, cols) node heights in units of `size[2]`; row r lies at
            y = -size[1] + r * 2 size[1] / (rows - 1).
        size: half extents in x and y and the height scale, m.
        centre: the sphere's centre in the frame of the field, m.
        reach: how far to look, m.

    Returns:
        Distance of the centre from the surface, m, negative when it lies below, and the closest point, m. Without
        terrain within reach the distance is infinite.
    """
    rows, cols = heights.shape
    x, y, z = centre
    best = reach * reach
    found = False
    point = centre
    dx = 2.0 * size[0] / (cols - 1)
    dy = 2.0 * size[1] / (rows - 1)
    first_col = max(int(math.floor((x - reach + size[0]) / dx)), 0)
    last_col = min(int(math.floor((x + reach + size[0]) / dx)), cols - 2)
    first_row = max(int(math.floor((y - reach + size[1]) / dy)), 0)
    last_row = min(int(math.floor((y + reach + size[1]) / dy)), rows - 2)
    for row in range(first_row, last_row + 1):
        y0 = row * dy - size[1]
        away_y = max(y0 - y, y - (y0 + dy), 0.0)
        for col in range(first_col, last_col + 1):
            x0 = col * dx - size[0]
            away_x = max(x0 - x, x - (x0 + dx), 0.0)
            h00 = size[2] * heights[row, col]
            h10 = size[2] * heights[row, col + 1]
            h01 = size[2] * heights[row + 1, col]
            h11 = size[2] * heights[row + 1, col + 1]
            away_z = max(z - max(max(h00, h10), max(h01, h11)), 0.0)
            if away_x * away_x + away_y * away_y + away_z * away_z >= best:
                continue  # the whole cell is farther than what is known
            low = (x0, y0, h00)
            high = (x0 + dx, y0 + dy, h11)
            for half in range(2):
                corner = (x0 + dx, y0, h10) if half == 0 else (x0, y0 + dy, h01)
                q = _closest_on_triangle(centre, low, corner, high)
                squared = (q[0] - x) ** 2 + (q[1] - y) ** 2 + (q[2] - z) ** 2
                if squared < best:
                    best = squared
                    point = q
                    found = True
    if abs(x) <= size[0] and abs(y) <= size[1]:
        depth = _height_at(heights, size, x, y) - z
        if depth >= 0.0:
            return (-math.sqrt(best), point) if found else (-depth, (x, y, z + depth))
    return (math.sqrt(best) if found else math.inf), point


@njit(**_options)
def sphere_terrain(
    contact: NDArray[np.float64],
    heights: NDArray[np.float32],
    size: Triple,
    origin: NDArray[np.float64],
    rotation: NDArray[np.float64],
    centre: NDArray[np.float64],
    radius: float,
    margin: float,
) -> int:
    """Write the contact of a sphere with a heightfield, in the layout of MuJoCo's `mjPreContact`.

    Args:
        contact: (10,) out: distance, position (3), normal from field to sphere (3), first tangent (3,
            zero: MuJoCo's choice).
        heights: (rows, cols) node heights in units of `size[2]`.
        size: half extents in x and y and the height scale, m.
        origin: (3,) position of the field, m, world frame.
        rotation: (9,) orientation of the field, row-major, world from field.
        centre: (3,) centre of the sphere, m, world frame.
        radius: of the sphere, m.
        margin: report contacts up to this distance, m.

    Returns:
        The number of contacts, 0 or 1.
    """
    r = rotation
    ox, oy, oz = centre[0] - origin[0], centre[1] - origin[1], centre[2] - origin[2]
    local = (
        r[0] * ox + r[3] * oy + r[6] * oz,
        r[1] * ox + r[4] * oy + r[7] * oz,
        r[2] * ox + r[5] * oy + r[8] * oz,
    )
    distance, point = closest_on_terrain(heights, size, local, radius + margin)
    if distance - radius > margin:
        return 0
    if abs(distance) > 1e-9:
        normal = (
            (local[0] - point[0]) / distance,
            (local[1] - point[1]) / distance,
            (local[2] - point[2]) / distance,
        )
    else:  # the centre lies in the surface
        normal = (0.0, 0.0, 1.0)
    contact[0] = distance - radius
    for i in range(3):
        contact[4 + i] = r[3 * i] * normal[0] + r[3 * i + 1] * normal[1] + r[3 * i + 2] * normal[2]
        contact[1 + i] = centre[i] - contact[4 + i] * (radius + 0.5 * contact[0])
        contact[7 + i] = 0.0
    return 1
