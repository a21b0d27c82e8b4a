"""The pretrained encoder inside a policy: it never learns, never wakes its BatchNorm, and is fast."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self, get_args

import torch
from torch import Tensor, nn

from poise.errors import InvalidValueError, did_you_mean
from poise.perception.autoencoder import DepthEncoder
from poise.perception.encoder_files import load_encoder, read_max_depth
from poise.perception.folded import FoldedEncoder, Precision


class FrozenDepthEncoder(nn.Module):
    """Images (B, channels, height, width), depth in metres in [0, 1], to features (B, latent) in [-1, 1].

    - Its parameters want no gradient, and none passes through it.
    - `train()`, on it or on a policy that holds it, leaves it in eval mode: BatchNorm with the statistics of a batch
      would give other features at the update than at the rollout.
    - On the CPU it runs folded (see `folded`), and an image's features do not depend on the rest of the batch, bit for
      bit. On other devices it runs as it is, in float32.

    Args:
        encoder: trained.
        precision: to run with.
        max_depth: at which the images that it learned from were clipped, m; None if nobody knows.
    """

    def __init__(self, encoder: DepthEncoder, precision: Precision = "float32", max_depth: float | None = None) -> None:
        super().__init__()
        if precision not in get_args(Precision):
            raise InvalidValueError(
                f"unknown precision '{precision}' of the encoder; expected one of {', '.join(get_args(Precision))}"
                + did_you_mean(precision, get_args(Precision))
            )
        self.encoder = encoder.requires_grad_(False).eval()
        self.spec = encoder.spec
        self.precision: Precision = precision
        self.max_depth = max_depth
        self._folded: FoldedEncoder | None = None
        untyped: Any = self  # torch gives this method no types
        untyped.register_load_state_dict_post_hook(_forget_folded)
        super().train(False)

    @classmethod
    def load(cls, folder: Path | str, precision: Precision = "float32") -> Self:
        """From a folder written by `save_encoder` or `pretrain`, verified."""
        return cls(load_encoder(folder), precision, read_max_depth(folder))

    def train(self, mode: bool = True) -> Self:
        """Stays in eval mode, whatever `mode` is."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        expected = (self.spec.channels, self.spec.height, self.spec.width)
        if images.ndim != 4 or tuple(images.shape[1:]) != expected:
            raise InvalidValueError(
                f"the encoder reads images of shape (B, {', '.join(map(str, expected))}), got {tuple(images.shape)}"
            )
        if self.encoder.project.weight.device.type != "cpu":
            features: Tensor = self.encoder(images)
            return features
        if self._folded is None:
            self._folded = FoldedEncoder(self.encoder, self.precision)
        return self._folded(images)

    def __getstate__(self) -> dict[str, Any]:
        """For `copy.deepcopy`: the folded form is rebuilt, oneDNN's own layouts cannot be copied."""
        return {**self.__dict__, "_folded": None}


def _forget_folded(module: nn.Module, _: object) -> None:
    """After `load_state_dict`, on it or on a policy that holds it, the folded weights are those of before."""
    if isinstance(module, FrozenDepthEncoder):
        module._folded = None
