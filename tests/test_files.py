"""Atomic writing: the old content or the new, and one sentence when the disk refuses."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from poise.errors import InvalidValueError, MissingFileError, PoiseError
from poise.files import (
    append,
    aside,
    check_destination,
    explained,
    replacing_folder,
    settle_folder,
    standing,
    write_atomically,
)


def test_writes_and_replaces_and_leaves_no_neighbour(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "note.txt"
    write_atomically(path, "one")
    write_atomically(path, "zwölf\n")
    assert path.read_bytes() == "zwölf\n".encode()
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    path = tmp_path / "note.txt"
    write_atomically(path, "old")

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, refuse)
    with pytest.raises(PoiseError, match=r"cannot write .*note\.txt: no space left on device; free some space"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_appends_and_makes_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "note.txt"
    append(path, b"one")
    append(path, b"")
    append(path, b" two")
    assert path.read_bytes() == b"one two"


def test_what_a_disk_takes_only_in_part_is_taken_back(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    path = tmp_path / "note.txt"
    append(path, b"one")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5, before[1]))
    try:
        with pytest.raises(PoiseError, match=r"cannot write .*note\.txt: file too large"):
            append(path, b" and two")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == b"one"


def test_explained_keeps_the_kind_of_error() -> None:
    with pytest.raises(MissingFileError, match="cannot read it: no such file"), explained("read it"):
        Path("/nonexistent/file").read_bytes()
    with pytest.raises(MissingFileError, match=r"^as it stands$"), explained("read it"):
        raise MissingFileError("as it stands")
    with pytest.raises(PoiseError, match="is a directory"), explained("read it"):
        Path("/").read_bytes()
    with pytest.raises(KeyError), explained("read it"):
        raise KeyError("not the disk's fault")


def test_a_destination_is_checked_before_the_work(tmp_path: Path) -> None:
    check_destination(None)
    check_destination(tmp_path / "new.json")
    (tmp_path / "old.json").touch()
    check_destination(tmp_path / "old.json")
    with pytest.raises(MissingFileError, match=r"cannot write .*x\.json: the folder .*deep does not exist"):
        check_destination(tmp_path / "deep" / "x.json")
    with pytest.raises(InvalidValueError, match="it is a folder; name a file"):
        check_destination(tmp_path)


def test_a_destinations_folder_may_be_one_that_is_made_later(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    check_destination(tmp_path / "deep" / "er" / "x.json", makes_folder=True)
    with pytest.raises(MissingFileError, match=r"the folder .*file does not exist"):
        check_destination(tmp_path / "file" / "x.json", makes_folder=True)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_may_not_be_written_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda place, mode: mode != os.W_OK)  # root may write anywhere
    with pytest.raises(InvalidValueError, match=r"cannot write .*x\.json: no permission to write into the folder"):
        check_destination(tmp_path / "x.json")


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "folder"
    for text in ("one", "two"):
        with replacing_folder(folder) as new:
            (new / text).write_text(text)
        assert [path.name for path in folder.iterdir()] == [text]
        assert list(folder.parent.iterdir()) == [folder]


def test_an_error_leaves_the_old_folder(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with replacing_folder(folder) as new:
        (new / "old").touch()

    def fail() -> None:
        with replacing_folder(folder) as new:
            (new / "new").touch()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "old"]


def test_a_folder_that_stepped_aside_is_found_and_brought_back(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    aside(folder).mkdir()
    assert standing(folder) == aside(folder)
    settle_folder(folder)
    assert standing(folder) == folder
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("kind", ["file", "link"])
def test_only_folders_are_replaced(tmp_path: Path, kind: str) -> None:
    place, real = tmp_path / "place", tmp_path / "real"
    real.mkdir()
    place.touch() if kind == "file" else place.symlink_to(real)
    with pytest.raises(InvalidValueError, match="a file or a link"), replacing_folder(place):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"place", "real"}
