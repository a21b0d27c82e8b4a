"""Terrain from seeds, and the parameters of its noise."""

import numpy as np
import pytest

from poise.errors import PoiseError
from poise.sim.terrain import TerrainOptions, perlin_terrain


def _roughness(heights: np.ndarray) -> float:
    """Mean bend from node to node, which fine detail dominates."""
    return float(np.abs(np.diff(heights, n=2, axis=0)).mean())


def test_a_seed_determines_the_terrain() -> None:
    first = perlin_terrain(65, seed=3)
    np.testing.assert_array_equal(first, perlin_terrain(65, seed=3))
    assert np.abs(first - perlin_terrain(65, seed=4)).max() > 0.1


@pytest.mark.parametrize("nodes", [3, 65, 293])
def test_heights_span_zero_to_one(nodes: int) -> None:
    heights = perlin_terrain(nodes, seed=1)
    assert heights.shape == (nodes, nodes)
    assert heights.dtype == np.float32
    assert heights.min() == 0.0
    assert heights.max() == 1.0


def test_ground_is_continuous() -> None:
    heights = perlin_terrain(293, seed=2)
    assert max(np.abs(np.diff(heights, axis=axis)).max() for axis in (0, 1)) < 0.2


def test_parameters_do_what_they_say() -> None:
    usual = _roughness(perlin_terrain(129, seed=7))
    assert _roughness(perlin_terrain(129, scale=50.0, seed=7)) < 0.8 * usual
    assert _roughness(perlin_terrain(129, persistence=0.6, seed=7)) > 1.2 * usual
    assert _roughness(perlin_terrain(129, octaves=1, seed=7)) < 0.9 * usual
    assert _roughness(perlin_terrain(129, lacunarity=3.0, seed=7)) > 1.2 * usual
    np.testing.assert_array_equal(
        perlin_terrain(129, octaves=1, seed=7), perlin_terrain(129, octaves=1, persistence=0.9, lacunarity=3.0, seed=7)
    )


def test_noise_has_no_preferred_direction() -> None:
    slopes = [np.gradient(perlin_terrain(129, seed=seed)) for seed in range(8)]
    along_rows, along_cols = (np.mean([np.abs(slope[axis]).mean() for slope in slopes]) for axis in (0, 1))
    assert along_rows == pytest.approx(along_cols, rel=0.1)


def test_flat_ground() -> None:
    assert not TerrainOptions(kind="flat", nodes=33).generate(5).any()


def test_options_pass_their_parameters_on() -> None:
    options = TerrainOptions(nodes=65, scale=10.0, octaves=2, persistence=0.5, lacunarity=2.5)
    np.testing.assert_array_equal(options.generate(9), perlin_terrain(65, 10.0, 2, 0.5, 2.5, 9))


@pytest.mark.parametrize("scale", [1.0, 10_000.0])
@pytest.mark.parametrize("nodes", [3, 2049])
def test_the_most_extreme_options_give_ground_nevertheless(nodes: int, scale: float) -> None:
    heights = TerrainOptions(nodes=nodes, scale=scale, octaves=12, persistence=1.0, lacunarity=8.0).generate(0)
    assert (heights.min(), heights.max()) == (0.0, 1.0)


def test_heights_that_are_not_finite_are_never_handed_out() -> None:
    unchecked = TerrainOptions(nodes=33, octaves=12).model_copy(update={"lacunarity": 1e30})
    with pytest.raises(PoiseError, match="heights are not finite"):
        unchecked.generate(0)


def test_a_cell_is_the_distance_of_neighbouring_nodes() -> None:
    assert TerrainOptions(nodes=293, half_size=5.0).cell == pytest.approx(10.0 / 292)


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"nodes": 292}, "nodes"),
        ({"height": -0.1}, "height"),
        ({"octaves": 0}, "octaves"),
        ({"heigth": 0.1}, "heigth"),
        ({"lacunarity": 1e30}, "lacunarity"),
        ({"scale": 1e-300}, "scale"),
        ({"scale": 1e30}, "scale"),
        ({"half_size": 1e308}, "half_size"),
    ],
)
def test_impossible_terrain_is_refused(wrong: dict[str, float], key: str) -> None:
    with pytest.raises((PoiseError, ValueError), match=key):
        TerrainOptions(**wrong)
