"""Keeps a critic's targets near unit scale, whatever the rewards are."""

from typing import Any

import torch
from torch import Tensor, nn


class ValueScale:
    """Running mean and standard deviation of returns, and a critic that outputs values in their units.

    When the statistics move, the critic's last layer moves against them, so that its values stay what they were
    (Pop-Art, van Hasselt et al., arXiv 1602.07714, equations 3 and 4).

    Args:
        rate: share of each rollout in the running statistics.
    """

    def __init__(self, rate: float = 0.2) -> None:
        self._rate = rate
        self.mean = torch.zeros(())
        self.std = torch.ones(())
        self._started = False

    def normalize(self, values: Tensor) -> Tensor:
        """Values in the rewards' units to the critic's."""
        return (values - self.mean) / self.std

    def denormalize(self, outputs: Tensor) -> Tensor:
        """The critic's outputs to values in the rewards' units."""
        return outputs * self.std + self.mean

    @torch.no_grad()
    def update(self, returns: Tensor, last_layer: nn.Linear) -> None:
        """Take a rollout's returns in, and adjust the critic's last layer so that its values do not change."""
        rate = self._rate if self._started else 1.0
        self._started = True
        mean = self.mean + rate * (returns.mean() - self.mean)
        std = (self.std + rate * (returns.std(correction=0) - self.std)).clamp(min=1e-4)
        last_layer.weight.mul_(self.std / std)
        last_layer.bias.copy_((self.std * last_layer.bias + self.mean - mean) / std)
        self.mean, self.std = mean, std

    def state(self) -> dict[str, Any]:
        """The statistics."""
        return {"mean": self.mean, "std": self.std, "started": self._started}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from `state()`."""
        self.mean, self.std, self._started = state["mean"], state["std"], state["started"]
