"""Moments: what all cameras saw and what the robot felt at the same time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from poise.errors import InvalidValueError, PoiseError, did_you_mean
from poise.perception.images import Depths, Felt, ImageDataset


class Moments(NamedTuple):
    """Of some episodes, one episode after another."""

    images: Depths
    """(n, cameras, height, width)"""
    felt: Felt
    """(n, width), the components side by side."""
    episodes: NDArray[np.int64]
    """(n,) which each is of."""


def check_components(dataset: ImageDataset, components: Sequence[str]) -> None:
    """Refuse components that the dataset does not hold.

    Raises:
        PoiseError: it tells nothing of what robots felt.
        InvalidValueError: it does not know a component.
    """
    known = dataset.info.felt
    if not known:
        raise PoiseError(
            f"{dataset.folder} tells what robots saw, but not what they felt, as older versions collected it; "
            "collect anew into another folder: poise collect --out DIR"
        )
    for name in components:
        if name not in known:
            raise InvalidValueError(
                f"{dataset.folder} does not tell '{name}'{did_you_mean(name, known)}; it tells {', '.join(known)}"
            )


def draw_moments(
    dataset: ImageDataset, components: Sequence[str], episodes: Sequence[int], limit: int, rng: np.random.Generator
) -> Moments:
    """At most `limit` moments drawn without replacement from some episodes; of damaged ones none, with a warning."""
    info = dataset.info
    width = sum(int(np.prod(info.felt[name])) for name in components)
    images = [np.empty((0, len(dataset.cameras), info.height, info.width), np.uint16)]
    felt, of_episode = [np.empty((0, width), np.float32)], [np.empty(0, np.int64)]

    def load(episode: int) -> tuple[Depths, Felt]:
        seen, sensed = dataset.load(episode), dataset.load_felt(episode)
        flat = [sensed[name].reshape(len(sensed[name]), -1) for name in components]
        return np.stack([seen[name] for name in dataset.cameras], axis=1), np.concatenate(flat, axis=1)

    for episode, chosen in dataset.draw(episodes, 1, limit, rng):
        if (loaded := dataset.unless_damaged(load, episode)) is not None:
            images.append(loaded[0][chosen])
            felt.append(loaded[1][chosen])
            of_episode.append(np.full(len(chosen), episode))
    return Moments(np.concatenate(images), np.concatenate(felt), np.concatenate(of_episode))


def batches_across_episodes(
    episodes: NDArray[np.int64], size: int, count: int, rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """`count` batches of indices (size,): one moment, drawn at random, of each of `size` different episodes.

    Moments of one episode are nearly the same: next to its partner, a neighbour in time would count as wrong (a false
    negative). As every episode has the same chance, short ones, which end in falls, are seen as often as long ones.

    Args:
        episodes: (n,) which each moment is of.
        size: at most the number of different episodes.
        count: of batches.
        rng: drawn from.
    """
    order = np.argsort(episodes, kind="stable")
    _, starts, counts = np.unique(episodes[order], return_index=True, return_counts=True)
    for _ in range(count):
        chosen = rng.permutation(len(starts))[:size]
        yield order[starts[chosen] + rng.integers(counts[chosen])]
