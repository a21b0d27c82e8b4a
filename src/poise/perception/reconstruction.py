"""Learning to see by drawing again: the TinyAutoencoder returns the images it is given.

loss = 1/(B H W) sum (decoder(encoder(x)) - x)^2          (mean squared error, m^2)
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from poise.errors import PoiseError
from poise.perception.autoencoder import DepthDecoder, DepthEncoder, TinyAutoencoder
from poise.perception.images import Depths, ImageDataset, metres, split_episodes
from poise.perception.objectives import PretrainConfig, Scores

_EVALUATION_BATCH = 128


class Reconstruction:
    """The objective of an autoencoder."""

    candidates = None

    def __init__(self, dataset: ImageDataset, config: PretrainConfig) -> None:
        self.model = build_autoencoder(dataset, config)
        self._best = self.model
        self._training, self._held_out = _draw_images(dataset, config)
        self.uninformed_loss = average_image_loss(self._training, self._held_out)
        self._optimiser = torch.optim.Adam(self.model.parameters(), lr=config.learning_rate, fused=True)
        self._rng = np.random.default_rng([config.seed, 2])
        self._config = config
        self._low_precision = config.low_precision

    def learn(self) -> tuple[float, int]:
        """See `Objective`."""
        self.model.train()
        training, total = self._training, 0.0
        # Batches of nearly equal size: no image is dropped, and no batch is a single image, which has no variance.
        batches = max(len(training) // self._config.batch_size, 1)
        for chosen in np.array_split(self._rng.permutation(len(training)), batches):
            total += self._gradient_step(as_batch(training[chosen])) * len(chosen)
        return total / len(training), len(training)

    def judge(self) -> Scores:
        """See `Objective`."""
        return Scores(reconstruction_error(self.model, self._held_out))

    def keep(self) -> tuple[DepthEncoder, DepthDecoder | None]:
        """See `Objective`."""
        self._best = copy.deepcopy(self.model)
        return self._best.encoder, self._best.decoder

    def illustrate(self, out: Path, scores: Scores) -> None:
        """`reconstructions.png`."""
        illustrate_reconstructions(self._best, self._held_out, out, scores.loss)

    def _gradient_step(self, images: Tensor) -> float:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self._low_precision):
            reconstructions = self.model(images)
        loss = F.mse_loss(reconstructions.float(), images)
        self._optimiser.zero_grad()
        torch.autograd.backward(loss)
        self._optimiser.step()
        return loss.item()


def build_autoencoder(dataset: ImageDataset, config: PretrainConfig) -> TinyAutoencoder:
    """With initial weights that the seed determines."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return TinyAutoencoder(dataset.info.height, dataset.info.width, latent=config.latent)


@torch.no_grad()
def reconstruct(model: TinyAutoencoder, images: Tensor) -> Tensor:
    """What a trained autoencoder makes of images (B, 1, H, W)."""
    reconstructions: Tensor = model.eval()(images)
    return reconstructions


def reconstruction_error(model: TinyAutoencoder, images: Depths) -> float:
    """Of images (n, H, W), m^2; in float32 and with BatchNorm's running statistics, as the encoder will be used."""
    total = 0.0
    for start in range(0, len(images), _EVALUATION_BATCH):
        batch = as_batch(images[start : start + _EVALUATION_BATCH])
        total += float(F.mse_loss(reconstruct(model, batch), batch)) * len(batch)
    return total / len(images)


def as_batch(images: Depths) -> Tensor:
    """uint16 (B, H, W) to metres (B, 1, H, W)."""
    return torch.from_numpy(metres(images))[:, None].contiguous(memory_format=torch.channels_last)


def average_image_loss(training: Depths, held_out: Depths) -> float:
    """Of answering every held-out image (n, H, W) with the average training image, m^2."""
    return float(np.mean((metres(held_out) - metres(training).mean(axis=0)) ** 2))


def illustrate_reconstructions(model: TinyAutoencoder, held_out: Depths, out: Path, loss: float) -> None:
    """Write `reconstructions.png` of some images (n, H, W) that differ; `loss` is that of all, m^2."""
    from poise.perception.pictures import save_reconstructions  # matplotlib is slow to import, few need it

    shown = _varied(metres(held_out), 8)
    reconstructed = reconstruct(model, torch.from_numpy(shown)[:, None])[:, 0].numpy()
    save_reconstructions(out / "reconstructions.png", shown, reconstructed, model.encoder.spec.latent, loss**0.5)


def _varied(images: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Images (count, H, W) that differ: evenly spread over the order of their mean depth."""
    by_depth = np.argsort(images.mean(axis=(1, 2)), kind="stable")
    return images[by_depth[np.linspace(0, len(images) - 1, count).astype(int)]]


def _draw_images(dataset: ImageDataset, config: PretrainConfig) -> tuple[Depths, Depths]:
    """Training and held-out images (n, H, W), in the proportion of their episodes."""
    episodes, held_out_episodes = split_episodes(dataset.episodes, config.validation_fraction, config.seed)
    rng = np.random.default_rng([config.seed, 1])
    limit = max(round(config.validation_fraction * config.max_images), 1)
    training = dataset.sample(episodes, config.max_images - limit, rng)
    held_out = dataset.sample(held_out_episodes, limit, rng)
    if len(training) < 2 or len(held_out) < 1:
        raise PoiseError(
            f"{dataset.folder} has {len(training)} images to train on and {len(held_out)} held out "
            f"({len(dataset.damaged)} damaged episodes left out); run `poise collect` for more"
        )
    return training, held_out
