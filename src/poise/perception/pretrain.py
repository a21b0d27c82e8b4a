"""Pretraining: a depth encoder learns by an objective, and the best one on held-out episodes is kept.

    autoencoder    to draw images again from their features                (see `reconstruction`)
    contrastive    to tell which body took the images                      (see `alignment`)
    both           a weighted sum of the two

with Adam at 1e-3 and a fifth of the *episodes* held out. `pretrain` writes into its output folder:

    encoder/              the encoder with the lowest held-out loss (see `encoder_files`), saved when reached
    history.csv           losses after every epoch, and how often the right body is found
    config.yaml           the settings
    reconstructions.png   held-out images beside what the best autoencoder makes of them
    alignment.png         which of some held-out bodies the best encoder finds to belong to which images
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from poise.config import save_yaml
from poise.cores import torch_threads
from poise.errors import PoiseError
from poise.files import write_atomically
from poise.perception.alignment import Alignment
from poise.perception.encoder_files import save_encoder
from poise.perception.images import ImageDataset
from poise.perception.objectives import ContrastiveConfig, Objective, PretrainConfig, Scores
from poise.perception.reconstruction import Reconstruction

__all__ = ["ContrastiveConfig", "Epoch", "PretrainConfig", "PretrainResult", "pretrain"]


class Epoch(NamedTuple):
    """One line of `history.csv`, where columns that an objective does not know are left out; see `Scores`."""

    epoch: int
    training_loss: float
    validation_loss: float
    images_per_second: float
    reconstruction_loss: float | None = None
    contrastive_loss: float | None = None
    accuracy: float | None = None
    temperature: float | None = None

    def known(self) -> dict[str, float]:
        """By name, without what the objective does not know."""
        return {name: value for name, value in self._asdict().items() if value is not None}

    @property
    def scores(self) -> Scores:
        """On held-out images."""
        return Scores(self.validation_loss, *self[4:])


class PretrainResult(NamedTuple):
    """What came out. `damaged` maps the file names of episodes that were left out to the reason."""

    history: tuple[Epoch, ...]
    best: Epoch
    interrupted: bool
    damaged: dict[str, str]
    uninformed_loss: float
    """Held-out loss of what knows nothing; an autoencoder's, of always drawing the average training image, m^2."""
    candidates: int | None
    """Among how many held-out moments the right body was looked for, if it was."""

    @property
    def useful(self) -> bool:
        """Whether the encoder tells anything about an image."""
        return self.best.validation_loss < self.uninformed_loss


Progress = Callable[[Epoch], None]


def pretrain(
    dataset: ImageDataset, config: PretrainConfig, out: Path | str, progress: Progress | None = None
) -> PretrainResult:
    """Train on `dataset`, write the folder `out`, and tell `progress` about each epoch.

    The same seed gives the same encoder on a given machine, whatever its number of cores. Ctrl-C after the first epoch
    ends the training early and keeps the best encoder so far.
    """
    with torch_threads(config.threads):
        kind = Reconstruction if config.objective == "autoencoder" else Alignment
        return _pretrain(dataset, config, kind(dataset, config), Path(out), progress)


def _pretrain(
    dataset: ImageDataset, config: PretrainConfig, objective: Objective, out: Path, progress: Progress | None
) -> PretrainResult:
    history, interrupted = list[Epoch](), False
    try:
        for epoch in _epochs(objective, config.epochs):
            if not math.isfinite(epoch.validation_loss):
                raise PoiseError(
                    f"pretraining diverged in epoch {epoch.epoch}: the loss is {epoch.validation_loss}; "
                    f"use a learning_rate below {config.learning_rate:g}"
                )
            if not history or epoch.validation_loss < _best(history).validation_loss:
                made_from = {"dataset": dataset.folder.name, "max_depth": dataset.info.max_depth}
                made_from["objective"] = config.objective
                encoder, decoder = objective.keep()
                save_encoder(out / "encoder", encoder, made_from | epoch.known(), decoder)
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
    best = _best(history)
    objective.illustrate(out, best.scores)
    damaged = dict(dataset.damaged)
    return PretrainResult(tuple(history), best, interrupted, damaged, objective.uninformed_loss, objective.candidates)


def _epochs(objective: Objective, epochs: int) -> Iterator[Epoch]:
    """Train, one epoch at a time."""
    for number in range(1, epochs + 1):
        start = time.perf_counter()
        training_loss, images = objective.learn()
        speed = images / (time.perf_counter() - start)
        scores = objective.judge()
        yield Epoch(number, training_loss, scores.loss, speed, *scores[1:])


def _best(history: list[Epoch]) -> Epoch:
    return min(history, key=lambda epoch: epoch.validation_loss)


def _save_history(path: Path, history: list[Epoch]) -> None:
    rows = [epoch.known() for epoch in history]
    lines = [",".join(rows[0])] + [",".join(map(_written, row, row.values())) for row in rows]
    write_atomically(path, "\n".join(lines) + "\n")


def _written(name: str, value: float) -> str:
    return f"{value:.1f}" if name == "images_per_second" else f"{value:.9g}"
