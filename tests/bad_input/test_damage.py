"""What has happened to files: one sentence that names the file, exit code 2, nothing changed, nothing executed."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mistakes import SEES, Bomb, Complaint, train


def checkpoint() -> Path:
    return next(Path("run/checkpoints").iterdir())


def truncate_arrays() -> None:
    path = checkpoint() / "arrays.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit() -> None:
    path = checkpoint() / "arrays.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def tamper_with_manifest() -> None:
    path = checkpoint() / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"]["state.json"]["sha256"] = "0" * 64
    path.write_text(json.dumps(manifest))


def replace_manifest() -> None:
    (checkpoint() / "manifest.json").write_text("[]")


def replace_arrays_by_pickle() -> None:
    shutil.copy("bomb.pkl", checkpoint() / "arrays.safetensors")


def forget_state() -> None:
    (checkpoint() / "state.json").unlink()


def use_newer_format() -> None:
    path = checkpoint() / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 99}))


def another_architecture() -> None:
    path = Path("run/config.yaml")
    path.write_text(path.read_text().replace("hidden_sizes: [4]", "hidden_sizes: [5]"))


def another_number_of_robots() -> None:
    path = Path("run/config.yaml")
    path.write_text(path.read_text().replace("num_envs: 2", "num_envs: 3"))


def misspell_configuration() -> None:
    path = Path("run/config.yaml")
    path.write_text(path.read_text().replace("gamma:", "gama:"))


def damage_evaluations() -> None:
    Path("run/evaluations.json").write_text("{")


def damage_progress() -> None:
    Path("run/progress.csv").write_text("step,a\n1,2\nx,y\n3,4\n")


@pytest.mark.usefixtures("cwd")
@pytest.mark.parametrize(
    ("damage", "verb", "words"),
    [
        (truncate_arrays, "evaluate", ("arrays.safetensors is damaged", "use an older checkpoint")),
        (truncate_arrays, "resume", ("holds no complete checkpoint", "step_000000064")),
        (flip_a_bit, "evaluate", ("arrays.safetensors is damaged", "content has changed")),
        (flip_a_bit, "resume", ("arrays.safetensors is damaged", "content has changed")),
        (tamper_with_manifest, "evaluate", ("state.json is damaged", "content has changed")),
        (replace_manifest, "evaluate", ("manifest.json is damaged",)),
        (replace_arrays_by_pickle, "evaluate", ("arrays.safetensors is damaged",)),
        (forget_state, "evaluate", ("state.json is missing",)),
        (use_newer_format, "evaluate", ("was written by another release of poise",)),
        (
            another_architecture,
            "evaluate",
            ("architecture: 'actor.model.0.weight' has shape (4, 15), expected (5, 15)",),
        ),
        (another_architecture, "resume", ("does not fit this configuration", "architecture: 'actor", "resume with")),
        (another_number_of_robots, "resume", ("does not fit this configuration",)),
        (misspell_configuration, "evaluate", ("config.yaml: unknown key 'algorithm.gama'", "did you mean 'gamma'?")),
        (misspell_configuration, "resume", ("config.yaml: unknown key 'algorithm.gama'",)),
        (damage_progress, "resume", ("progress.csv is damaged at line 3",)),
        (damage_progress, "plot", ("progress.csv is damaged at line 3",)),
    ],
)
def test_a_damaged_run(damage: Callable[[], None], verb: str, words: tuple[str, ...], complaint: Complaint) -> None:
    damage()
    arguments = {"evaluate": ["evaluate", "run"], "resume": ["train", "--resume", "run"], "plot": ["plot", "run"]}
    sentence = complaint(arguments[verb])
    for word in words:
        assert word in sentence


@pytest.mark.usefixtures("cwd")
@pytest.mark.parametrize("damage", [truncate_arrays, flip_a_bit, replace_arrays_by_pickle, use_newer_format])
def test_a_damaged_checkpoint_named_itself(damage: Callable[[], None], complaint: Complaint) -> None:
    damage()
    assert checkpoint().name in complaint(["evaluate", str(checkpoint())])


@pytest.mark.usefixtures("cwd")
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("encoder64/encoder.json", b"{", ("encoder.json is damaged",)),
        ("encoder64/encoder.json", b"[]", ("encoder.json is damaged",)),
        ("encoder64/encoder.json", b'{"architecture": "resnet"}', ("architecture 'resnet'",)),
        ("encoder64/encoder.safetensors", b"", ("encoder.safetensors is damaged",)),
        ("encoder64/encoder.safetensors", pickle.dumps(Bomb()), ("damaged", "pickled models are never opened")),
    ],
)
def test_a_damaged_encoder(name: str, content: bytes, words: tuple[str, ...], complaint: Complaint) -> None:
    Path(name).write_bytes(content)
    sentence = complaint(train(SEES, "--policy.encoder", "encoder64"))
    for word in words:
        assert word in sentence


@pytest.mark.usefixtures("cwd")
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("images/dataset.json", b"{", ("dataset.json is damaged",)),
        ("images/dataset.json", b"[]", ("dataset.json", "mapping")),
        ("images/dataset.json", b'{"cameras": []}', ("dataset.json", "cameras")),
        ("images/images/episode_000000.npz", pickle.dumps(Bomb()), ("damaged",)),
        ("images/images/episode_000001.npz", b"", ("damaged",)),
    ],
)
@pytest.mark.filterwarnings("ignore:left out")
def test_a_damaged_dataset(name: str, content: bytes, words: tuple[str, ...], complaint: Complaint) -> None:
    Path(name).write_bytes(content)
    sentence = complaint(["pretrain", "images", "--out", "new"])
    for word in words:
        assert word in sentence


@pytest.mark.usefixtures("cwd")
@pytest.mark.parametrize("content", ["{", "[]", '{"stages": 3, "config": {}}'])
def test_a_damaged_demo(content: str, complaint: Complaint) -> None:
    Path("demo").mkdir()
    Path("demo/demo.json").write_text(content)
    assert "demo.json is damaged" in complaint(["demo", "--config", "tiny.yaml", "--out", "demo"])


@pytest.mark.usefixtures("cwd")
def test_a_demo_of_other_settings(complaint: Complaint) -> None:
    Path("demo").mkdir()
    Path("demo/demo.json").write_text('{"stages": {}, "config": {"seed": 5}}')
    assert "demo holds a demo of other settings" in complaint(["demo", "--config", "tiny.yaml", "--out", "demo"])
