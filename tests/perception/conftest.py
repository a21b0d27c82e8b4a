from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from poise.perception import DepthEncoder, ImageDatasetWriter

Slopes = Callable[[int, int], np.ndarray]


@pytest.fixture
def encoder() -> DepthEncoder:
    """An encoder whose BatchNorm statistics and scales are not the initial ones, so that folding them matters."""
    torch.manual_seed(0)
    encoder = DepthEncoder()
    for _ in range(8):
        encoder(torch.rand(16, 1, 64, 64))
    for norm in (encoder.norm1, encoder.norm2, encoder.norm3):
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        torch.nn.init.uniform_(norm.bias, -0.5, 0.5)
    return encoder.eval()


@pytest.fixture
def slopes() -> Slopes:
    """Depth images (frames, 16, 16) of tilted planes, by seed: something an autoencoder learns in moments."""

    def draw(seed: int, frames: int) -> np.ndarray:
        rows, columns = np.mgrid[-1:1:16j, -1:1:16j]
        a, b, c = np.random.default_rng(seed).uniform(-0.3, 0.3, (3, frames, 1, 1))
        return np.clip(0.5 + a * rows + b * columns + c, 0, 0.9).astype(np.float32)

    return draw


@pytest.fixture
def dataset_folder(tmp_path: Path, slopes: Slopes) -> Path:
    """Ten episodes of twelve 16x16 images from each of two cameras, clipped at 0.9 m."""
    writer = ImageDatasetWriter(tmp_path / "data", ("rgbd_0", "rgbd_1"), 16, 16, max_depth=0.9)
    for episode in range(10):
        images = {"rgbd_0": slopes(episode, 12), "rgbd_1": slopes(100 + episode, 12)}
        writer.write(episode, images, seed=episode, driver="random")
    return tmp_path / "data"


@pytest.fixture
def felt_folder(tmp_path: Path) -> Path:
    """Ten episodes of twelve moments: two cameras see a plane as it is and mirrored, and its tilt is felt."""
    felt = {"orientation": (2,), "still": (1,), "number": (1,)}
    writer = ImageDatasetWriter(tmp_path / "felt", ("rgbd_0", "rgbd_1"), 16, 16, felt=felt)
    rows, columns = np.mgrid[-1:1:16j, -1:1:16j]
    for episode in range(10):
        tilt = np.random.default_rng(episode).uniform(-0.2, 0.2, (12, 2)).astype(np.float32)
        planes = 0.5 + tilt[:, :1, None] * rows + tilt[:, 1:, None] * columns
        images = {"rgbd_0": planes, "rgbd_1": planes[:, ::-1, ::-1]}
        numbers = 100.0 * episode + np.arange(12.0)
        told = {"orientation": tilt, "still": np.ones((12, 1)), "number": numbers[:, None]}
        writer.write(episode, images, episode, "random", told)
    return tmp_path / "felt"
