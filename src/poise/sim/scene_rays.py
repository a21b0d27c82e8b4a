"""Which part of the robot each pixel of a picture sees, and what lies in its shadow: rays against solids.

Lengths in metres, in the world frame. The colours are given by `poise.sim.scene_shading`.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]
Image = NDArray[np.float32]
Parts = NDArray[np.int8]
Triple = tuple[float, float, float]

# No function of another file is called: numba's cache would not notice when that one changes.
_options = {"cache": True, "error_model": "numpy", "nogil": True, "fastmath": {"contract", "nsz", "arcp"}}
SPHERE, CAPSULE, CYLINDER, BOX = 2, 3, 5, 6
"""Kinds of solids, numbered as MuJoCo's geom types."""


class Solids(NamedTuple):
    """The robot's parts."""

    kind: NDArray[np.int64]
    position: Array
    rotation: Array
    """(P, 3, 3) world from part."""
    size: Array
    """(P, 3) as MuJoCo's geom sizes."""
    bound: Array
    """(P,) radius of a sphere around each."""
    whole: Array
    """(4,) centre and radius of a sphere around all."""


class Shot(NamedTuple):
    """The camera."""

    eye: Array
    axes: Array
    """(3, 3) right, up, ahead."""
    lens: Triple
    """left, top, step, as in `poise.sim.depth_solids`."""


@njit(**_options)
def draw_parts(shot: Shot, solids: Solids, depth: Image, part: Parts, normal: Image) -> None:
    """Draw the robot.

    Args:
        shot: the camera.
        solids: the robot.
        depth: (H, W) lowered where the robot is nearer.
        part: (H, W) out: index of the part that a pixel sees, -1 for none; P more in every other octant of a sphere.
        normal: (H, W, 3) out where a part is seen: its surface's normal.
    """
    left, top, step = shot.lens
    a, eye = shot.axes, shot.eye
    for row in range(depth.shape[0]):
        for col in range(depth.shape[1]):
            part[row, col] = -1
    for p in range(len(solids.kind)):
        rotation = solids.rotation[p]
        cx, cy, cz = solids.position[p, 0] - eye[0], solids.position[p, 1] - eye[1], solids.position[p, 2] - eye[2]
        o = _turn(rotation, -cx, -cy, -cz)
        c = _turn(a.T, cx, cy, cz)
        first_col, end_col = _range(c[0], c[2], solids.bound[p], left, step, depth.shape[1])
        first_row, end_row = _range(-c[1], c[2], solids.bound[p], -top, step, depth.shape[0])
        for row in range(first_row, end_row):
            y = top - step * row
            for col in range(first_col, end_col):
                x = left + step * col
                dx = x * a[0, 0] + y * a[1, 0] + a[2, 0]
                dy = x * a[0, 1] + y * a[1, 1] + a[2, 1]
                dz = x * a[0, 2] + y * a[1, 2] + a[2, 2]
                d = _turn(rotation, dx, dy, dz)
                t = _enter(solids.kind[p], solids.size[p], o[0], o[1], o[2], d[0], d[1], d[2])
                if t < depth[row, col]:
                    depth[row, col] = t
                    hit = (o[0] + t * d[0], o[1] + t * d[1], o[2] + t * d[2])
                    part[row, col] = _describe(solids, p, hit, normal[row, col])


@njit(**_options)
def _range(aside: float, ahead: float, radius: float, start: float, step: float, count: int) -> tuple[int, int]:
    """Pixels that can see a sphere, if pixel i looks at the slope start + step * i: the first, one past the last."""
    square = ahead * ahead - radius * radius
    if ahead <= radius:
        return (0, count) if ahead > -radius else (0, 0)
    spread = radius * math.sqrt(aside * aside + square)
    low, high = (aside * ahead - spread) / square, (aside * ahead + spread) / square
    first = min(max((low - start) / step, 0.0), float(count))
    return int(first), int(min(max((high - start) / step + 1.0, first), float(count)))


@njit(**_options)
def cast_shadows(shot: Shot, solids: Solids, sun: Triple, depth: Image, far: float, shadow: NDArray[np.bool_]) -> None:
    """Fill `shadow` (H, W): whether the robot stands between what a pixel sees and the sun, at unit vector `sun`."""
    left, top, step = shot.lens
    a = shot.axes
    wx, wy, wz, bound = solids.whole[0], solids.whole[1], solids.whole[2], solids.whole[3]
    for row in range(depth.shape[0]):
        y = top - step * row
        for col in range(depth.shape[1]):
            t = depth[row, col] - 1e-3  # clear of the surface itself
            shadow[row, col] = False
            if t > far:
                continue
            x = left + step * col
            px = shot.eye[0] + t * (x * a[0, 0] + y * a[1, 0] + a[2, 0])
            py = shot.eye[1] + t * (x * a[0, 1] + y * a[1, 1] + a[2, 1])
            pz = shot.eye[2] + t * (x * a[0, 2] + y * a[1, 2] + a[2, 2])
            if _passes(wx - px, wy - py, wz - pz, sun, bound):
                shadow[row, col] = _shaded(solids, px, py, pz, sun)


@njit(**_options)
def _shaded(solids: Solids, ox: float, oy: float, oz: float, sun: Triple) -> bool:
    """Whether a ray towards the sun enters any part."""
    for p in range(len(solids.kind)):
        cx, cy, cz = solids.position[p, 0] - ox, solids.position[p, 1] - oy, solids.position[p, 2] - oz
        if _passes(cx, cy, cz, sun, solids.bound[p]):
            o = _turn(solids.rotation[p], -cx, -cy, -cz)
            d = _turn(solids.rotation[p], sun[0], sun[1], sun[2])
            if _enter(solids.kind[p], solids.size[p], o[0], o[1], o[2], d[0], d[1], d[2]) < math.inf:
                return True
    return False


@njit(**_options)
def _passes(cx: float, cy: float, cz: float, d: Triple, radius: float) -> bool:
    """Whether a ray from the origin along the unit vector `d` meets a sphere around c."""
    along = cx * d[0] + cy * d[1] + cz * d[2]
    outside = cx * cx + cy * cy + cz * cz - radius * radius
    return outside <= 0.0 or (along > 0.0 and along * along >= outside)


@njit(**_options)
def _turn(r: Array, x: float, y: float, z: float) -> Triple:
    """A world vector in the frame of a part with rotation `r`."""
    return (
        r[0, 0] * x + r[1, 0] * y + r[2, 0] * z,
        r[0, 1] * x + r[1, 1] * y + r[2, 1] * z,
        r[0, 2] * x + r[1, 2] * y + r[2, 2] * z,
    )


@njit(**_options)
def _enter_sphere(ox: float, oy: float, oz: float, dx: float, dy: float, dz: float, radius: float) -> float:
    """Ray parameter at which a ray o + t d enters a sphere around the origin; infinite for a miss."""
    dd = dx * dx + dy * dy + dz * dz
    b = ox * dx + oy * dy + oz * dz
    discriminant = b * b - dd * (ox * ox + oy * oy + oz * oz - radius * radius)
    if discriminant < 0.0:
        return math.inf
    t = (-b - math.sqrt(discriminant)) / dd
    return t if t > 0.0 else math.inf


@njit(**_options)
def _enter(kind: int, size: Array, ox: float, oy: float, oz: float, dx: float, dy: float, dz: float) -> float:
    """Ray parameter at which a ray, in the solid's frame, enters it; infinite for a miss."""
    radius = size[0]
    if kind == SPHERE:
        return _enter_sphere(ox, oy, oz, dx, dy, dz, radius)
    if kind == BOX:
        near, far = 0.0, math.inf
        for o, d, s in ((ox, dx, size[0]), (oy, dy, size[1]), (oz, dz, size[2])):
            a, b = (-s - o) / d, (s - o) / d
            near, far = max(near, min(a, b)), min(far, max(a, b))
        return near if 0.0 < near <= far else math.inf
    half = size[1]
    best = math.inf
    dd = dx * dx + dy * dy
    b = ox * dx + oy * dy
    discriminant = b * b - dd * (ox * ox + oy * oy - radius * radius)
    if discriminant >= 0.0 and dd > 1e-14:
        t = (-b - math.sqrt(discriminant)) / dd
        if t > 0.0 and abs(oz + t * dz) <= half:
            best = t
    for end in (-half, half):
        if kind == CAPSULE:
            best = min(best, _enter_sphere(ox, oy, oz - end, dx, dy, dz, radius))
        else:
            t = (end - oz) / dz
            x, y = ox + t * dx, oy + t * dy
            if 0.0 < t < best and x * x + y * y <= radius * radius:
                best = t
    return best


@njit(**_options)
def _describe(solids: Solids, p: int, hit: Triple, normal: Image) -> int:
    """Write the normal of part `p` where its surface is hit, in its own frame; its index as `draw_parts` counts."""
    x, y, z = hit
    kind, size = solids.kind[p], solids.size[p]
    nx, ny, nz = x, y, z
    if kind == BOX:
        ax, ay, az = abs(x) / size[0], abs(y) / size[1], abs(z) / size[2]
        nx = math.copysign(1.0, x) if ax >= max(ay, az) else 0.0
        ny = math.copysign(1.0, y) if ay > max(ax, az) else 0.0
        nz = math.copysign(1.0, z) if az > max(ax, ay) else 0.0
    elif kind == CAPSULE:
        nz = z - min(max(z, -size[1]), size[1])
    elif kind == CYLINDER:
        if abs(z) > size[1] - 1e-6:
            nx, ny, nz = 0.0, 0.0, math.copysign(1.0, z)
        else:
            nz = 0.0
    length = 1.0 / math.sqrt(nx * nx + ny * ny + nz * nz)
    for i in range(3):
        r = solids.rotation[p, i]
        normal[i] = (r[0] * nx + r[1] * ny + r[2] * nz) * length
    return p + len(solids.kind) if kind == SPHERE and (x > 0.0) ^ (y > 0.0) ^ (z > 0.0) else p
