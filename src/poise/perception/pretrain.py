"""Pretraining: the TinyAutoencoder learns to return the images it is given, and its encoder is kept.

    loss = 1/(B H W) sum (decoder(encoder(x)) - x)^2          (mean squared error, m^2)

with Adam at 1e-3 and a fifth of the *episodes* held out. `pretrain` writes into its output folder:

    encoder/              the encoder with the lowest loss on held-out images (see `encoder_files`), saved when reached
    history.csv           both losses after every epoch
    config.yaml           the settings
    reconstructions.png   held-out images beside what the best autoencoder makes of them
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from poise.config import Config, save_yaml
from poise.cores import torch_threads
from poise.errors import PoiseError
from poise.files import write_atomically
from poise.perception.autoencoder import TinyAutoencoder
from poise.perception.encoder_files import save_encoder
from poise.perception.folded import multiplies_bfloat16
from poise.perception.images import Depths, ImageDataset, metres, split_episodes

_EVALUATION_BATCH = 128


class PretrainConfig(Config):
    """Settings of `pretrain`; the defaults take about half a minute on two cores."""

    epochs: int = Field(default=10, ge=1, description="most passes over the training images")
    patience: int = Field(default=3, ge=1, description="stop after this many epochs without a better held-out loss")
    batch_size: int = Field(default=64, ge=2, description="images a gradient step")
    learning_rate: float = Field(default=1e-3, gt=0, description="of Adam")
    validation_fraction: float = Field(default=0.2, gt=0, lt=1, description="share of the episodes held out")
    max_images: int = Field(
        default=6000, ge=10, description="most images used, drawn at random, held-out ones included"
    )
    latent: int = Field(default=20, ge=1, description="numbers an image is squeezed into")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="of the training; auto: bfloat16 where the CPU multiplies it natively"
    )
    threads: int = Field(
        default=1, ge=1, description="of torch: more wait for each other on a busy machine, and change the last digits"
    )
    seed: int = Field(default=0, ge=0, description="of the split, the draw of images, the weights and the order")


class Epoch(NamedTuple):
    """One line of `history.csv`. Losses are mean squared errors, m^2."""

    epoch: int
    training_loss: float
    validation_loss: float
    images_per_second: float


class PretrainResult(NamedTuple):
    """What came out. `damaged` maps the file names of episodes that were left out to the reason."""

    history: tuple[Epoch, ...]
    best: Epoch
    interrupted: bool
    damaged: dict[str, str]
    average_image_loss: float
    """Held-out loss of answering every image with the average training image, m^2: what knowing nothing achieves."""

    @property
    def useful(self) -> bool:
        """Whether the encoder tells anything about an image."""
        return self.best.validation_loss < self.average_image_loss


Progress = Callable[[Epoch], None]


def pretrain(
    dataset: ImageDataset, config: PretrainConfig, out: Path | str, progress: Progress | None = None
) -> PretrainResult:
    """Train on `dataset`, write the folder `out`, and tell `progress` about each epoch.

    The same seed gives the same encoder on a given machine, whatever its number of cores. Ctrl-C after the first epoch
    ends the training early and keeps the best encoder so far.
    """
    with torch_threads(config.threads):
        return _pretrain(dataset, config, Path(out), progress)


def _pretrain(
    dataset: ImageDataset, config: PretrainConfig, out: Path, progress: Progress | None = None
) -> PretrainResult:
    from poise.perception.pictures import save_reconstructions  # matplotlib is slow to import, few need it

    model = _build_model(dataset, config)
    training, held_out = _draw_images(dataset, config)
    best_model, history, interrupted = model, list[Epoch](), False
    try:
        for epoch in _epochs(model, training, held_out, config):
            if not math.isfinite(epoch.validation_loss):
                raise PoiseError(
                    f"pretraining diverged in epoch {epoch.epoch}: the loss is {epoch.validation_loss}; "
                    f"use a learning_rate below {config.learning_rate:g}"
                )
            if not history or epoch.validation_loss < _best(history).validation_loss:
                best_model = copy.deepcopy(model)
                made_from = {"dataset": dataset.folder.name, "max_depth": dataset.info.max_depth}
                save_encoder(out / "encoder", best_model.encoder, made_from | epoch._asdict(), best_model.decoder)
                save_yaml(out / "config.yaml", config)
            history.append(epoch)
            _save_history(out / "history.csv", history)
            if progress is not None:
                progress(epoch)
            if epoch.epoch - _best(history).epoch >= config.patience:
                break
    except KeyboardInterrupt:
        if not history:
            raise
        interrupted = True
    best, unseen = _best(history), metres(held_out)
    shown = _varied(unseen, 8)
    reconstructed = _reconstruct(best_model, torch.from_numpy(shown)[:, None])[:, 0].numpy()
    rmse = best.validation_loss**0.5
    save_reconstructions(out / "reconstructions.png", shown, reconstructed, model.encoder.spec.latent, rmse)
    average_image_loss = float(np.mean((unseen - metres(training).mean(axis=0)) ** 2))
    return PretrainResult(tuple(history), best, interrupted, dict(dataset.damaged), average_image_loss)


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


def _build_model(dataset: ImageDataset, config: PretrainConfig) -> TinyAutoencoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return TinyAutoencoder(dataset.info.height, dataset.info.width, latent=config.latent)


def _epochs(model: TinyAutoencoder, training: Depths, held_out: Depths, config: PretrainConfig) -> Iterator[Epoch]:
    """Train `model`, one epoch at a time."""
    optimiser = torch.optim.Adam(model.parameters(), lr=config.learning_rate, fused=True)
    low_precision = config.precision == "bfloat16" or (config.precision == "auto" and multiplies_bfloat16())
    rng = np.random.default_rng([config.seed, 2])
    for number in range(1, config.epochs + 1):
        model.train()
        start, total = time.perf_counter(), 0.0
        # Batches of nearly equal size: no image is dropped, and no batch is a single image, which has no variance.
        batches = max(len(training) // config.batch_size, 1)
        for chosen in np.array_split(rng.permutation(len(training)), batches):
            loss = _gradient_step(model, optimiser, _batch(training[chosen]), low_precision)
            total += loss * len(chosen)
        speed = len(training) / (time.perf_counter() - start)
        yield Epoch(number, total / len(training), _validation_loss(model, held_out), speed)


def _gradient_step(
    model: TinyAutoencoder, optimiser: torch.optim.Optimizer, images: Tensor, low_precision: bool
) -> float:
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=low_precision):
        reconstructions = model(images)
    loss = F.mse_loss(reconstructions.float(), images)
    optimiser.zero_grad()
    torch.autograd.backward(loss)
    optimiser.step()
    return loss.item()


def _validation_loss(model: TinyAutoencoder, images: Depths) -> float:
    """Mean squared error (m^2), in float32 and with BatchNorm's running statistics, as the encoder will be used."""
    total = 0.0
    for start in range(0, len(images), _EVALUATION_BATCH):
        batch = _batch(images[start : start + _EVALUATION_BATCH])
        total += float(F.mse_loss(_reconstruct(model, batch), batch)) * len(batch)
    return total / len(images)


@torch.no_grad()
def _reconstruct(model: TinyAutoencoder, images: Tensor) -> Tensor:
    reconstructions: Tensor = model.eval()(images)
    return reconstructions


def _batch(images: Depths) -> Tensor:
    """uint16 (B, H, W) to metres (B, 1, H, W)."""
    return torch.from_numpy(metres(images))[:, None].contiguous(memory_format=torch.channels_last)


def _best(history: list[Epoch]) -> Epoch:
    return min(history, key=lambda epoch: epoch.validation_loss)


def _save_history(path: Path, history: list[Epoch]) -> None:
    lines = [",".join(Epoch._fields)] + [f"{e.epoch},{e[1]:.9g},{e[2]:.9g},{e[3]:.1f}" for e in history]
    write_atomically(path, "\n".join(lines) + "\n")
