"""Contrastive alignment: telling a moment's images and what was felt at it from those of all other moments.

    images (B, cameras, H, W) ─► encoder, each ─► features (B, cameras · latent) ─► MLP ─► u (B, embedding) ─┐
                                                                                                   cosines (B, B)
    felt (B, width) ─► standardise ──────────────────────────────────────────────► MLP ─► v (B, embedding) ─┘

The images of all cameras meet one body together, as a policy reads them: what one leaves open, the other may tell. The
networks behind the features are thrown away afterwards; their hidden layers let the features keep more than the
alignment asks for (Chen et al., arXiv 2002.05709, section 4.2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.nn import MlpModel

COLDEST, HOTTEST = 0.01, 1.0
"""Bounds of the temperature; the lower one is CLIP's."""


def cosine_similarities(u: Tensor, v: Tensor) -> Tensor:
    """(B, C) cosines of the angles between rows of u (B, D) and rows of v (C, D)."""
    return F.normalize(u, dim=-1) @ F.normalize(v, dim=-1).T


def info_nce(u: Tensor, v: Tensor, temperature: Tensor | float) -> Tensor:
    """The cross-entropy of picking each row's partner out of a batch, averaged over both directions.

        s_ij = cos(u_i, v_j) / temperature
        L    = -1/(2B) sum_i [ log(exp s_ii / sum_j exp s_ij) + log(exp s_ii / sum_j exp s_ji) ]

    InfoNCE (van den Oord et al., arXiv 1807.03748, equation 4), symmetric as in CLIP (Radford et al., arXiv 2103.00020,
    figure 3). Guessing has log B; log B - L bounds from below what partners tell about each other, in nats.

    Args:
        u, v: (B, D) embeddings, of which rows of the same index are partners; their lengths do not matter.
        temperature: of the softmax.
    """
    logits = cosine_similarities(u, v) / temperature
    partners = torch.arange(len(logits), device=logits.device)
    return 0.5 * (F.cross_entropy(logits, partners) + F.cross_entropy(logits.T, partners))


def partner_ranks(u: Tensor, v: Tensor) -> Tensor:
    """(B,) where each row of u (B, D) finds its partner among the rows of v (B, D): 1 if it is the nearest of all.

    Ties count against it, so that embeddings which are all the same find nothing.
    """
    similarities = cosine_similarities(u, v)
    return (similarities >= similarities.diagonal()[:, None]).sum(dim=1)


class AlignmentHeads(nn.Module):
    """The networks behind features and behind what was felt, and the temperature of their comparison.

    Args:
        features: width of a moment's features, those of all cameras.
        felt_mean, felt_std: (width,) of what is felt, by which it is standardised.
        hidden_sizes: of both networks.
        embedding: width of what is compared.
        temperature: to begin with; its logarithm is learned.
    """

    felt_mean: Tensor
    felt_std: Tensor

    def __init__(
        self,
        features: int,
        felt_mean: Tensor,
        felt_std: Tensor,
        hidden_sizes: Sequence[int],
        embedding: int,
        temperature: float,
    ) -> None:
        super().__init__()
        self.of_features = MlpModel(features, hidden_sizes, embedding)
        self.of_felt = MlpModel(len(felt_mean), hidden_sizes, embedding)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(temperature)))
        self.register_buffer("felt_mean", felt_mean)
        self.register_buffer("felt_std", felt_std)

    @property
    def temperature(self) -> Tensor:
        """Of the softmax."""
        return self.log_temperature.exp()

    def forward(self, features: Tensor, felt: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B · cameras, latent), moment by moment, and felt (B, width) to u and v, (B, embedding) each."""
        u: Tensor = self.of_features(features.reshape(len(felt), -1))
        v: Tensor = self.of_felt((felt - self.felt_mean) / self.felt_std)
        return u, v

    @torch.no_grad()
    def bound_temperature(self) -> None:
        """Clamp what is learned, after a gradient step, and not what is used of it: so it can leave the bound again."""
        self.log_temperature.clamp_(math.log(COLDEST), math.log(HOTTEST))
