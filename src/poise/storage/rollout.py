"""A rollout: T steps of N environments, time-major, and the minibatches an update draws from it."""

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from poise.policies.look import HiddenStates, Sequences


class Minibatch(NamedTuple):
    """Some samples of a rollout: B of them, or all T steps of N environments where their sequence matters."""

    observations: dict[str, Tensor]
    actions: Tensor
    log_probs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor
    distributions: Tensor
    """Parameters of the distributions the actions were drawn from, for the exact KL."""
    sequences: Sequences | None = None
    """What a policy with memory needs to know; the leading axes are then T, N and not B."""

    @property
    def num_samples(self) -> int:
        """B, or T times N."""
        return self.log_probs.numel()

    def split(self, count: int) -> list["Minibatch"]:
        """`count` parts whose sizes differ by at most one sample or environment; fewer where there are fewer."""
        length = self.log_probs.shape[-1]
        return [self.part(_rows(bounds)) for bounds in _split(length, min(count, length))]

    def part(self, choose: Callable[[Tensor, int], Tensor]) -> "Minibatch":
        """Some of the samples or environments: `choose(tensor, axis)` takes them from a tensor's axis."""
        axis = self.log_probs.dim() - 1
        observations = {name: choose(value, axis) for name, value in self.observations.items()}
        columns = {name: choose(getattr(self, name), axis) for name in COLUMNS}
        sequences = self.sequences
        if sequences is not None:
            states = {name: choose(state, 1) for name, state in sequences.hidden_states.items()}
            sequences = Sequences(states, choose(sequences.starts, 1))
        return Minibatch(observations, **columns, sequences=sequences)


COLUMNS = tuple(name for name in Minibatch._fields if name not in ("observations", "sequences"))


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
        self.hidden_states: HiddenStates = {}
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

    def clear(self, hidden_states: HiddenStates | None = None) -> None:
        """Start over; the memory is used again.

        hidden_states: what a policy with memory remembers before the first step.
        """
        self.step = 0
        self.hidden_states = hidden_states or {}

    def minibatches(self, count: int, epochs: int, sequences: bool = False) -> Iterator[Minibatch]:
        """For each epoch, everything in a new random order, in `count` parts whose sizes differ by at most one.

        sequences: keep each environment's steps together, in parts (T, n, ...); otherwise parts are samples (B, ...).
        """
        whole = self._sequences() if sequences else self._samples()
        for _ in range(epochs):
            order = torch.randperm(whole.log_probs.shape[-1])
            # Gathered once for the whole epoch: a part is then a slice, which costs nothing.
            yield from whole.part(_reordered(order)).split(count)

    def _samples(self) -> Minibatch:
        observations = {name: value.flatten(0, 1) for name, value in self.observations.items()}
        columns = {name: self._columns[name].flatten(0, 1) for name in COLUMNS}
        return Minibatch(observations, **columns, sequences=None)

    def _sequences(self) -> Minibatch:
        starts = torch.zeros_like(self.dones)
        starts[1:] = self.dones[:-1]  # what ended before the rollout is already forgotten
        columns = {name: self._columns[name] for name in COLUMNS}
        return Minibatch(self.observations, **columns, sequences=Sequences(self.hidden_states, starts))


def _reordered(order: Tensor) -> Callable[[Tensor, int], Tensor]:
    """All of a tensor's axis, in another order."""
    return lambda value, axis: value.index_select(axis, order)


def _rows(bounds: slice) -> Callable[[Tensor, int], Tensor]:
    """A part of a tensor's axis."""
    return lambda value, axis: value.narrow(axis, bounds.start, bounds.stop - bounds.start)


def _split(length: int, count: int) -> list[slice]:
    """`count` parts of a range whose lengths differ by at most one."""
    bounds = [length * part // count for part in range(count + 1)]
    return [slice(start, end) for start, end in pairwise(bounds)]


def _store(target: dict[str, Tensor], values: Mapping[str, Tensor], step: int, num_steps: int) -> None:
    for name, value in values.items():
        if name not in target:
            target[name] = torch.zeros(num_steps, *value.shape, dtype=value.dtype, device=value.device)
        target[name][step] = value
