"""What poise says when the user, the disk or a file is at fault: one sentence, no traceback.

Every such failure raises `PoiseError` with a message that says what was wrong, what was expected and what to do. The
command line prints it and exits with code 2; anything else that escapes is a bug in poise.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PoiseError(Exception):
    """A mistake the user can mend. The message is one clear sentence, fit to be shown as it stands."""


class InvalidValueError(PoiseError, ValueError):
    """A value that cannot be: a negative rate, an unknown name. Also a `ValueError`, as callers in Python expect."""


class MissingFileError(PoiseError, FileNotFoundError):
    """A file or folder that should be there is not. Also a `FileNotFoundError`."""


class DivergedError(PoiseError):
    """Numbers that have stopped being finite; what they come from is of no use any more."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The clause `"; did you mean 'gamma'?"` when a known word is near `word`, else an empty string.

    Capitals, and dashes for underscores, do not count as differences.
    """
    found = nearest(word, known)
    return "" if found is None else f"; did you mean '{found}'?"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that somebody may have meant by `word`; None if none is near."""
    spellings = {_plain(name): name for name in known}
    near = difflib.get_close_matches(_plain(word), spellings, n=1)
    return spellings[near[0]] if near else None


def _plain(word: str) -> str:
    return word.lower().replace("-", "_")
