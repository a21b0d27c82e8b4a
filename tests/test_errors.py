"""Errors: their families, and the nearest word."""

from __future__ import annotations

import pytest

from poise.errors import InvalidValueError, MissingFileError, PoiseError, did_you_mean


def test_every_error_is_a_poise_error_and_of_its_natural_kind() -> None:
    assert InvalidValueError.__bases__ == (PoiseError, ValueError)
    assert MissingFileError.__bases__ == (PoiseError, FileNotFoundError)


@pytest.mark.parametrize("kind", [PoiseError, InvalidValueError, MissingFileError])
def test_the_message_is_shown_as_it_stands(kind: type[PoiseError]) -> None:
    assert str(kind("one clear sentence")) == "one clear sentence"


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("gama", "; did you mean 'gamma'?"),
        ("GAMMA", "; did you mean 'gamma'?"),
        ("learning-rate", "; did you mean 'learning_rate'?"),
        ("xyzzy", ""),
        ("", ""),
    ],
)
def test_did_you_mean(word: str, hint: str) -> None:
    assert did_you_mean(word, ["gamma", "learning_rate", "epochs"]) == hint


def test_did_you_mean_with_nothing_known() -> None:
    assert did_you_mean("gamma", []) == ""
