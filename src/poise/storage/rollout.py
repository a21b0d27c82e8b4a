"""A rollout: T steps of N environments, time-major, and the minibatches an update draws from it."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from poise.nn.frames import Frames
from poise.policies.look import HiddenStates, Sequences
from poise.storage.frames import FrameColumn


@dataclass(frozen=True)
class Minibatch:
    """Some samples of a rollout: B of them, or all T steps of N environments where their sequence matters.

    Attributes:
        observations: {name: (B, ...)}, or (T, N, ...).
        columns: other quantities by name, shaped alike; each is an attribute, too.
        sequences: what a policy with memory needs to know; the leading axes are then T, N and not B.
    """

    observations: dict[str, Tensor]
    columns: dict[str, Tensor]
    sequences: Sequences | None = None

    def __getattr__(self, name: str) -> Tensor:
        return _column(self, "columns", name)

    @property
    def num_samples(self) -> int:
        """B, or T times N."""
        return math.prod(self._any.shape[: self._axis + 1])

    @property
    def length(self) -> int:
        """Of the axis along which it can be divided: B, or N."""
        return self._any.shape[self._axis]

    def split(self, count: int) -> list["Minibatch"]:
        """`count` parts whose sizes differ by at most one sample or environment; fewer where there are fewer."""
        return [self.part(_rows(bounds)) for bounds in _split(self.length, min(count, self.length))]

    def part(self, choose: Callable[[Tensor, int], Tensor]) -> "Minibatch":
        """Some of the samples or environments: `choose(tensor, axis)` takes them from a tensor's axis."""
        axis, sequences = self._axis, self.sequences
        observations = {name: choose(value, axis) for name, value in self.observations.items()}
        columns = {name: choose(value, axis) for name, value in self.columns.items()}
        if sequences is not None:
            states = {name: choose(state, 1) for name, state in sequences.hidden_states.items()}
            sequences = Sequences(states, choose(sequences.starts, 1))
        return Minibatch(observations, columns, sequences)

    @property
    def _axis(self) -> int:
        return 0 if self.sequences is None else 1

    @property
    def _any(self) -> Tensor:
        return next(iter(self.columns.values()))


class Rollout:
    """Experience of `num_envs` environments over `num_steps` steps, allocated once at the first step.

    Images that come as `Frames` are held once for all steps that they last.

    Attributes:
        observations: {name: (T, N, ...)}.
        actions, log_probs, values, rewards: (T, N, ...).
        next_observations: {name: (N, ...)} the observations after the last step.
        dones: (T, N) bool, the episode ended with this step, one way or the other.
        bootstraps: (T, N) value of the final observation where an episode was truncated, else 0.
        advantages, returns: (T, N), filled in by the algorithm.
    """

    def __init__(self, num_steps: int, num_envs: int) -> None:
        self.num_steps = num_steps
        self.num_envs = num_envs
        self.step = 0
        self._seen: dict[str, Tensor | FrameColumn] = {}
        self.next_observations: Mapping[str, Tensor] = {}
        self.hidden_states: HiddenStates = {}
        self._columns: dict[str, Tensor] = {}

    def __getattr__(self, name: str) -> Tensor:
        return _column(self, "_columns", name)

    def add(self, observation: Mapping[str, Tensor], **columns: Tensor) -> None:
        """Store one step: the observation acted on, and a (N, ...) tensor for every other quantity."""
        if self.step >= self.num_steps:
            raise IndexError(f"the rollout holds {self.num_steps} steps and is full; clear it first")
        _store(self._seen, observation, self.step, self.num_steps)
        _store(self._columns, columns, self.step, self.num_steps)
        self.step += 1

    def finish(self, next_observations: Mapping[str, Tensor]) -> None:
        """The rollout is full, and these are the observations after it."""
        self.next_observations = next_observations

    def fill(self, **columns: Tensor) -> None:
        """Set whole columns (T, N, ...) computed afterwards."""
        self._columns.update(columns)

    def clear(self, hidden_states: HiddenStates | None = None) -> None:
        """Start over; the memory is used again.

        hidden_states: what a policy with memory remembers before the first step.
        """
        self.step = 0
        self.hidden_states = hidden_states or {}

    @property
    def observations(self) -> dict[str, Tensor]:
        """{name: (T, N, ...)}."""
        return {
            name: value.frames if isinstance(value, FrameColumn) else value  # type: ignore[misc]
            for name, value in self._seen.items()
        }

    @property
    def image_bytes(self) -> int:
        """Memory that images take which are held once."""
        return sum(value.nbytes for value in self._seen.values() if isinstance(value, FrameColumn))

    @property
    def sequences(self) -> Sequences:
        """Where episodes start, and what was remembered before the first step."""
        starts = torch.zeros_like(self.dones)
        starts[1:] = self.dones[:-1]  # what ended before the rollout is already forgotten
        return Sequences(self.hidden_states, starts)

    def minibatches(
        self, columns: Iterable[str], count: int, epochs: int, sequences: bool = False
    ) -> Iterator[Minibatch]:
        """For each epoch, everything in a new random order, in `count` parts whose sizes differ by at most one.

        Args:
            columns: what they hold beside the observations.
            count: parts of an epoch.
            epochs: how often everything is seen.
            sequences: keep each environment's steps together, in parts (T, n, ...); otherwise (B, ...).
        """
        chosen = {name: getattr(self, name) for name in columns}
        whole = Minibatch(self.observations, chosen, self.sequences) if sequences else self._samples(chosen)
        for _ in range(epochs):
            order = torch.randperm(whole.length) if sequences else _random_order(whole)
            # Gathered once for the whole epoch: a part is then a slice, which costs nothing.
            yield from whole.part(_reordered(order)).split(count)

    def _samples(self, columns: Mapping[str, Tensor]) -> Minibatch:
        observations, flat = (
            {name: value.flatten(0, 1) for name, value in group.items()} for group in (self.observations, columns)
        )
        return Minibatch(observations, flat)


def _column(holder: object, place: str, name: str) -> Tensor:
    """One of the columns that a holder keeps at a place, which may not be there yet: copying looks around early."""
    column: Tensor | None = holder.__dict__.get(place, {}).get(name)
    if column is None:
        raise AttributeError(f"the {type(holder).__name__.lower()} holds no '{name}'")
    return column


def _random_order(samples: Minibatch) -> Tensor:
    """Samples in a random order; those that see the same image stay together, so that it is encoded once an epoch."""
    values: Iterable[Any] = samples.observations.values()
    seen = next((value for value in values if isinstance(value, Frames)), None)
    if seen is None:
        return torch.randperm(samples.length)
    return torch.argsort(torch.randperm(len(seen.images))[seen.index], stable=True)


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


def _store(target: dict[str, Any], values: Mapping[str, Any], step: int, num_steps: int) -> None:
    for name, value in values.items():
        if name not in target:
            target[name] = (
                FrameColumn(num_steps, value)
                if isinstance(value, Frames)
                else torch.zeros(num_steps, *value.shape, dtype=value.dtype, device=value.device)
            )
        target[name][step] = value
