"""Terrain: node heights in [0, 1] of a square grid, from a seed.

`perlin_terrain` is fractal simplex noise (Perlin, "Noise hardware", 2001; the lattice and the falloff follow Gustavson, "Simplex
noise demystified", 2005), compiled, because the terrain of every episode is new.
"""

from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pydantic import Field, field_validator

from poise.config import Config


class TerrainOptions(Config):
    """The ground: kind, geometry in metres and the parameters of its noise."""

    kind: Literal["perlin", "flat"] = "perlin"
    nodes: int = Field(293, ge=3, le=2049, description="nodes along each side, odd")
    half_size: float = Field(5.0, gt=0, description="half the side of the square map, m")
    height: float = Field(0.1, gt=0, le=2.0, description="height of the highest node above the lowest, m")
    scale: float = Field(25.0, gt=0, description="size of the largest features, in nodes; higher is smoother")
    octaves: int = Field(4, ge=1, le=12, description="layers of noise; more is finer detail")
    persistence: float = Field(0.2, gt=0, le=1, description="amplitude of each layer relative to the one before")
    lacunarity: float = Field(2.0, ge=1, description="frequency of each layer relative to the one before")
    episodes_per_terrain: int = Field(1, ge=1, description="episodes a robot spends on one terrain before it gets a new one")

    @field_validator("nodes")
    @classmethod
    def _odd(cls, nodes: int) -> int:
        if nodes % 2 == 0:
            raise ValueError(f"must be odd, so that a node lies at the centre where the robot starts, got {nodes}")
        return nodes

    @property
    def cell(self) -> float:
        """Distance of neighbouring nodes, m."""
        return 2.0 * self.half_size / (self.nodes - 1)

    def generate(self, seed: int) -> NDArray[np.float32]:
        """(nodes, nodes) heights in [0, 1]; the height above the lowest ground in metres is `height` times that."""
        if self.kind == "flat":
            return np.zeros((self.nodes, self.nodes), np.float32)
        return perlin_terrain(self.nodes, self.scale, self.octaves, self.persistence, self.lacunarity, seed)


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
    heights = _fractal_noise(nodes, scale, octaves, persistence, lacunarity, np.tile(permutation, 2))
    lowest = heights.min()
    return (heights - lowest) / max(heights.max() - lowest, np.float32(1e-12))  # type: ignore[no-any-return]


_SKEW = 0.5 * (np.sqrt(3.0) - 1.0)
_UNSKEW = (3.0 - np.sqrt(3.0)) / 6.0
_GRADIENTS = np.array([[np.cos(a), np.sin(a)] for a in np.arange(16) * (np.pi / 8.0)])


@njit(cache=True, error_model="numpy", nogil=True)
def _simplex(x: float, y: float, permutation: NDArray[np.int32]) -> float:
    """Simplex noise at (x, y): the gradients of a triangle's three corners, each fading out at the opposite edge."""
    skewed = (x + y) * _SKEW
    i = int(np.floor(x + skewed))
    j = int(np.floor(y + skewed))
    unskewed = (i + j) * _UNSKEW
    x0 = x - i + unskewed
    y0 = y - j + unskewed
    step_x = 1 if x0 > y0 else 0
    total = 0.0
    for corner in range(3):
        if corner == 0:
            di, dj = 0, 0
        elif corner == 1:
            di, dj = step_x, 1 - step_x
        else:
            di, dj = 1, 1
        shift = corner * _UNSKEW
        dx = x0 - di + shift
        dy = y0 - dj + shift
        fade = 0.5 - dx * dx - dy * dy
        if fade > 0.0:
            gradient = permutation[((i + di) & 255) + permutation[(j + dj) & 255]] & 15
            fade *= fade
            total += fade * fade * (_GRADIENTS[gradient, 0] * dx + _GRADIENTS[gradient, 1] * dy)
    return total


@njit(cache=True, error_model="numpy", nogil=True)
def _fractal_noise(
    nodes: int, scale: float, octaves: int, persistence: float, lacunarity: float, permutation: NDArray[np.int32]
) -> NDArray[np.float32]:
    heights = np.empty((nodes, nodes), np.float32)
    for row in range(nodes):
        for col in range(nodes):
            value = 0.0
            amplitude = 1.0
            frequency = 1.0 / scale
            for _ in range(octaves):
                value += amplitude * _simplex(row * frequency, col * frequency, permutation)
                amplitude *= persistence
                frequency *= lacunarity
            heights[row, col] = value
    return heights
