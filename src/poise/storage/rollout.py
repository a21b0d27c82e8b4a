"""A rollout: T steps of N environments, time-major, and the minibatches an update draws from it."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor


class Minibatch(NamedTuple):
    """Some samples of a rollout; every leading axis is B."""

    observations: dict[str, Tensor]
    actions: Tensor
    log_probs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor
    distributions: Tensor
    """Parameters of the distributions the actions were drawn from, for the exact KL."""

    def split(self, count: int) -> list["Minibatch"]:
        """`count` parts whose sizes differ by at most one."""
        return [self.rows(rows) for rows in _split(len(self.actions), count)]

    def rows(self, rows: slice) -> "Minibatch":
        """Some of the samples."""
        observations = {name: value[rows] for name, value in self.observations.items()}
        return Minibatch(observations, *(column[rows] for column in self[1:]))


class Rollout:
    """Experience of `num_envs` environments over `num_steps` steps, allocated once at the first step.

    Attributes:
        observations: {name: (T, N, ...)}.
        actions, log_probs, values, rewards: (T, N, ...).
        dones: (T, N) bool, the episode ended with this step, one way or the other.
        bootstraps: (T, N) value of the final observation where an episode was truncated, else 0.
        advantages, returns: (T, N), filled in by the algorithm.
    """

    def __init__(self, num_steps: int, num_envs: int) -> None:
        self.num_steps = num_steps
        self.num_envs = num_envs
        self.step = 0
        self.observations: dict[str, Tensor] = {}
        self._columns: dict[str, Tensor] = {}

    def __getattr__(self, name: str) -> Tensor:
        try:
            return self.__dict__["_columns"][name]
        except KeyError:
            raise AttributeError(f"the rollout holds no '{name}'") from None

    def add(self, observation: Mapping[str, Tensor], **columns: Tensor) -> None:
        """Store one step: the observation acted on, and a (N, ...) tensor for every other quantity."""
        if self.step >= self.num_steps:
            raise IndexError(f"the rollout holds {self.num_steps} steps and is full; clear it first")
        _store(self.observations, observation, self.step, self.num_steps)
        _store(self._columns, columns, self.step, self.num_steps)
        self.step += 1

    def fill(self, **columns: Tensor) -> None:
        """Set whole columns (T, N, ...) computed afterwards."""
        self._columns.update(columns)

    def clear(self) -> None:
        """Start over; the memory is used again."""
        self.step = 0

    def minibatches(self, count: int, epochs: int) -> Iterator[Minibatch]:
        """For each epoch, all samples in a new random order, in `count` parts whose sizes differ by at most one."""
        names = [name for name in Minibatch._fields if name != "observations"]
        flat = {name: self._columns[name].flatten(0, 1) for name in names}
        observations = {name: value.flatten(0, 1) for name, value in self.observations.items()}
        for _ in range(epochs):
            order = torch.randperm(self.num_steps * self.num_envs)
            # Gathered once for the whole epoch: a minibatch is then a slice, which costs nothing.
            seen = {name: value.index_select(0, order) for name, value in observations.items()}
            shuffled = Minibatch(seen, **{name: value.index_select(0, order) for name, value in flat.items()})
            yield from map(shuffled.rows, _split(len(order), count))


def _split(length: int, count: int) -> list[slice]:
    """`count` parts of a range whose lengths differ by at most one."""
    bounds = [length * part // count for part in range(count + 1)]
    return [slice(start, end) for start, end in pairwise(bounds)]


def _store(target: dict[str, Tensor], values: Mapping[str, Tensor], step: int, num_steps: int) -> None:
    for name, value in values.items():
        if name not in target:
            target[name] = torch.zeros(num_steps, *value.shape, dtype=value.dtype, device=value.device)
        target[name][step] = value
