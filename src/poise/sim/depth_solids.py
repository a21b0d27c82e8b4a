"""The ball and the wheels in a depth image.

A ray meets a sphere or a tube at the depth t where a t² - 2 b t + c = 0; the nearness that the image holds until it is
done (see `poise.sim.depth`) is 1 / t = (b + sqrt(b² - a c)) / c, without a division per pixel.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]
Image = NDArray[np.float32]
Lens = tuple[float, float, float]
"""left, top, step: for each metre ahead the ray of a pixel goes left + step * column right and top - step * row up."""
Span = tuple[int, int]
"""The first of a range, and the one after its last."""

# No function of another file is called: numba's cache would not notice when that one changes.
_options = {"cache": True, "error_model": "numpy", "nogil": True, "fastmath": {"contract", "nsz"}}


@njit(**_options)
def draw_solids(
    views: Array, robots: NDArray[np.int64], out: Image, fixed: Image, lenses: Array, radii: tuple[float, float]
) -> None:
    """Begin the images of some robots with what is fixed to the cameras, the ball and the wheels.

    Args:
        views: (K, C, 11, 3) of `poise.sim.kinematics.camera_views`.
        robots: (K,) which of the N.
        out: (N, C, H, W) nearness, 1 / m.
        fixed: (C, H, W) nearness of what is fixed to the cameras, 1 / m.
        lenses: (C, 3) the `Lens` of each camera.
        radii: of the ball and of the wheels, m.
    """
    for k in range(len(robots)):
        for camera in range(views.shape[1]):
            points = views[k, camera, 4:]
            image = out[robots[k], camera]
            lens = (lenses[camera, 0], lenses[camera, 1], lenses[camera, 2])
            _copy(fixed[camera], image)
            for sphere in range(7):
                _draw_sphere(image, lens, points[sphere], radii[min(sphere, 1)])
            for wheel in range(3):
                _draw_tube(image, lens, points[1 + 2 * wheel], points[2 + 2 * wheel], radii[1])


@njit(**_options)
def _copy(source: Image, image: Image) -> None:
    """The same as `image[:] = source`, which compiles for seconds."""
    for row in range(image.shape[0]):
        for col in range(image.shape[1]):
            image[row, col] = source[row, col]


@njit(**_options)
def _silhouette(aside: float, ahead: float, radius: float) -> tuple[float, float]:
    """Least and greatest slope at which a circle around a point is seen; all, if it reaches beside the camera."""
    if ahead <= radius:
        return (-math.inf, math.inf) if ahead > -radius else (math.inf, -math.inf)
    middle = aside * ahead
    spread = radius * math.sqrt(aside * aside + ahead * ahead - radius * radius)
    square = ahead * ahead - radius * radius
    return (middle - spread) / square, (middle + spread) / square


@njit(**_options)
def _rectangle(image: Image, lens: Lens, x: float, y: float, z: float, radius: float) -> tuple[Span, Span]:
    """Rows and columns of the pixels that can see a sphere."""
    left, top, step = lens
    low, high = _silhouette(y, z, radius)
    rows = _between((top - high) / step, (top - low) / step, image.shape[0])
    low, high = _silhouette(x, z, radius)
    return rows, _between((low - left) / step, (high - left) / step, image.shape[1])


@njit(**_options)
def _draw_sphere(image: Image, lens: Lens, centre: Array, radius: float) -> None:
    """A sphere; `centre` is to the right, up and ahead of the camera, m."""
    left, top, step = lens
    cx, cy, cz = centre[0], centre[1], centre[2]
    c = cx * cx + cy * cy + cz * cz - radius * radius
    if c <= 0.0:
        return
    rows, cols = _rectangle(image, lens, cx, cy, cz, radius)
    per_c = 1.0 / c
    for row in range(rows[0], rows[1]):
        y = top - step * row
        line = image[row, cols[0] : cols[1]]
        for i in range(len(line)):
            x = left + step * (cols[0] + i)
            b = x * cx + (y * cy + cz)
            discriminant = b * b - (x * x + (y * y + 1.0)) * c
            nearness = (b + math.sqrt(max(discriminant, 0.0))) * per_c
            seen = (discriminant >= 0.0) & (nearness > line[i])
            line[i] = nearness if seen else line[i]


@njit(**_options)
def _draw_tube(image: Image, lens: Lens, a: Array, b: Array, radius: float) -> None:
    """The open tube around the segment from `a` to `b`, which are to the right, up and ahead of the camera, m."""
    left, top, step = lens
    ax, ay, az = a[0], a[1], a[2]
    ex, ey, ez = b[0] - ax, b[1] - ay, b[2] - az
    length2 = ex * ex + ey * ey + ez * ez
    ae = ax * ex + ay * ey + az * ez
    # the part of a across the axis
    px, py, pz = ax - ae / length2 * ex, ay - ae / length2 * ey, az - ae / length2 * ez
    c = px * px + py * py + pz * pz - radius * radius
    if c <= 0.0:
        return
    bound = radius + 0.5 * math.sqrt(length2)
    rows, cols = _rectangle(image, lens, ax + 0.5 * ex, ay + 0.5 * ey, az + 0.5 * ez, bound)
    per_c = 1.0 / c
    per_length2 = 1.0 / length2
    for row in range(rows[0], rows[1]):
        y = top - step * row
        line = image[row, cols[0] : cols[1]]
        for i in range(len(line)):
            x = left + step * (cols[0] + i)
            de = x * ex + (y * ey + ez)
            dp = x * px + (y * py + pz)
            discriminant = dp * dp - (x * x + (y * y + 1.0) - de * de * per_length2) * c
            nearness = (dp + math.sqrt(max(discriminant, 0.0))) * per_c
            along = de - ae * nearness  # times the depth: how far along the axis the ray enters
            seen = (discriminant >= 0.0) & (along >= 0.0) & (along <= length2 * nearness) & (nearness > line[i])
            line[i] = nearness if seen else line[i]


@njit(**_options)
def _between(least: float, greatest: float, count: int) -> Span:
    """Pixels 0 <= i < count with least <= i <= greatest: the first, and the one after the last."""
    first = math.ceil(min(max(least, 0.0), float(count)))
    last = math.floor(max(min(greatest, count - 1.0), -1.0))
    return int(first), int(last) + 1
