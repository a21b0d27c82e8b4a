"""What a sentence commands, read from its embedding by a line: for words of one's own, and to judge encoders.

embedding ─► ridge regression on the training sentences ─► direction or standing still, pace
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from poise.language.encoder import Embeddings, embeddings
from poise.language.vocabulary import COMMANDS, DIRECTIONS, SPEEDS, Command, sentences

_RIDGE = 3000.0
"""Penalty on squared weights, chosen on the validation sentences: a tenth of it understands fewer of them."""


class _Line(NamedTuple):
    mean: NDArray[np.float64]
    weights: NDArray[np.float64]


def read(found: Embeddings) -> list[Command]:
    """The commands of sentences, (n, EMBEDDING_SIZE) embedded.

    Raises:
        PoiseError: the extra `language` is not installed.
    """
    line = _line()
    scores = _with_one(found - line.mean) @ line.weights
    where = scores[:, : len(DIRECTIONS) + 1].argmax(axis=1)
    paces = scores[:, len(DIRECTIONS) + 1 :].argmax(axis=1)
    return [
        Command(DIRECTIONS[place], tuple(SPEEDS)[pace]) if place < len(DIRECTIONS) else Command(None)
        for place, pace in zip(where, paces, strict=True)
    ]


@cache
def _line() -> _Line:
    found = embeddings("train").astype(np.float64)
    told = sentences("train")
    targets = np.repeat([_target(command) for command in COMMANDS], [len(told[c]) for c in COMMANDS], axis=0)
    mean = found.mean(axis=0)
    inputs = _with_one(found - mean)
    gram = inputs.T @ inputs + _RIDGE * np.eye(inputs.shape[1])
    return _Line(mean, np.linalg.solve(gram, inputs.T @ targets))


def _target(command: Command) -> NDArray[np.float64]:
    """One-hot: the directions and standing still, then the paces, none of which standing still has."""
    place = len(DIRECTIONS) if command.direction is None else DIRECTIONS.index(command.direction)
    pace = np.eye(len(SPEEDS))[list(SPEEDS).index(command.pace)] * (command.direction is not None)
    return np.concatenate([np.eye(len(DIRECTIONS) + 1)[place], pace])


def _with_one(inputs: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)
