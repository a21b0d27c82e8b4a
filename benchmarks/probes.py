"""What the features of a depth encoder know: R² of linear maps from frozen features to what was felt and what is below.

    python benchmarks/probes.py [--seeds 2] [--folder runs/probes] [--json FILE]

`poise collect`, at its defaults, makes images to pretrain on and, with another seed, images to ask about, which no
encoder has seen, nor their terrains. For every objective of `poise pretrain`, with its defaults and some seeds, the
features of both cameras (2 x 20) are mapped to each target by ridge regression, its strength chosen on other episodes
than it is tested on, in five folds of episodes. R² is 1 for a map that is always right and 0 for one that always tells
the mean. Beside them stand encoders with initial weights, which have learned nothing, and contrastive ones that match
images with all five components that robots feel, not with orientation and angular velocity alone.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import numpy as np
import torch
from _table import report
from numpy.typing import NDArray

from poise.config import parse
from poise.envs.options import HeightScanOptions
from poise.perception import FrozenDepthEncoder, ImageDataset, PretrainConfig, pretrain
from poise.perception.images import metres
from poise.perception.moments import Moments, draw_moments
from poise.perception.reconstruction import build_autoencoder
from poise.training.collection import CollectConfig, collect
from poise.training.feeling import FELT

Array = NDArray[np.float64]
KINDS: dict[str, dict[str, Any]] = {
    "untrained": {},
    "autoencoder": {"objective": "autoencoder"},
    "contrastive": {"objective": "contrastive"},
    "contrastive_all": {"objective": "contrastive", "contrastive": {"components": list(FELT)}},
    "both": {"objective": "both"},
}
ASKED = ("orientation", "angular_vel", "vel", "heights")
STRENGTHS = 10.0 ** np.arange(-2, 6)
FOLDS = 5


def dataset(folder: Path, seed: int) -> ImageDataset:
    """Collected, unless it is there already."""
    collect(parse(CollectConfig, {"seed": seed, "ground_heights": True}), folder)
    return ImageDataset(folder)


def encoder(images: ImageDataset, kind: str, seed: int, folder: Path) -> FrozenDepthEncoder:
    """Pretrained, unless it is there already; with initial weights where it is not to be."""
    if not KINDS[kind]:
        return FrozenDepthEncoder(build_autoencoder(images, PretrainConfig(seed=seed)).encoder)
    if not (folder / "alignment.png").exists() and not (folder / "reconstructions.png").exists():
        result = pretrain(images, parse(PretrainConfig, {**KINDS[kind], "seed": seed}), folder)
        print(f"{kind}, seed {seed}: {result.best.known()}", flush=True)
    return FrozenDepthEncoder.load(folder)


def encoded(images: ImageDataset, moments: Moments, frozen: FrozenDepthEncoder) -> Array:
    """(n, cameras · latent)"""
    flat = torch.from_numpy(metres(moments.images.reshape(-1, 1, images.info.height, images.info.width)))
    return frozen(flat).reshape(len(moments.felt), -1).double().numpy()


def targets(felt: NDArray[np.float32]) -> dict[str, Array]:
    """What is asked for, (n, k) each; angles in rad, slopes as rise over run."""
    orientation, turning, velocity, heights = np.split(felt.astype(np.float64), [3, 6, 9], axis=1)
    scan = HeightScanOptions()
    offsets = scan.spacing * (np.arange(scan.size) - scan.size // 2)
    ahead, left = (axis.ravel() for axis in np.meshgrid(offsets, offsets, indexing="ij"))
    plane = np.linalg.pinv(np.stack([ahead, left, np.ones_like(ahead)], axis=1))
    slope = (heights @ plane.T)[:, :2]
    ground = np.stack([slope[:, 1], -slope[:, 0]], axis=1)  # how a body at right angles to the ground is turned
    return {
        "tilt": orientation[:, :2],
        "tilt to the ground": orientation[:, :2] - ground,
        "turn rate": turning[:, :2],
        "velocity": velocity[:, :2],
        "slope": slope,
        "heights": heights,
    }


def ridge(x: Array, y: Array, strength: float) -> Callable[[Array], Array]:
    """The linear map from standardised x (n, d) to y (n, k) with the least |y - f(x)|² + strength |weights|²."""
    mean, std, middle = x.mean(axis=0), x.std(axis=0) + 1e-9, y.mean(axis=0)
    scaled = (x - mean) / std
    weights = np.linalg.solve(scaled.T @ scaled + strength * np.eye(x.shape[1]), scaled.T @ (y - middle))
    return lambda new: (new - mean) / std @ weights + middle


def r_squared(x: Array, y: Array, episodes: NDArray[np.int64]) -> float:
    """Of linear maps tested on episodes that they were neither fitted nor chosen on."""
    folds = np.array_split(np.random.default_rng(0).permutation(np.unique(episodes)), FOLDS)
    error = variance = 0.0
    for index in range(FOLDS):
        test, choice = (np.isin(episodes, folds[(index + shift) % FOLDS]) for shift in (0, 1))
        rest = ~(test | choice)

        def chosen(strength: float, rest: Any = rest, choice: Any = choice) -> float:
            return float(np.square(ridge(x[rest], y[rest], strength)(x[choice]) - y[choice]).sum())

        found = ridge(x[~test], y[~test], min(STRENGTHS, key=chosen))(x[test])
        error += float(np.square(found - y[test]).sum())
        variance += float(np.square(y[~test].mean(axis=0) - y[test]).sum())
    return 1.0 - error / variance


def probe(features: Array, moments: Moments) -> dict[str, float]:
    """R² of each target; of what moves also from the features of two images, this and the one before."""
    asked, episodes = targets(moments.felt), moments.episodes
    result = {name: r_squared(features, values, episodes) for name, values in asked.items()}
    later = np.flatnonzero(episodes[1:] == episodes[:-1]) + 1
    both = np.concatenate([features[later], features[later] - features[later - 1]], axis=1)
    for name in ("turn rate", "velocity"):
        result[f"{name}, two images"] = r_squared(both, asked[name][later], episodes[later])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2, help="encoders of each kind")
    parser.add_argument("--folder", type=Path, default=Path("runs/probes"), help="for images and encoders")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    images = dataset(options.folder / "images", seed=0)
    unseen = dataset(options.folder / "unseen", seed=2)
    every = sum(info.frames for info in unseen.info.episodes.values())
    moments = draw_moments(unseen, ASKED, unseen.episodes, every, np.random.default_rng(0))
    found: dict[str, list[dict[str, float]]] = {name: [] for name in KINDS}
    for seed in range(options.seeds):
        for name in KINDS:
            frozen = encoder(images, name, seed, options.folder / f"{name}_{seed}")
            found[name].append(probe(encoded(unseen, moments, frozen), moments))
            print(name, seed, {asked: round(value, 3) for asked, value in found[name][-1].items()}, flush=True)
    asked = list(found["untrained"][0])
    rows = [[one, *(_shown([values[one] for values in found[name]]) for name in KINDS)] for one in asked]
    title = f"R² of linear maps, {len(moments.felt):,} moments of {len(unseen.episodes)} unseen episodes"
    report(title, ("what is asked", *KINDS), rows, {"r_squared": found}, options.json, ("poise", "torch"))


def _shown(values: list[float]) -> str:
    """Mean, and standard deviation among seeds."""
    return f"{fmean(values):.2f}" + (f" ± {pstdev(values):.2f}" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
