"""Batches to learn from: demonstrations in memory, and what is drawn of them.

frames    single decisions, in any order                      for policies without memory
streams   lanes of whole demonstrations, a window at a time   for policies with memory, which they carry on
chunks    a decision, those before it, and the actions after  for policies that predict several actions
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from poise.errors import InvalidValueError
from poise.imitation.eyes import Range, Scale, Scales
from poise.imitation.pictures import end_to_end, in_unit_range, taken
from poise.imitation.reader import LoadedEpisode
from poise.perception.images import split_episodes


@dataclass(frozen=True)
class Batch:
    """N samples.

    Attributes:
        observation: by component (T, N, ...): the decision, or several in order; pictures uint8.
        actions: (K, N, A) the expert's, for that decision and what follows it, or for each of several.
        valid: (K, N) bool, which of them are there.
        starts: (T, N) bool, where a demonstration begins.
    """

    observation: Mapping[str, Tensor]
    actions: Tensor
    valid: Tensor
    starts: Tensor

    def __len__(self) -> int:
        return self.actions.shape[1]

    def seeing(self, observation: Mapping[str, Tensor]) -> Batch:
        """The same with another observation."""
        return replace(self, observation=observation)


class Corpus:
    """Demonstrations end to end: F frames of E episodes, as tensors.

    Args:
        episodes: that are loaded.

    Attributes:
        observation: by component (F, ...): pictures uint8, the rest float32, depth images in [0, 1], too.
        actions: (F, A).
        first, last: (E,) of each episode, its first frame and the one after its last.
    """

    def __init__(self, episodes: Sequence[LoadedEpisode]) -> None:
        names = episodes[0].observation
        self.observation = {
            name: end_to_end([torch.from_numpy(one.observation[name]) for one in episodes]) for name in names
        }
        self.actions = end_to_end([torch.from_numpy(one.actions) for one in episodes])
        self.last = torch.tensor([len(one.actions) for one in episodes]).cumsum(0)
        self.first = torch.cat([torch.zeros(1, dtype=torch.long), self.last[:-1]])
        self._episode = torch.repeat_interleave(torch.arange(len(episodes)), self.last - self.first)

    def __len__(self) -> int:
        return len(self.actions)

    @property
    def episodes(self) -> int:
        """How many."""
        return len(self.first)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the components."""
        return {name: tuple(values.shape[1:]) for name, values in self.observation.items()}

    @property
    def fingerprint(self) -> str:
        """Tells these demonstrations from any others: SHA-256 of all of them."""
        digest = hashlib.sha256(self.last.numpy().tobytes())
        for values in (*self.observation.values(), self.actions):
            for part in values.split(1024):  # pictures lie otherwise in memory, and are large
                digest.update(part.contiguous().numpy().data)
        return digest.hexdigest()

    def scales(self) -> Scales:
        """Of components and actions."""
        return Scales({name: _scale(values) for name, values in self.observation.items()}, _range(self.actions))

    def joined(self, episodes: Sequence[LoadedEpisode]) -> Corpus:
        """These demonstrations and others after them."""
        if not episodes:
            return self
        others, whole = Corpus(episodes), copy(self)
        whole.observation = {
            name: end_to_end([values, others.observation[name]]) for name, values in self.observation.items()
        }
        whole.actions = torch.cat([self.actions, others.actions])
        whole.first = torch.cat([self.first, others.first + len(self)])
        whole.last = torch.cat([self.last, others.last + len(self)])
        whole._episode = torch.cat([self._episode, others._episode + self.episodes])
        return whole

    # --- what is drawn ----------------------------------------------------------------------------------------------

    def frames(self, size: int, generator: torch.Generator) -> Iterator[Batch]:
        """Every frame once, `size` at a time."""
        yield from self.chunks(size, 1, 1, generator)

    def chunks(self, size: int, history: int, chunk: int, generator: torch.Generator) -> Iterator[Batch]:
        """Every frame once, with the `history` frames that end with it and the `chunk` actions that begin with it.

        Before an episode's first frame there is that frame again; after its last, padding that is not valid.
        """
        for drawn in torch.randperm(len(self), generator=generator).split(size):
            yield self.chunk_at(drawn, history, chunk)

    def chunk_at(self, frames: Tensor, history: int = 1, chunk: int = 1) -> Batch:
        """The same for frames (N,)."""
        episode = self._episode[frames]
        before = frames + torch.arange(1 - history, 1)[:, None]
        after = frames + torch.arange(chunk)[:, None]
        seen = torch.maximum(before, self.first[episode])
        done = torch.minimum(after, self.last[episode] - 1)
        observation = {name: taken(values, seen) for name, values in self.observation.items()}
        return Batch(observation, self.actions[done], after < self.last[episode], seen == self.first[episode])

    def streams(self, lanes: int, steps: int, generator: torch.Generator) -> Iterator[Batch]:
        """Every demonstration once: lanes play one after another, window after window of `steps` frames.

        What a memory holds after a window belongs before the next. A lane that has nothing left is padded, not valid.

        Raises:
            InvalidValueError: there are more lanes than demonstrations.
        """
        if lanes > len(self.first):
            raise InvalidValueError(
                f"there are {len(self.first)} demonstrations, fewer than the {lanes} lanes to play them"
            )
        places, starts, valid = self._lanes(lanes, generator)
        for begin in range(0, len(places), steps):
            window = slice(begin, begin + steps)
            observation = {name: taken(values, places[window]) for name, values in self.observation.items()}
            yield Batch(observation, self.actions[places[window]], valid[window], starts[window])

    def _lanes(self, lanes: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """(L, lanes) frames, where demonstrations begin, and which are no padding: the shortest lane gets the next."""
        rows: list[list[Tensor]] = [[] for _ in range(lanes)]
        lengths = [0] * lanes
        for number in torch.randperm(len(self.first), generator=generator).tolist():
            lane = lengths.index(min(lengths))
            rows[lane].append(torch.arange(int(self.first[number]), int(self.last[number])))
            lengths[lane] += len(rows[lane][-1])
        longest = max(lengths)
        places = torch.zeros(longest, lanes, dtype=torch.long)
        valid = torch.arange(longest)[:, None] < torch.tensor(lengths)
        for lane, parts in enumerate(rows):
            places[: lengths[lane], lane] = torch.cat(parts)
        return places, (places == self.first[self._episode[places]]) | ~valid, valid


def split_by_episode(
    episodes: Sequence[LoadedEpisode], share: float, seed: int
) -> tuple[list[LoadedEpisode], list[LoadedEpisode]]:
    """Demonstrations to learn from and demonstrations held out, at least one of each; see `split_episodes`.

    Raises:
        InvalidValueError: there are fewer than two.
    """
    if len(episodes) < 2:
        raise InvalidValueError(f"at least 2 demonstrations are needed, one of them held out, got {len(episodes)}")
    learned, held = split_episodes(range(len(episodes)), share, seed)
    return [episodes[i] for i in learned], [episodes[i] for i in held]


def _range(actions: Tensor) -> Range:
    """Of each number, what the demonstrations do; what never changes stays as it is."""
    low, high = actions.amin(dim=0), actions.amax(dim=0)
    half = (high - low) / 2
    return Range(((low + high) / 2).tolist(), torch.where(half > 1e-6, half, 1.0).tolist())


def _scale(values: Tensor) -> Scale:
    """Of frames (F, ...), a few of which are enough for pictures."""
    if values.ndim == 4:
        some = in_unit_range(values[:: max(len(values) // 1000, 1)])
        return Scale(some.mean(dim=(0, 2, 3)).tolist(), some.std(dim=(0, 2, 3)).tolist())
    flat = values.flatten(1).double()
    return Scale(flat.mean(dim=0).tolist(), flat.std(dim=0, correction=0).tolist())
