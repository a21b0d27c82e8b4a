"""Dropout that draws quickly."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_LEVELS = 2**16


class Dropout(nn.Dropout):
    """As `nn.Dropout`, on CPUs several times as fast: torch draws a number for each feature there, this for every four.

    The share that is left out is a multiple of 1/65536. Draws come from torch's generator, as those of `nn.Dropout`.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Any shape to the same."""
        left_out = round(self.p * _LEVELS)
        if not self.training or left_out in (0, _LEVELS) or input.device.type != "cpu":
            return super().forward(input)
        drawn = torch.empty(-(-input.numel() // 4), dtype=torch.int64).random_(-(2**63), None)  # all 64 bits
        levels = drawn.view(torch.int16)[: input.numel()].view(input.shape)
        kept = torch.empty(input.shape, dtype=input.dtype)  # ones and zeros, without a detour over bool
        torch.ge(levels, left_out - _LEVELS // 2, out=kept)
        return input * kept.mul_(_LEVELS / (_LEVELS - left_out))


def quicken(module: nn.Module) -> None:
    """Put this dropout in the place of torch's, in all of a module."""
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Dropout:
                setattr(parent, name, Dropout(child.p))
