"""What was made must be gone on with as it was begun: settings compared."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from poise.config import Config, load_yaml, parse
from poise.errors import InvalidValueError


def check_made_alike(path: Path, asked: Config, free: Collection[str], what: str) -> None:
    """Refuse to add to a folder whose settings are others; without a file of settings anything may be made.

    Args:
        path: file in the folder that tells how its content was made.
        asked: settings of what is to be added.
        free: names of settings that change nothing of the content.
        what: the content, in plural.

    Raises:
        InvalidValueError: some of the settings are others.
    """
    if not path.exists():
        return
    there = parse(type(asked), load_yaml(path) | {name: getattr(asked, name) for name in free}, str(path))
    different = [name for name, value in there if value != getattr(asked, name)]
    if different:
        raise InvalidValueError(
            f"{path.parent} holds {what} made with another {' and '.join(different)} (see {path.name} there); "
            "use another folder, or the same settings to add to them"
        )


class Difference(NamedTuple):
    """A setting that is another in one of two configurations."""

    name: str
    """Its dotted name."""
    there: Any
    asked: Any


def differences(there: Mapping[str, Any], asked: Mapping[str, Any], prefix: str = "") -> Iterator[Difference]:
    """Settings of two configurations, however deep, that are not the same; None where one lacks it."""
    for name in {**asked, **there}:
        found, expected = there.get(name), asked.get(name)
        if isinstance(found, Mapping) and isinstance(expected, Mapping):
            yield from differences(found, expected, f"{prefix}{name}.")
        elif found != expected:
            yield Difference(f"{prefix}{name}", found, expected)
