"""Putting bytes and folders in place so that a crash leaves the old ones or the new ones, never half."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from poise.errors import MissingFileError
from poise.files import explained, flush_to_disk


def replace_file(path: Path, content: bytes) -> None:
    """Write `content` beside `path`, then put it in its place; make the folder if need be."""
    temporary = path.with_name(f".{path.name}.tmp")
    with explained(f"write {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content)
            flush_to_disk(temporary)
            temporary.replace(path)
        except BaseException:  # Ctrl-C included
            temporary.unlink(missing_ok=True)
            raise
        flush_to_disk(path.parent)


def replace_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder of `files` beside `folder`, then put it in its place.

    A folder cannot be renamed onto another, so the old one steps aside first; `settle_folder` brings it back should the
    program die between the two renames.
    """
    temporary, aside = folder.with_name(f".{folder.name}.tmp"), _aside(folder)
    with explained(f"write {folder}"):
        settle_folder(folder)
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            for name, content in files.items():
                replace_file(temporary / name, content)
            if folder.exists():
                folder.rename(aside)
            temporary.rename(folder)
        except BaseException:
            settle_folder(folder)
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        flush_to_disk(folder.parent)
        shutil.rmtree(aside, ignore_errors=True)


def settle_folder(folder: Path) -> None:
    """Bring back what stepped aside for a folder that never arrived."""
    if _aside(folder).exists():
        if folder.exists():
            shutil.rmtree(_aside(folder))
        else:
            _aside(folder).rename(folder)


def read_bytes(path: Path, what: str) -> bytes:
    """The content of `path`; `what` names it in the error when it is not there."""
    if not path.is_file():
        raise MissingFileError(f"{path} does not exist; expected {what}")
    with explained(f"read {path}"):
        return path.read_bytes()


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")
