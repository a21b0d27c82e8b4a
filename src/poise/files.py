"""Writing files so that a crash or a full disk leaves the old content or the new, never half."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from poise.errors import InvalidValueError, MissingFileError, PoiseError


@contextmanager
def explained(action: str) -> Iterator[None]:
    """Turn an `OSError` inside the block into a `PoiseError`: `cannot <action>: no space left on device`."""
    try:
        yield
    except OSError as error:
        if isinstance(error, PoiseError):
            raise
        kind = MissingFileError if isinstance(error, FileNotFoundError) else PoiseError
        advice = "; free some space and try again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise kind(f"cannot {action}: {(error.strerror or str(error)).lower()}{advice}") from error


def flush_to_disk(path: Path) -> None:
    """Wait until a file's content, or a folder's list of entries, has reached the disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows has no handle on a folder to flush
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_destination(path: Path | None) -> None:
    """Before long work for one file: refuse a `path` where it could not be put afterwards. None stands for no file.

    Raises:
        MissingFileError: its folder does not exist.
        InvalidValueError: it is a folder itself.
    """
    if path is None:
        return
    if not path.parent.is_dir():
        raise MissingFileError(f"cannot write {path}: the folder {path.parent} does not exist; make it first")
    if path.is_dir():
        raise InvalidValueError(f"cannot write {path}: it is a folder; name a file")


def write_atomically(path: Path, content: str) -> None:
    """Write `content` as UTF-8 to a neighbour of `path`, then put it in its place; make the folder if need be.

    Raises `PoiseError` when the disk refuses; `path` then holds what it held before.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.tmp")
    with explained(f"write {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content.encode())
            flush_to_disk(temporary)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        flush_to_disk(path.parent)
