"""A world of good things and bad things, and what a mistake in it earns."""

from __future__ import annotations

import pickle
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from poise.cli import main
from poise.config import save_yaml
from poise.perception import DepthEncoder, ImageDatasetWriter, PretrainConfig, save_encoder

sys.path.insert(0, str(Path(__file__).parent))  # for `mistakes`: with importlib's import mode, pytest adds nothing
from mistakes import CANARY, Bomb, Complaint, contents

TINY = """
total_steps: 64
threads: 1
tensorboard: false
env: {num_envs: 2, options: {cameras: {enabled: false}, decimation: 5, terrain: {kind: flat, nodes: 9}}}
algorithm: {num_steps: 32}
policy: {actor: {hidden_sizes: [4]}, critic: {hidden_sizes: [4]}}
"""


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of good things and bad things; each test gets a copy as its working directory."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "tiny.yaml").write_text(TINY)
    assert main(["train", str(folder / "tiny.yaml"), "--out", str(folder / "run")]) == 0
    for size in (16, 64):
        save_encoder(folder / f"encoder{size}", DepthEncoder(size, size))
    for name, size in (("images", 16), ("odd", 18)):
        writer = ImageDatasetWriter(folder / name, ("rgbd_0", "rgbd_1"), size, size)
        for episode in range(2):
            images = np.random.default_rng(episode).random((2, 3, size, size), np.float32)
            writer.write(episode, {"rgbd_0": images[0], "rgbd_1": images[1]}, seed=episode, driver="random")
    save_encoder(folder / "learned" / "encoder", DepthEncoder(16, 16))
    save_yaml(folder / "learned" / "config.yaml", PretrainConfig())
    bomb = pickle.dumps(Bomb())
    (folder / "bomb.pkl").write_bytes(bomb)
    (folder / "binary.yaml").write_bytes(b"\x80\x00\xff" * 100)
    (folder / "page.html").write_text("<!DOCTYPE html>\n<html><body>404: not found</body></html>\n")
    (folder / "pid.json").write_text('{"policies": {"pid": {"weights": null}}}')
    (folder / "odd.json").write_text('{"policies": {"a": 3}}')
    (folder / "discrete.yaml").write_text("env: {id: CartPole-v1}\n")
    (folder / "list.yaml").write_text("- total_steps: 3\n")
    (folder / "empty.yaml").write_text("")
    (folder / "twice.yaml").write_text("seed: 1\nseed: 2\n")
    (folder / "broken.yaml").write_text("env: {num_envs: 2\nseed: 1\n")
    (folder / "tag.yaml").write_text(f"seed: !!python/object/apply:os.system ['touch {CANARY}']\n")
    (folder / "alias.yaml").write_text("a: &a [1, 2]\nb: [*a, *a]\n")
    torch.save({"weights": torch.zeros(3)}, folder / "model.pt")
    with zipfile.ZipFile(folder / "model.zip", "w") as archive:
        archive.writestr("policy.pth", bomb)
    (folder / "pickles").mkdir()
    (folder / "pickles" / "policy.pkl").write_bytes(bomb)
    (folder / "only_config").mkdir()
    shutil.copy(folder / "run" / "config.yaml", folder / "only_config")
    (folder / "shipped" / "best").mkdir(parents=True)
    shutil.copy(folder / "run" / "config.yaml", folder / "shipped")
    return folder


@pytest.fixture
def cwd(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the world, and the working directory."""
    place = tmp_path / "world"
    shutil.copytree(world, place)
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def complaint(cwd: Path, capsys: pytest.CaptureFixture[str]) -> Complaint:
    """The sentence that a command line earns; checks that it is one, and that nothing on disk has changed."""

    def earned(arguments: list[str]) -> str:
        before = contents(cwd)
        capsys.readouterr()
        assert main(arguments) == 2
        written = capsys.readouterr().err
        assert written.startswith("error: ")
        assert written.count("\n") == 1
        assert "Traceback" not in written
        assert contents(cwd) == before
        assert not (cwd / CANARY).exists()
        return written

    return earned
