"""Keeps a critic's targets near unit scale, whatever the rewards are."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ValueScale(nn.Module):
    """Running mean and standard deviation of returns, in whose units a critic outputs values.

    When the statistics move, the critic's last layer moves against them, so that its values stay what they were
    (Pop-Art, van Hasselt et al., arXiv 1602.07714, equations 3 and 4). They are part of the policy: without them, what
    its critic says means nothing.

    Args:
        rate: share of each rollout in the running statistics.
    """

    mean: Tensor
    std: Tensor
    started: Tensor

    def __init__(self, rate: float = 0.2) -> None:
        super().__init__()
        self._rate = rate
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("std", torch.ones(()))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    def normalize(self, values: Tensor) -> Tensor:
        """Values in the rewards' units to the critic's."""
        return (values - self.mean) / self.std

    def denormalize(self, outputs: Tensor) -> Tensor:
        """The critic's outputs to values in the rewards' units."""
        return outputs * self.std + self.mean

    @torch.no_grad()
    def update(self, returns: Tensor, last_layers: Sequence[nn.Linear]) -> None:
        """Take a rollout's returns in, and adjust the last layers of critics so that their values do not change."""
        rate = self._rate if self.started else 1.0
        mean = self.mean + rate * (returns.mean() - self.mean)
        std = (self.std + rate * (returns.std(correction=0) - self.std)).clamp(min=1e-4)
        for layer in last_layers:
            layer.weight.mul_(self.std / std)
            layer.bias.copy_((self.std * layer.bias + self.mean - mean) / std)
        self.mean.copy_(mean)
        self.std.copy_(std)
        self.started.fill_(True)
