"""A full disk, and mistakes as a user's shell sees them."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mistakes import contents

from poise.cli import main


@pytest.mark.usefixtures("cwd")
@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "tiny.yaml", "--out", "new"],
        ["train", "--resume", "run"],
        ["collect", "--out", "new", "--episodes", "2", "--seconds", "0.1", "--terrain.nodes", "9"],
        ["pretrain", "images", "--out", "new"],
    ],
    ids=" ".join,
)
def test_a_full_disk(arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence, and the files that were there are as they were; new ones may have been begun."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = contents(Path())
    monkeypatch.setattr(os, "fsync", refuse)
    capsys.readouterr()
    assert main(arguments) == 2
    written = capsys.readouterr().err
    assert written.startswith("error: cannot write ")
    assert written.endswith("no space left on device; free some space and try again\n")
    assert contents(Path()).items() >= before.items()


@pytest.mark.usefixtures("cwd")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], "did you mean 'train'?"),
        (["train", "tag.yaml"], "python/object/apply:os.system"),
        (["evaluate", "pickles"], "config.yaml"),
    ],
)
def test_in_a_process_of_its_own(arguments: list[str], words: str) -> None:
    before = contents(Path())
    ended = subprocess.run([sys.executable, "-m", "poise", *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("error: ")
    assert ended.stderr.count("\n") == 1
    assert words in ended.stderr
    assert contents(Path()) == before
