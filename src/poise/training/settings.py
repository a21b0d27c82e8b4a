"""Data that is added to must be made as what is there was made."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

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
