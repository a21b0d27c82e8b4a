"""Checkpoints: complete or absent at every moment, damage noticed, nothing unpickled."""

from __future__ import annotations

import errno
import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from poise.errors import InvalidValueError, MissingFileError, PoiseError
from poise.training import checkpoint
from poise.training.checkpoint import latest_checkpoint, load_checkpoint, prune, save_checkpoint, step_folder

NAMES = ["arrays.safetensors", "manifest.json", "state.json"]


def state(number: int) -> dict[str, Any]:
    return {"number": number, "model": {"w": torch.full((3, 2), float(number))}, "count": np.full(4, number)}


def check(folder: Path, number: int) -> None:
    loaded = load_checkpoint(folder)
    assert loaded["number"] == number
    assert torch.equal(loaded["model"]["w"], torch.full((3, 2), float(number)))
    np.testing.assert_array_equal(loaded["count"], np.full(4, number))


def entries(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in entries(folder)}


# --- saving and loading -------------------------------------------------------------------------------------------


def test_save_load_and_replace(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "best"
    for number in (1, 2, 3):
        save_checkpoint(folder, state(number))
        check(folder, number)
        assert entries(folder.parent) == ["best"]
        assert entries(folder) == NAMES


def test_the_same_state_makes_the_same_bytes(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a", state(1))
    save_checkpoint(tmp_path / "b", state(1))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.parametrize("empty", [{}, {"only": "text"}, {"only": torch.zeros(0)}], ids=repr)
def test_small_states(tmp_path: Path, empty: dict[str, Any]) -> None:
    save_checkpoint(tmp_path / "x", empty)
    assert repr(load_checkpoint(tmp_path / "x")) == repr(empty)


def test_loaded_tensors_do_not_depend_on_the_files(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "x", state(5))
    before = contents(tmp_path / "x")
    loaded = load_checkpoint(tmp_path / "x")
    loaded["model"]["w"] += 1
    loaded["count"] += 1
    assert contents(tmp_path / "x") == before
    with (tmp_path / "x" / "arrays.safetensors").open("r+b") as file:
        file.truncate(0)
    assert loaded["model"]["w"].sum() == 36
    assert loaded["count"].sum() == 24


def test_files_are_as_readable_as_any_other(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "x", state(1))
    (tmp_path / "other").touch()
    assert {(tmp_path / "x" / name).stat().st_mode for name in NAMES} == {(tmp_path / "other").stat().st_mode}


def test_state_that_cannot_be_saved_touches_nothing(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "x", state(1))
    with pytest.raises(TypeError, match="at '/model/f'"):
        save_checkpoint(tmp_path / "x", {"model": {"f": print}})
    check(tmp_path / "x", 1)
    assert entries(tmp_path) == ["x"]


# --- damage -------------------------------------------------------------------------------------------------------


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["arrays.safetensors", "state.json"])
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_bytes(b""), "is damaged: it has 0 bytes, expected"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "is damaged: it has"),
        (lambda path: path.write_bytes(path.read_bytes() + b"\n"), "is damaged: it has"),
        (lambda path: flip(path, 0), "is damaged: its content has changed"),
        (lambda path: flip(path, -1), "is damaged: its content has changed"),
        (lambda path: (path.unlink(), path.mkdir()), "is missing"),
    ],
    ids=["missing", "empty", "short", "long", "first bit", "last bit", "folder"],
)
def test_damage_is_noticed_and_the_file_named(
    tmp_path: Path, name: str, damage: Callable[[Path], object], words: str
) -> None:
    save_checkpoint(tmp_path / "x", state(1))
    damage(tmp_path / "x" / name)
    with pytest.raises(PoiseError) as caught:
        load_checkpoint(tmp_path / "x")
    assert str(caught.value).startswith(f"{tmp_path / 'x' / name} {words}")


def test_every_single_bit_of_a_checkpoint_is_watched(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "x", {"number": 1, "w": torch.tensor([1.0])})
    for name in ("arrays.safetensors", "state.json"):
        path = tmp_path / "x" / name
        for position in range(path.stat().st_size):
            flip(path, position)
            with pytest.raises(PoiseError, match="is damaged"):
                load_checkpoint(tmp_path / "x")
            flip(path, position)
    assert load_checkpoint(tmp_path / "x")["number"] == 1


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ("", "manifest.json is damaged"),
        ("{", "manifest.json is damaged"),
        ("[]", "manifest.json is damaged"),
        ("[" * 100_000, "manifest.json is damaged"),
        ("\xff", "manifest.json is damaged"),
        ('{"format": "other"}', "manifest.json is damaged: unknown format 'other'"),
        ('{"format": "poise-checkpoint", "version": 2}', "checkpoint version 2, this one reads 1"),
        ('{"format": "poise-checkpoint", "version": 1}', "manifest.json is damaged"),
        ('{"format": "poise-checkpoint", "version": 1, "files": {}}', "manifest.json is damaged"),
        ('{"format": "poise-checkpoint", "version": 1, "files": {"state.json": 3}}', "manifest.json is damaged"),
    ],
)
def test_a_bad_manifest(tmp_path: Path, manifest: str, words: str) -> None:
    save_checkpoint(tmp_path / "x", state(1))
    (tmp_path / "x" / "manifest.json").write_bytes(manifest.encode("latin-1"))
    with pytest.raises(PoiseError) as caught:
        load_checkpoint(tmp_path / "x")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "text", ["3", "[]", '{"a": {"$tensor": "/gone"}}', '{"a": {"$evil": 1}}', "{", "[" * 100_000, '{"$tuple": []}']
)
def test_a_state_that_matches_its_manifest_but_makes_no_sense(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "x"
    save_checkpoint(folder, state(1))
    (folder / "state.json").write_text(text)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["state.json"] = checkpoint._fingerprint(folder / "state.json")
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(PoiseError, match="is damaged"):
        load_checkpoint(folder)


class Bomb:
    """Leaves a mark when unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch exploded",)


def test_a_pickle_is_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.pt").write_bytes(pickle.dumps(Bomb()))
    torch.save({"w": Bomb()}, tmp_path / "model.pth")
    for name in ("model.pt", "model.pth"):
        with pytest.raises(InvalidValueError, match="is a file; expected a checkpoint folder .*never opened"):
            load_checkpoint(tmp_path / name)
    for name in NAMES:
        save_checkpoint(tmp_path / "x", state(1))
        (tmp_path / "x" / name).write_bytes(pickle.dumps(Bomb()))
        with pytest.raises(PoiseError, match=f"{name} is damaged"):
            load_checkpoint(tmp_path / "x")
    assert not (tmp_path / "exploded").exists()


def test_no_checkpoint_there(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="there is no checkpoint"):
        load_checkpoint(tmp_path / "none")
    with pytest.raises(MissingFileError, match=r"holds no manifest\.json"):
        load_checkpoint(tmp_path)


# --- a full disk --------------------------------------------------------------------------------------------------


def no_space(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("operation", ["os.fsync", "os.mkdir", "pathlib.Path.write_text", "pathlib.Path.rename"])
def test_a_full_disk_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existing: bool, operation: str
) -> None:
    if existing:
        save_checkpoint(tmp_path / "best", state(1))
    with monkeypatch.context() as patch:
        patch.setattr(operation, no_space)
        with pytest.raises(PoiseError, match="cannot write the checkpoint .*no space left on device; free some space"):
            save_checkpoint(tmp_path / "best", state(2))
    assert entries(tmp_path) == (["best"] if existing else [])
    if existing:
        check(tmp_path / "best", 1)
    save_checkpoint(tmp_path / "best", state(3))
    check(tmp_path / "best", 3)


@pytest.mark.parametrize("failing", [1, 2])
def test_a_rename_that_fails_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int) -> None:
    save_checkpoint(tmp_path / "best", state(1))
    rename, calls = Path.rename, []

    def sometimes(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == failing:
            no_space()
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", sometimes)
        with pytest.raises(PoiseError, match="no space left"):
            save_checkpoint(tmp_path / "best", state(2))
    check(tmp_path / "best", 1)
    assert entries(tmp_path) == ["best"]


def test_a_real_write_that_fails_inside_safetensors(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "best", state(1))
    program = f"""
        import resource, signal, torch
        from poise.errors import PoiseError
        from poise.training.checkpoint import save_checkpoint
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            save_checkpoint({str(tmp_path / "best")!r}, {{"w": torch.zeros(10_000)}})
        except PoiseError as error:
            print(error)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True
    )
    assert result.stdout == f"cannot write the checkpoint {tmp_path / 'best'}: file too large\n"
    check(tmp_path / "best", 1)
    assert entries(tmp_path) == ["best"]


def test_a_parent_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("not a folder")
    with pytest.raises(PoiseError, match="cannot write the checkpoint"):
        save_checkpoint(tmp_path / "run" / "best", state(1))


# --- crashes ------------------------------------------------------------------------------------------------------


class Crash(BaseException):
    """Stands for the power failing: nothing after it runs."""


def steps_of_a_save(folder: Path, number: int, crash_before: int | None) -> int:
    """Save with a crash just before the n-th change to the disk; returns how many changes there were."""
    count = 0

    def watch(original: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if crash_before is not None and count >= crash_before:
                raise Crash  # now, and again at every attempt to clean up
            return original(*args, **kwargs)

        return watched

    with pytest.MonkeyPatch.context() as patch:
        for owner, names in ((Path, "rename mkdir write_text"), (os, "unlink rmdir"), (checkpoint, "save_file")):
            for name in names.split():
                patch.setattr(owner, name, watch(getattr(owner, name)))
        patch.setattr(os, "fsync", watch(lambda descriptor: None))
        patch.setattr(shutil, "rmtree", watch(shutil.rmtree))
        try:
            save_checkpoint(folder, state(number))
        except Crash:
            return count
    return count


def test_a_crash_at_every_point_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "count" / "best", state(1))
    total = steps_of_a_save(tmp_path / "count" / "best", 2, crash_before=None)
    assert total > 10
    seen = []
    for crash in range(1, total + 1):
        folder = tmp_path / str(crash) / "best"
        save_checkpoint(folder, state(1))
        steps_of_a_save(folder, 2, crash)
        seen.append(load_checkpoint(folder)["number"])
        check(folder, seen[-1])
        copy = shutil.copytree(folder.parent, tmp_path / "copies" / str(crash))
        for again in range(1, total + 3):  # a second crash, while the first is being mended
            steps_of_a_save(folder, 3, again)
            assert load_checkpoint(folder)["number"] in (seen[-1], 3)
            shutil.rmtree(folder.parent)
            shutil.copytree(copy, folder.parent)
        save_checkpoint(folder, state(4))
        check(folder, 4)
        assert entries(folder.parent) == ["best"]
    assert seen == sorted(seen)
    assert set(seen) == {1, 2}


def test_a_reader_never_sees_a_mixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "best"
    original, calls = checkpoint._check_file, []
    for moment in range(4):
        save_checkpoint(folder, state(1))
        calls.clear()

        def swap(path: Path, expected: Any, moment: int = moment) -> None:
            calls.append(path)
            if len(calls) == 1 + moment and moment < 2:
                save_checkpoint(folder, state(2))
            original(path, expected)
            if len(calls) == moment - 1 and moment >= 2:
                save_checkpoint(folder, state(2))

        monkeypatch.setattr(checkpoint, "_check_file", swap)
        check(folder, 2)
        monkeypatch.setattr(checkpoint, "_check_file", original)


# Imports torch once, then forks a child for every line it reads; the child saves until it is killed.
NURSERY = """
    import os, sys, torch
    from pathlib import Path
    from poise.training.checkpoint import latest_checkpoint, load_checkpoint, prune, save_checkpoint, step_folder

    torch.set_num_threads(1)
    run = Path(sys.argv[1])

    def save_for_ever():
        latest = latest_checkpoint(run)
        step = load_checkpoint(latest)["step"] if latest else 0
        while True:
            step += 1
            state = {"step": step, "weights": torch.full((20_000,), float(step)), "list": [step] * 100}
            save_checkpoint(step_folder(run, step), state)
            save_checkpoint(run / "best", state)
            prune(run, keep=2)
            os.write(1, b"saved %d\\n" % step)

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            save_for_ever()
        os.write(1, b"born %d\\n" % child)
        os.waitpid(child, 0)
        os.write(1, b"dead 0\\n")
"""


def test_killed_twenty_times(tmp_path: Path) -> None:
    """SIGKILL at random moments; after each, the newest checkpoint and the best are whole, and no step is lost."""
    generator, saved, newest = random.Random(0), 0, 0
    command = [sys.executable, "-c", textwrap.dedent(NURSERY), str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as nursery:
        assert nursery.stdin is not None
        assert nursery.stdout is not None
        for _ in range(20):
            print("go", file=nursery.stdin, flush=True)
            news = ""
            while news != "dead":
                news, number = nursery.stdout.readline().split()
                if news == "born":
                    time.sleep(generator.uniform(0, 0.2))
                    os.kill(int(number), signal.SIGKILL)
                if news == "saved":
                    saved = int(number)
            newest = max(newest, saved)
            for folder, at_least in ((latest_checkpoint(tmp_path), newest), (tmp_path / "best", saved)):
                if at_least == 0:
                    continue
                assert folder is not None
                loaded = load_checkpoint(folder)
                assert at_least <= loaded["step"] <= newest + 1
                assert torch.equal(loaded["weights"], torch.full((20_000,), float(loaded["step"])))
                assert loaded["list"] == [loaded["step"]] * 100
            latest = latest_checkpoint(tmp_path)
            newest = load_checkpoint(latest)["step"] if latest else 0
        nursery.stdin.close()
    assert saved > 5


# --- the checkpoints of a run -------------------------------------------------------------------------------------


def test_step_folders_sort_by_step(tmp_path: Path) -> None:
    assert step_folder(tmp_path, 1234) == tmp_path / "checkpoints" / "step_000001234"
    assert latest_checkpoint(tmp_path) is None
    for step in (5, 900, 12_345_678_901):
        save_checkpoint(step_folder(tmp_path, step), state(1))
    assert latest_checkpoint(tmp_path) == step_folder(tmp_path, 12_345_678_901)


def test_latest_passes_over_what_is_incomplete(tmp_path: Path) -> None:
    for step in range(1, 6):
        save_checkpoint(step_folder(tmp_path, step), state(step))
    (step_folder(tmp_path, 5) / "manifest.json").unlink()
    (step_folder(tmp_path, 4) / "arrays.safetensors").write_bytes(b"short")
    (step_folder(tmp_path, 3) / "state.json").unlink()
    (tmp_path / "checkpoints" / "step_000000009").write_text("a file")
    (tmp_path / "checkpoints" / "step_best").mkdir()
    assert latest_checkpoint(tmp_path) == step_folder(tmp_path, 2)


def test_latest_finds_a_checkpoint_that_stepped_aside(tmp_path: Path) -> None:
    save_checkpoint(step_folder(tmp_path, 1), state(1))
    save_checkpoint(step_folder(tmp_path, 2), state(2))
    step_folder(tmp_path, 2).rename(tmp_path / "checkpoints" / ".step_000000002.old")
    latest = latest_checkpoint(tmp_path)
    assert latest == step_folder(tmp_path, 2)
    check(latest, 2)


def test_prune_keeps_the_newest_complete(tmp_path: Path) -> None:
    for step in range(1, 7):
        save_checkpoint(step_folder(tmp_path, step), state(step))
    parent = tmp_path / "checkpoints"
    (step_folder(tmp_path, 6) / "manifest.json").unlink()
    step_folder(tmp_path, 5).rename(parent / ".step_000000005.old")
    (parent / ".step_000000009.tmp").mkdir()
    (parent / ".step_000000004.tmp").mkdir()
    (parent / "notes.txt").write_text("mine")
    prune(tmp_path, keep=2)
    assert entries(parent) == ["notes.txt", "step_000000004", "step_000000005"]
    prune(tmp_path, keep=2)
    check(step_folder(tmp_path, 5), 5)
    prune(tmp_path, keep=1)
    assert entries(parent) == ["notes.txt", "step_000000005"]


def test_prune_refuses_to_keep_none(tmp_path: Path) -> None:
    save_checkpoint(step_folder(tmp_path, 1), state(1))
    with pytest.raises(InvalidValueError, match="at least 1, got 0"):
        prune(tmp_path, keep=0)
    check(step_folder(tmp_path, 1), 1)
    prune(tmp_path / "no run", keep=3)
