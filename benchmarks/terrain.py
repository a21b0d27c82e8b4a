"""How steep the terrain is: quantiles of the slope of its triangles.

python benchmarks/terrain.py [--terrains 50] [--height 0.1]
"""

import argparse

import numpy as np
from _table import report

from poise.sim.terrain import TerrainOptions


def slopes(options: TerrainOptions, seed: int) -> np.ndarray:
    """Of all triangles, degrees: a cell is split along the diagonal from its lower left to its upper right node."""
    z = options.height * options.generate(seed).astype(float)
    below = np.hypot(z[:-1, 1:] - z[:-1, :-1], z[1:, 1:] - z[:-1, 1:])
    above = np.hypot(z[1:, 1:] - z[1:, :-1], z[1:, :-1] - z[:-1, :-1])
    return np.degrees(np.arctan(np.concatenate([below.ravel(), above.ravel()]) / options.cell))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--terrains", type=int, default=50)
    parser.add_argument("--height", type=float, default=0.1, help="of the highest node above the lowest, m")
    arguments = parser.parse_args()
    options = TerrainOptions(height=arguments.height)
    steepness = np.concatenate([slopes(options, seed) for seed in range(arguments.terrains)])
    quantiles = {f"{share:.0%}": float(np.quantile(steepness, share)) for share in (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)}
    rows = [[share, f"{degrees:.1f}"] for share, degrees in quantiles.items()]
    report("Slopes of Perlin terrain", ["share below", "degrees"], rows, quantiles, None, ("poise", "numpy"))


if __name__ == "__main__":
    main()
