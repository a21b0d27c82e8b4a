"""Learning to see by what was felt: an encoder whose features tell which body took the images; or that, and draw them.

    contrastive:  loss = L / log B                                             L as in `contrastive.info_nce`
    both:         loss = share · L / log B + (1 - share) · E / E_average

E is the mean squared error of drawing again, E_average that of always drawing the average image. Both terms are 1 for
what knows nothing, which makes them comparable, and 0 for what knows all.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from poise.errors import PoiseError
from poise.perception.autoencoder import DepthDecoder, DepthEncoder, TinyAutoencoder
from poise.perception.contrastive import AlignmentHeads, cosine_similarities, info_nce, partner_ranks
from poise.perception.images import Depths, ImageDataset, split_episodes
from poise.perception.moments import Moments, batches_across_episodes, check_components, draw_moments
from poise.perception.objectives import PretrainConfig, Scores
from poise.perception.reconstruction import (
    as_batch,
    average_image_loss,
    build_autoencoder,
    illustrate_reconstructions,
    reconstruction_error,
)

_HELD_OUT_BATCHES = 20
_SMALLEST_STD = 1e-6
"""Of a component, so that one that never changes is no division by zero."""

Number = TypeVar("Number", Tensor, float)


class AlignedAutoencoder(nn.Module):
    """An autoencoder, and what compares its features with what was felt."""

    def __init__(self, autoencoder: TinyAutoencoder, heads: AlignmentHeads) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.heads = heads

    def forward(self, images: Tensor, felt: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B · cameras, 1, H, W), moment by moment, and felt (B, width) to embeddings (B, embedding) of both."""
        u, v = self.heads(self.autoencoder.encoder(images), felt)
        return u, v


class Alignment:
    """The objectives `contrastive` and `both`."""

    uninformed_loss = 1.0

    def __init__(self, dataset: ImageDataset, config: PretrainConfig) -> None:
        check_components(dataset, config.contrastive.components)
        autoencoder = build_autoencoder(dataset, config)
        self._training, self._held_out = _draw_both(dataset, config)
        self._average_loss = average_image_loss(_flat(self._training.images), _flat(self._held_out.images))
        heads = _build_heads(self._training, config, len(dataset.cameras) * config.latent)
        self.model = AlignedAutoencoder(autoencoder, heads)
        self._best = self.model
        self._optimiser = torch.optim.Adam(self.model.parameters(), lr=config.learning_rate, fused=True)
        self._rng = np.random.default_rng([config.seed, 2])
        self._config = config
        self._low_precision = config.low_precision
        self._draws = config.objective == "both"
        self.candidates: int = min(config.batch_size, len(np.unique(self._held_out.episodes)))
        rng = np.random.default_rng([config.seed, 3])
        self._trials = list(batches_across_episodes(self._held_out.episodes, self.candidates, _HELD_OUT_BATCHES, rng))

    def learn(self) -> tuple[float, int]:
        """Batches that hold as many moments as there are, each batch one of every episode in it."""
        self.model.train()
        size, total = self._config.batch_size, 0.0
        count = max(len(self._training.felt) // size, 1)
        for chosen in batches_across_episodes(self._training.episodes, size, count, self._rng):
            total += self._gradient_step(*_tensors(self._training, chosen))
        return total / count, count * size * self._training.images.shape[1]

    def judge(self) -> Scores:
        """In float32 and with BatchNorm's running statistics, as the encoder will be used."""
        model, trials = self.model, self._embedded(self.model)
        temperature = model.heads.temperature.item()
        contrastive = float(np.mean([info_nce(u, v, temperature) for u, v in trials]))
        accuracy = float((_ranks(trials) == 1).double().mean())
        images = _flat(self._held_out.images)
        error = reconstruction_error(model.autoencoder, images) if self._draws else None
        return Scores(
            self._combined(contrastive / math.log(self.candidates), error), error, contrastive, accuracy, temperature
        )

    def keep(self) -> tuple[DepthEncoder, DepthDecoder | None]:
        """See `Objective`."""
        self._best = copy.deepcopy(self.model)
        autoencoder = self._best.autoencoder
        return autoencoder.encoder, autoencoder.decoder if self._draws else None

    def illustrate(self, out: Path, scores: Scores) -> None:
        """`alignment.png`, and `reconstructions.png` where images are drawn."""
        from poise.perception.pictures import save_alignment  # matplotlib is slow to import, few need it

        trials = self._embedded(self._best)
        u, v = trials[0]
        order = _alike_side_by_side(v)
        similarities = cosine_similarities(u[order], v[order])
        save_alignment(out / "alignment.png", similarities.numpy(), _ranks(trials).numpy())
        if scores.reconstruction_loss is not None:
            images, loss = _flat(self._held_out.images), scores.reconstruction_loss
            illustrate_reconstructions(self._best.autoencoder, images, out, loss)

    def _gradient_step(self, images: Tensor, felt: Tensor) -> float:
        autoencoder, heads = self.model.autoencoder, self.model.heads
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self._low_precision):
            features = autoencoder.encoder(images)
            drawn = autoencoder.decoder(features) if self._draws else None
        u, v = heads(features.float(), felt)
        contrastive = info_nce(u, v, heads.temperature) / math.log(len(felt))
        loss = self._combined(contrastive, None if drawn is None else F.mse_loss(drawn.float(), images))
        self._optimiser.zero_grad()
        torch.autograd.backward(loss)
        self._optimiser.step()
        heads.bound_temperature()
        return loss.item()

    def _combined(self, contrastive: Number, error: Number | None) -> Number:
        """The loss, of InfoNCE as a share of guessing's and of the error of drawing, m^2."""
        if error is None:
            return contrastive
        share = self._config.contrastive.share
        return share * contrastive + (1.0 - share) * error / self._average_loss

    @torch.no_grad()
    def _embedded(self, model: AlignedAutoencoder) -> list[tuple[Tensor, Tensor]]:
        """What was seen and felt at the moments of held-out batches, always the same, (candidates, embedding) each."""
        model.eval()
        return [model(*_tensors(self._held_out, chosen)) for chosen in self._trials]


def _draw_both(dataset: ImageDataset, config: PretrainConfig) -> tuple[Moments, Moments]:
    """Training and held-out moments, in the proportion of their episodes."""
    episodes, held_out_episodes = split_episodes(dataset.episodes, config.validation_fraction, config.seed)
    rng, components = np.random.default_rng([config.seed, 1]), config.contrastive.components
    most = max(config.max_images // len(dataset.cameras), 1)
    limit = max(round(config.validation_fraction * most), 1)
    training = draw_moments(dataset, components, episodes, most - limit, rng)
    held_out = draw_moments(dataset, components, held_out_episodes, limit, rng)
    there, wanted = len(np.unique(training.episodes)), config.batch_size
    if there < wanted:
        raise PoiseError(
            f"a batch of {wanted} moments needs as many episodes to train on, and {dataset.folder} has {there} "
            f"({len(dataset.damaged)} damaged ones left out); collect more, or lower batch_size to {max(there, 2)}"
        )
    if len(np.unique(held_out.episodes)) < 2:
        raise PoiseError(
            f"moments are told apart by episode, and of {dataset.folder} fewer than 2 episodes are held out; "
            "run `poise collect` for more, or use a larger validation_fraction"
        )
    return training, held_out


def _build_heads(training: Moments, config: PretrainConfig, features: int) -> AlignmentHeads:
    """With initial weights that the seed determines."""
    settings = config.contrastive
    mean, std = (torch.from_numpy(value) for value in (training.felt.mean(axis=0), training.felt.std(axis=0)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return AlignmentHeads(
            features,
            mean,
            std.clamp(min=_SMALLEST_STD),
            settings.hidden_sizes,
            settings.embedding,
            settings.temperature,
        )


def _ranks(trials: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Of all batches."""
    return torch.cat([partner_ranks(u, v) for u, v in trials])


def _tensors(moments: Moments, chosen: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Images (B · cameras, 1, H, W) in metres, moment by moment, and what was felt (B, width)."""
    return as_batch(_flat(moments.images[chosen])), torch.from_numpy(moments.felt[chosen])


def _flat(images: Depths) -> Depths:
    """(n, cameras, H, W) to (n · cameras, H, W)."""
    return images.reshape(-1, *images.shape[2:])


def _alike_side_by_side(v: Tensor) -> Tensor:
    """(B,) an order of embeddings (B, D): along the direction in which they differ most."""
    centred = v - v.mean(dim=0)
    return (centred @ torch.linalg.svd(centred, full_matrices=False).Vh[0]).argsort()
