"""Carrying out chunks of actions: all of one, its beginning, or an average of all that were ever predicted for now.

A policy that predicts `chunk` actions at a time keeps, for each robot, what was predicted for the steps to come, and by
how many predictions. Temporal ensembling (Zhao et al., arXiv 2304.13705) averages all predictions for a step with
weights exp(-m i), i = 0 for the oldest: w and the weighted sum are carried on from step to step.
"""

from __future__ import annotations

import torch
from torch import Tensor

from poise.errors import InvalidValueError


class Queue:
    """Predictions for the steps to come, of N robots.

    Attributes:
        sums: (N, chunk, A) weighted sums of what was predicted for this step, the next, ...
        weights: (N, chunk) sums of the weights; 0 where nothing was predicted.
        counts: (N, chunk) how many predictions.
    """

    def __init__(self, sums: Tensor, weights: Tensor, counts: Tensor) -> None:
        self.sums = sums
        self.weights = weights
        self.counts = counts

    @classmethod
    def empty(cls, robots: int, chunk: int, width: int) -> Queue:
        """Nothing was predicted."""
        nothing = torch.zeros(robots, chunk)
        return cls(torch.zeros(robots, chunk, width), nothing, nothing.clone())

    def add(self, predicted: Tensor, decay: float) -> None:
        """One more prediction (N, chunk, A) for this step and those that follow.

        decay: m; the latest prediction weighs exp(-m i), i being how many came before it for that step.
        """
        if predicted.shape != self.sums.shape:
            raise InvalidValueError(f"expected predictions {tuple(self.sums.shape)}, got {tuple(predicted.shape)}")
        weight = torch.exp(-decay * self.counts)
        self.sums = self.sums + weight.unsqueeze(-1) * predicted
        self.weights = self.weights + weight
        self.counts = self.counts + 1

    def replace(self, predicted: Tensor, which: Tensor) -> None:
        """A prediction (N, chunk, A) in place of all before it, for some robots (N,) bool."""
        chosen = which.view(-1, 1)
        self.sums = torch.where(chosen.unsqueeze(-1), predicted, self.sums)
        self.weights = torch.where(chosen, torch.ones_like(self.weights), self.weights)
        self.counts = torch.where(chosen, torch.ones_like(self.counts), self.counts)

    def has_next(self) -> Tensor:
        """(N,) bool, for whom something was predicted for this step."""
        return self.weights[:, 0] > 0

    def pop(self) -> Tensor:
        """(N, A) what is to be done in this step; the next becomes this."""
        now = self.sums[:, 0] / self.weights[:, :1].clamp(min=1e-12)
        for name in ("sums", "weights", "counts"):
            values = getattr(self, name)
            setattr(self, name, torch.cat([values[:, 1:], torch.zeros_like(values[:, :1])], dim=1))
        return now
