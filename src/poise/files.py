"""Writing files so that a crash or a full disk leaves the old content or the new, never half."""

from __future__ import annotations

import errno
import os
import shutil
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
        raise kind(f"cannot {action}: {reason(error)}") from error


def reason(error: OSError) -> str:
    """What the system says, and what to do about a full disk."""
    advice = "; free some space and try again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
    return (error.strerror or str(error)).lower() + advice


def flush_to_disk(path: Path) -> None:
    """Wait until a file's content, or a folder's list of entries, has reached the disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows has no handle on a folder to flush
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_destination(path: Path | None, makes_folder: bool = False) -> None:
    """Before long work for one file: refuse a `path` where it could not be put afterwards. None stands for no file.

    Args:
        path: of the file.
        makes_folder: whether its folder will be made, should it not exist.

    Raises:
        MissingFileError: its folder does not exist.
        InvalidValueError: it is a folder itself, or nothing may be written there.
    """
    if path is None:
        return
    folder = path.parent
    while makes_folder and not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise MissingFileError(f"cannot write {path}: the folder {folder} does not exist; make it first")
    if path.is_dir():
        raise InvalidValueError(f"cannot write {path}: it is a folder; name a file")
    if not os.access(folder, os.W_OK):
        raise InvalidValueError(f"cannot write {path}: no permission to write into the folder {folder}")


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write `content`, text as UTF-8, to a neighbour of `path`, then put it in its place; make the folder if need be.

    Raises `PoiseError` when the disk refuses; `path` then holds what it held before.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.tmp")
    with explained(f"write {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content.encode() if isinstance(content, str) else content)
            flush_to_disk(temporary)
            temporary.replace(path)
        except BaseException:  # Ctrl-C included
            temporary.unlink(missing_ok=True)
            raise
        flush_to_disk(path.parent)


def append(path: Path, content: bytes) -> None:
    """Write `content` at the end of the file `path`; make it and its folder if need be.

    Raises `PoiseError` when the disk refuses; the file then ends where it ended before.
    """
    with explained(f"write {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as file:
            end = file.tell()
            try:
                while content:  # a disk that takes only part says why when it is given the rest
                    content = content[file.write(content) :]
            except BaseException:  # Ctrl-C included
                os.truncate(path, end)
                raise


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder`, to be filled inside the block and put in its place at the end of it.

    A folder cannot be renamed onto another, so the old one steps aside first and is deleted last; `settle_folder`
    brings it back should the program die between the two renames. On any error inside the block the old folder
    stays. Files are to be flushed to disk by who writes them.

    Raises:
        InvalidValueError: `folder` is a file or a link.
    """
    temporary = unfinished(folder)
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise InvalidValueError(f"cannot replace {folder}: it is a file or a link, expected a folder or nothing")
    folder.parent.mkdir(parents=True, exist_ok=True)
    settle_folder(folder)
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir()
        yield temporary
        flush_to_disk(temporary)
        if folder.exists():
            folder.rename(aside(folder))
        temporary.rename(folder)
    except BaseException:  # Ctrl-C included
        settle_folder(folder)
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    flush_to_disk(folder.parent)
    shutil.rmtree(aside(folder), ignore_errors=True)


def settle_folder(folder: Path) -> None:
    """Bring back what stepped aside for a folder that never arrived."""
    if aside(folder).exists():
        if folder.exists():
            shutil.rmtree(aside(folder))
        else:
            aside(folder).rename(folder)


def standing(folder: Path) -> Path:
    """Where a reader finds `folder`: there, or aside while a new one is about to arrive."""
    return aside(folder) if not folder.exists() and aside(folder).exists() else folder


def unfinished(folder: Path) -> Path:
    """Where `replacing_folder` keeps the new folder until it is complete."""
    return folder.with_name(f".{folder.name}.tmp")


def aside(folder: Path) -> Path:
    """Where `replacing_folder` keeps the old folder until the new one is in its place."""
    return folder.with_name(f".{folder.name}.old")


def read_bytes(path: Path, what: str) -> bytes:
    """The content of `path`; `what` names it in the error when it is not there."""
    if not path.is_file():
        raise MissingFileError(f"{path} does not exist; expected {what}")
    with explained(f"read {path}"):
        return path.read_bytes()
