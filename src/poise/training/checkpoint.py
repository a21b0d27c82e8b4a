"""Checkpoints: a folder of plain data that is complete or absent, whatever moment the power fails.

    step_000001234/
      arrays.safetensors   every tensor and array, named by its place in the state
      state.json           all the rest (see `state_tree`)
      manifest.json        format version, and size and SHA-256 of the two files above

`save_checkpoint` fills the hidden neighbour `.<name>.tmp`, flushes it to disk and renames it. A checkpoint of the same
name, such as `best/`, first steps aside as `.<name>.old` and is deleted last; a crash between the two renames leaves
the old one there, complete, and readers look for it. A run has one writer; readers may come at any time. Nothing is
ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from poise.errors import InvalidValueError, MissingFileError, PoiseError
from poise.files import aside, explained, flush_to_disk, replacing_folder, settle_folder, standing, unfinished
from poise.training.state_tree import put_together, take_apart

CHECKPOINTS = "checkpoints"
"""Folder of a run that holds them."""

FORMAT = "poise-checkpoint"
VERSION = 1
ARRAYS, STATE, MANIFEST = "arrays.safetensors", "state.json", "manifest.json"


def save_checkpoint(folder: Path | str, state: Mapping[str, Any]) -> None:
    """Write `state` to `folder`, replacing a checkpoint that is there; on any failure the old one stays.

    state: nested mappings, lists and tuples of torch tensors, numpy arrays, numbers of any size, text, bool and None.
    """
    folder = Path(folder)
    skeleton, tensors = take_apart(state)
    with explained(f"write the checkpoint {folder}"), replacing_folder(folder) as new:
        _write_files(new, skeleton, tensors)


def load_checkpoint(folder: Path | str) -> dict[str, Any]:
    """The state saved in `folder`, every byte checked, tensors on the CPU.

    Raises `MissingFileError` where there is none, and `PoiseError` naming the file where one is damaged.
    """
    folder = Path(folder)
    while True:  # again only when the writer replaced the checkpoint while it was being read
        place = _locate(folder)
        identity = _identity(place)
        try:
            with explained(f"read the checkpoint {folder}"):
                state = _read(place)
        except PoiseError:
            if _identity(_locate(folder)) == identity:
                raise
        else:
            if _identity(place) == identity:
                return state


def step_folder(run: Path | str, step: int) -> Path:
    """Where the checkpoint after `step` environment steps belongs."""
    return Path(run) / CHECKPOINTS / f"step_{step:09d}"


def latest_checkpoint(run: Path | str) -> Path | None:
    """The complete checkpoint with the highest step in a run folder; None if there is none."""
    return next((folder for folder in _newest_first(run) if _is_complete(folder)), None)


def check_undamaged(run: Path | str) -> None:
    """Raises `PoiseError` naming what is wrong with the newest checkpoint of a run that is damaged."""
    for folder in _newest_first(run):
        if standing(folder).exists():
            load_checkpoint(folder)


def prune(run: Path | str, keep: int) -> None:
    """Delete all but the newest `keep` complete checkpoints of a run, and what crashes left behind."""
    if keep < 1:
        raise InvalidValueError(f"the number of checkpoints to keep must be at least 1, got {keep}")
    kept = 0
    for folder in _newest_first(run):
        if kept < keep and _is_complete(folder):
            kept += 1
            with explained(f"tidy up {folder.parent}"):
                settle_folder(folder)
                shutil.rmtree(unfinished(folder), ignore_errors=True)
        else:
            for place in (folder, aside(folder), unfinished(folder)):
                shutil.rmtree(place, ignore_errors=True)


# --- writing ------------------------------------------------------------------------------------------------------


def _write_files(folder: Path, skeleton: Any, tensors: Mapping[str, Any]) -> None:
    try:
        save_file(dict(tensors), folder / ARRAYS)
    except SafetensorError as error:  # hides the error number of the operating system in its text
        number = re.search(r"os error (\d+)", str(error))
        raise OSError(int(number[1]) if number else 0, os.strerror(int(number[1])) if number else str(error)) from error
    (folder / STATE).write_text(json.dumps(skeleton, indent=1, allow_nan=False) + "\n", encoding="ascii")
    shutil.copymode(folder / STATE, folder / ARRAYS)  # safetensors makes files only their owner can read
    files = {name: _fingerprint(folder / name) for name in (ARRAYS, STATE)}
    manifest = {"format": FORMAT, "version": VERSION, "files": files}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="ascii")
    for name in (ARRAYS, STATE, MANIFEST):
        flush_to_disk(folder / name)


def _fingerprint(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"bytes": os.fstat(file.fileno()).st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


# --- reading ------------------------------------------------------------------------------------------------------


def _identity(folder: Path) -> tuple[int, int] | None:
    """Differs between a checkpoint and the one that replaces it, even where the disk reuses inode numbers."""
    try:
        status = folder.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def _locate(folder: Path) -> Path:
    """`folder`, or the old checkpoint that stepped aside for one that never arrived."""
    folder = standing(folder)
    if not folder.exists():
        raise MissingFileError(f"there is no checkpoint {folder}; expected a folder with {MANIFEST}")
    if not folder.is_dir():
        raise InvalidValueError(
            f"{folder} is a file; expected a checkpoint folder with {MANIFEST} (pickled models are never opened)"
        )
    return folder


def _read(folder: Path) -> dict[str, Any]:
    manifest = _read_manifest(folder)
    for name in (ARRAYS, STATE):
        _check_file(folder / name, manifest[name])
    try:
        skeleton = json.loads((folder / STATE).read_bytes())
        with safe_open(folder / ARRAYS, framework="pt") as file:
            # Cloned, because the tensors of safetensors are windows on the file.
            tensors = {name: file.get_tensor(name).clone() for name in file.offset_keys()}
        state = put_together(skeleton, tensors)
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise PoiseError(f"{folder} is damaged: {STATE} and {ARRAYS} do not fit together ({error})") from error
    if not isinstance(state, dict):
        raise PoiseError(f"{folder / STATE} is damaged: expected a mapping, found a {type(state).__name__}")
    return state


def _read_manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """Size and digest of each file, by name."""
    path = folder / MANIFEST
    if not path.is_file():
        raise MissingFileError(f"{folder} is no checkpoint of poise, or an incomplete one: it holds no {MANIFEST}")
    try:
        manifest = json.loads(path.read_bytes())
        if manifest["format"] != FORMAT:
            raise ValueError(f"unknown format {manifest['format']!r}")
        if manifest["version"] != VERSION:
            raise PoiseError(
                f"{folder} was written by another release of poise (checkpoint version {manifest['version']}, "
                f"this one reads {VERSION}); install that release to read it"
            )
        return {name: {key: manifest["files"][name][key] for key in ("bytes", "sha256")} for name in (ARRAYS, STATE)}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise PoiseError(f"{path} is damaged: {error}") from error


def _check_file(path: Path, expected: Mapping[str, Any]) -> None:
    if not path.is_file():
        raise MissingFileError(f"{path} is missing: the checkpoint is damaged, use an older one")
    found = _fingerprint(path)
    if found["bytes"] != expected["bytes"]:
        raise PoiseError(
            f"{path} is damaged: it has {found['bytes']} bytes, expected {expected['bytes']}; use an older checkpoint"
        )
    if found["sha256"] != expected["sha256"]:
        raise PoiseError(f"{path} is damaged: its content has changed since it was written; use an older checkpoint")


# --- the checkpoints of a run -------------------------------------------------------------------------------------


def _newest_first(run: Path | str) -> Iterator[Path]:
    """Every step folder of a run, present or stepped aside or half written, by falling step."""
    parent = step_folder(run, 0).parent
    names = [entry.name for entry in parent.iterdir()] if parent.is_dir() else []
    steps = {int(match[1]) for name in names if (match := re.fullmatch(r"\.?step_(\d{9,})(?:\.old|\.tmp)?", name))}
    yield from (step_folder(run, step) for step in sorted(steps, reverse=True))


def _is_complete(folder: Path) -> bool:
    """Whether all files are there at their full size. `load_checkpoint` looks at every byte, this does not."""
    try:
        place = _locate(folder)
        return all((place / name).stat().st_size == file["bytes"] for name, file in _read_manifest(place).items())
    except (PoiseError, OSError):
        return False
