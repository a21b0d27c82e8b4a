"""Terrain: node heights in [0, 1] of a square grid, from a seed.

`perlin_terrain` is fractal simplex noise (Perlin, "Noise hardware", 2001; the lattice and the falloff follow Gustavson,
"Simplex noise demystified", 2005), compiled, because the terrain of every episode is new.
"""

import math
from typing import Literal, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from poise.config import Config
from poise.errors import InvalidValueError
from poise.sim.course import CourseOptions


class TerrainOptions(Config):
    """The ground: kind, geometry in metres and the parameters of its noise."""

    kind: Literal["perlin", "flat", "course"] = Field(
        "perlin", description="hills of noise, level ground, or the marked fields of a course"
    )
    course: CourseOptions = CourseOptions()
    nodes: int = Field(293, ge=3, le=2049, description="nodes along each side, odd")
    half_size: float = Field(5.0, gt=0, le=1000, description="half the side of the square map, m")
    height: float = Field(0.1, gt=0, le=2.0, description="height of the highest node above the lowest, m")
    scale: float = Field(
        25.0, ge=1, le=10_000, description="size of the largest features, in nodes; higher is smoother"
    )
    octaves: int = Field(4, ge=1, le=12, description="layers of noise; more is finer detail")
    persistence: float = Field(0.2, gt=0, le=1, description="amplitude of each layer relative to the one before")
    lacunarity: float = Field(2.0, ge=1, le=8, description="frequency of each layer relative to the one before")
    episodes_per_terrain: int = Field(
        1, ge=1, description="episodes a robot spends on one terrain before it gets a new one"
    )

    @field_validator("nodes")
    @classmethod
    def _odd(cls, nodes: int) -> int:
        if nodes % 2 == 0:
            raise ValueError(f"must be odd, so that a node lies at the centre where the robot starts, got {nodes}")
        return nodes

    @model_validator(mode="after")
    def _course_fits(self) -> Self:
        if self.kind == "course" and self.course.highest > self.height:
            raise ValueError(
                f"height must be at least {self.course.highest:.3g}, the course's highest point, in metres"
            )
        return self

    @property
    def cell(self) -> float:
        """Distance of neighbouring nodes, m."""
        return 2.0 * self.half_size / (self.nodes - 1)

    def generate(self, seed: int) -> NDArray[np.float32]:
        """(nodes, nodes) heights in [0, 1]; the height above the lowest ground in metres is `height` times that.

        Raises:
            InvalidValueError: they are not finite.
        """
        heights = self._generate(seed)
        if not np.isfinite(heights).all():
            raise InvalidValueError("the terrain's heights are not finite; use less extreme options of the terrain")
        return heights

    def _generate(self, seed: int) -> NDArray[np.float32]:
        if self.kind == "flat":
            return np.zeros((self.nodes, self.nodes), np.float32)
        noise = perlin_terrain(self.nodes, self.scale, self.octaves, self.persistence, self.lacunarity, seed)
        if self.kind == "perlin":
            return noise
        y = np.linspace(-self.half_size, self.half_size, self.nodes)[:, None]
        return (self.course.heights(seed, y, noise) / self.height).astype(np.float32)

    def ground(self, heights: NDArray[np.float32], points: NDArray[np.float64]) -> NDArray[np.float64]:
        """The ground's height below points, m, as MuJoCo's triangles have it; beyond the map, that of its edge.

        Args:
            heights: (N, nodes, nodes) in [0, 1], a terrain for each robot.
            points: (N, ..., 2) x and y, m.

        Returns:
            (N, ...) m.
        """
        return self.height * height_at(heights, points, self.half_size)


def height_at(heights: NDArray[np.float32], points: NDArray[np.float64], half_size: float) -> NDArray[np.float64]:
    """(N, ...) `TerrainOptions.ground` in units of the nodes' heights (N, nodes, nodes), for points (N, ..., 2), m."""
    last = heights.shape[-1] - 1
    along = np.clip((points + half_size) / (2.0 * half_size / last), 0.0, last)
    corner = np.minimum(along.astype(np.int64), last - 1)
    (u, v), (col, row) = np.moveaxis(along - corner, -1, 0), np.moveaxis(corner, -1, 0)
    robot = np.arange(len(heights)).reshape(-1, *[1] * (row.ndim - 1))
    # A cell is split along the diagonal between these two nodes; the third is the one on the point's side.
    low, high = heights[robot, row, col], heights[robot, row + 1, col + 1]
    right = u >= v
    side = heights[robot, np.where(right, row, row + 1), np.where(right, col + 1, col)]
    first, second = np.where(right, u, v), np.where(right, v, u)
    result: NDArray[np.float64] = low + first * (side - low) + second * (high - side)
    return result


def perlin_terrain(
    nodes: int,
    scale: float = 25.0,
    octaves: int = 4,
    persistence: float = 0.2,
    lacunarity: float = 2.0,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Fractal simplex noise on a square grid, shifted and scaled to span [0, 1].

    Args:
        nodes: number of nodes along each side.
        scale: nodes per unit of the first octave's lattice.
        octaves, persistence, lacunarity: number of layers, and the ratios of their amplitudes and frequencies.
        seed: determines the lattice's gradients.

    Returns:
        (nodes, nodes) float32, row-major, the minimum 0 and the maximum 1.
    """
    permutation = np.random.default_rng(seed).permutation(256).astype(np.int32)
    return _fractal_noise(nodes, scale, octaves, persistence, lacunarity, np.tile(permutation, 2))


_SKEW = 0.5 * (np.sqrt(3.0) - 1.0)
_UNSKEW = (3.0 - np.sqrt(3.0)) / 6.0
_GRADIENTS = np.array([[np.cos(a), np.sin(a)] for a in np.arange(16) * (np.pi / 8.0)])

_options = {"cache": True, "error_model": "numpy", "nogil": True}


@njit(**_options)
def _fractal_noise(
    nodes: int, scale: float, octaves: int, persistence: float, lacunarity: float, permutation: NDArray[np.int32]
) -> NDArray[np.float32]:
    """Octaves of simplex noise, shifted and scaled to [0, 1].

    A row at a time in three passes, because the first and the last then run on vector units: which triangle of the
    lattice a node lies in, the gradients at the triangle's corners, and what they contribute.
    """
    heights = np.empty((nodes, nodes), np.float32)
    cell = np.empty((3, nodes), np.int32)
    offset = np.empty((2, nodes))
    gradients = np.empty((3, 2, nodes))
    for row in range(nodes):
        total = np.zeros(nodes)
        amplitude, frequency = 1.0, 1.0 / scale
        for _ in range(octaves):
            _locate(row * frequency, frequency, cell, offset)
            _look_up(cell, permutation, gradients)
            _add_octave(amplitude, cell[2], offset, gradients, total)
            amplitude *= persistence
            frequency *= lacunarity
        heights[row] = total
    lowest = heights.min()
    span = max(heights.max() - lowest, np.float32(1e-12))
    for row in range(nodes):
        for col in range(nodes):
            heights[row, col] = (heights[row, col] - lowest) / span
    return heights


@njit(**_options)
def _locate(x: float, frequency: float, cell: NDArray[np.int32], offset: NDArray[np.float64]) -> None:
    """The triangle around each (x, col * frequency): its cell, the half of it (1 where x leads), the offset in it."""
    for col in range(cell.shape[1]):
        y = col * frequency
        skewed = (x + y) * _SKEW
        i, j = math.floor(x + skewed), math.floor(y + skewed)
        unskewed = (i + j) * _UNSKEW
        x0, y0 = x - i + unskewed, y - j + unskewed
        cell[0, col], cell[1, col], cell[2, col] = i, j, x0 > y0
        offset[0, col], offset[1, col] = x0, y0


@njit(**_options)
def _look_up(cell: NDArray[np.int32], permutation: NDArray[np.int32], gradients: NDArray[np.float64]) -> None:
    """The pseudo-random gradients (3, 2, nodes) at the triangles' corners."""
    for col in range(cell.shape[1]):
        i, j, half = cell[0, col], cell[1, col], cell[2, col]
        for corner in range(3):
            di = half if corner == 1 else corner // 2
            dj = 1 - half if corner == 1 else corner // 2
            gradient = permutation[((i + di) & 255) + permutation[(j + dj) & 255]] & 15
            gradients[corner, 0, col] = _GRADIENTS[gradient, 0]
            gradients[corner, 1, col] = _GRADIENTS[gradient, 1]


@njit(**_options)
def _add_octave(
    amplitude: float,
    halves: NDArray[np.int32],
    offset: NDArray[np.float64],
    gradients: NDArray[np.float64],
    total: NDArray[np.float64],
) -> None:
    """Add what the three corners contribute."""
    for col in range(len(total)):
        x, y, half = offset[0, col], offset[1, col], halves[col]
        value = _contribution(x, y, gradients[0, 0, col], gradients[0, 1, col])
        value += _contribution(x - half + _UNSKEW, y - (1 - half) + _UNSKEW, gradients[1, 0, col], gradients[1, 1, col])
        value += _contribution(x - 1 + 2 * _UNSKEW, y - 1 + 2 * _UNSKEW, gradients[2, 0, col], gradients[2, 1, col])
        total[col] += amplitude * value


@njit(**_options)
def _contribution(dx: float, dy: float, gradient_x: float, gradient_y: float) -> float:
    """A corner's gradient at (dx, dy) from the corner, fading out at the opposite edge."""
    fade = max(0.5 - dx * dx - dy * dy, 0.0)
    fade *= fade
    return fade * fade * (gradient_x * dx + gradient_y * dy)
