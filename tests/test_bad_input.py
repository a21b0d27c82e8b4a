"""Whatever the user gets wrong: one sentence, exit code 2, nothing changed on disk, nothing executed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from poise.cli import main
from poise.config import save_yaml
from poise.perception import DepthEncoder, ImageDatasetWriter, PretrainConfig, save_encoder

TINY = """
total_steps: 64
threads: 1
tensorboard: false
env: {num_envs: 2, options: {cameras: {enabled: false}, decimation: 5, terrain: {kind: flat, nodes: 9}}}
algorithm: {num_steps: 32}
policy: {actor: {hidden_sizes: [4]}, critic: {hidden_sizes: [4]}}
"""
SEES = "--env.options.cameras.enabled=true"
CANARY = "canary"


class _Bomb:
    """Leaves a file behind when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {CANARY}",)


@pytest.fixture(scope="module")
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
    bomb = pickle.dumps(_Bomb())
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


def contents(folder: Path) -> dict[str, str]:
    """Digest of every file below a folder; folders count too."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
    }


def complaint(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    """The sentence that a command line earns; checks that it is one, and that nothing on disk has changed."""
    before = contents(Path())
    capsys.readouterr()
    assert main(arguments) == 2
    written = capsys.readouterr().err
    assert written.startswith("error: ")
    assert written.count("\n") == 1
    assert "Traceback" not in written
    assert contents(Path()) == before
    assert not Path(CANARY).exists()
    return written


# --- what is written wrong on the command line or in a configuration ----------------------------------------------

TRAIN = ["train", "tiny.yaml", "--out", "new"]


class Case(NamedTuple):
    arguments: list[str]
    words: tuple[str, ...]


def train(*settings: str) -> list[str]:
    return [*TRAIN, *settings]


KEYS = [
    Case(train("--totl_steps", "5"), ("unknown key 'totl_steps'", "did you mean 'total_steps'?")),
    Case(train("--gamma", "0.9"), ("unknown key 'gamma'", "did you mean 'algorithm.gamma'?")),
    Case(train("--algorithm.gama", "0.9"), ("unknown key 'algorithm.gama'", "did you mean 'gamma'?")),
    Case(train("--policy.actor.hiden_sizes", "[8]"), ("'policy.actor.hiden_sizes'", "did you mean 'hidden_sizes'?")),
    Case(train("--algorithm.ewma.dekay", "0.9"), ("'algorithm.ewma.dekay'", "did you mean 'decay'?")),
    Case(train("--env.options.camera.enabled", "no"), ("unknown key 'camera'", "did you mean 'cameras'?")),
    Case(train("--env.options.terrain.noodes", "9"), ("unknown key 'terrain.noodes'", "did you mean 'nodes'?")),
    Case(train("--evaluation.options.rewards.efort", "0"), ("unknown key 'rewards.efort'", "did you mean 'effort'?")),
    Case(train("--reward_weights.faliure", "{values: [0, 1]}"), ("unknown key 'faliure'", "did you mean 'failure'?")),
    Case(train("--seed.x", "1"), ("seed must be a whole number",)),
    Case(train("--env..id", "x"), ("'env..id' is not a key",)),
]

VALUES = [
    Case(
        train("--policy.memory", "{}", "--algorithm.num_minibatches", "8"),
        ("algorithm.num_minibatches must be at most env.num_envs", "policy with memory", "got 8"),
    ),
    Case(train("--env.options.heights.size", "4"), ("heights.size must be odd", "got 4")),
    Case(train("--policy.encoders.vel.latent", "4"), ("policy.encoders.vel.latent", "did you mean 'latent_size'?")),
    Case(train("--policy.encoders.val", "{}"), ("policy.encoders has one for 'val'", "did you mean 'vel'?")),
    Case(
        train("--policy.estimator", "{observations: [orientation], targets: [val]}"),
        ("no component 'val'", "did you mean 'vel'?"),
    ),
    Case(
        train("--policy.estimator", "{observations: [], targets: [vel], use_actor_rnn: yes, replace_prob: 0.5}"),
        ("replace_prob must be 0 with use_actor_rnn",),
    ),
    Case(
        train("--policy.estimator", "{observations: [], targets: [vel], use_actor_rnn: yes}"),
        ("use_actor_rnn needs a policy with memory",),
    ),
    Case(train("--policy.memory.type", "rnn"), ("policy.memory.type", "'lstm' or 'gru'", "rnn")),
    Case(train("--policy.critic_observations", "[]"), ("policy.critic_observations", "at least one component")),
    Case(train("--env.options.terrain.nodes", "292"), ("terrain.nodes must be odd", "292")),
    Case(
        train("--algorithm.learning_rate", "fast"),
        ("settings: algorithm.learning_rate must be a number or a schedule {values: [...]}, got 'fast'",),
    ),
    Case(train("--algorithm.learning_rate", "{values: fast}"), ("settings: algorithm.learning_rate.values must be a",)),
    Case(train("--video.when", "often"), ("settings: video.when must be 'never'", "or a whole number, got 'often'")),
    Case(train("--algorithm.learning_rate", "-0.001"), ("algorithm.learning_rate must be at least 0", "-0.001")),
    Case(train("--algorithm.critic_learning_rate=-1"), ("algorithm.critic_learning_rate must be at least 0",)),
    Case(train("--algorithm.clip_range", "-0.2"), ("algorithm.clip_range must be at least 0", "-0.2")),
    Case(train("--algorithm.entropy_coef", "-1"), ("algorithm.entropy_coef must be at least 0", "-1")),
    Case(train("--algorithm.gamma", "2"), ("algorithm.gamma must be at most 1", "2")),
    Case(train("--algorithm.gamma", "nan"), ("algorithm.gamma must be a finite number", "nan")),
    Case(train("--policy.init_std", ".inf"), ("policy.init_std must be a finite number", "inf")),
    Case(train("--video.when", "-5"), ("video.when", "at least 1", "-5")),
    Case(train("--video.when", "new_best", "--evaluation.every", "0"), ("there would be no video",)),
    Case(train("--env.options.start.share", "1.5"), ("start.share must be at most 1", "1.5")),
    Case(train("--reward_weights.failure", "{values: [-1, 1]}"), ("failure must be at least 0", "-1")),
    Case(train("--reward_weights.top_speed", "{values: [0.3, 0]}"), ("top_speed must be greater than 0", "0")),
    Case(train("--env.num_envs", "0"), ("env.num_envs must be at least 1", "0")),
    Case(train("--env.num_envs", "true"), ("env.num_envs must be a whole number", "'true'")),
    Case(train("--env.num_envs", "2.5"), ("env.num_envs must be a whole number", "2.5")),
    Case(train("--total_steps", "many"), ("total_steps must be a whole number", "'many'")),
    Case(train("--seed", "-1"), ("seed must be at least 0", "-1")),
    Case(train("--seed", "1" * 30), ("seed must be", "1111")),
    Case(train("--env", "[1, 2]"), ("env must be a mapping", "[1, 2]")),
    Case(train("--policy.actor.hidden_sizes", "[8, 0]"), ("policy.actor.hidden_sizes", "positive")),
    Case(train("--policy.actor.activation", "rellu"), ("policy.actor.activation", "'rellu'", "did you mean 'relu'?")),
    Case(
        train("--algorithm.learning_rate", "{values: [1e-3, 1e-4], fractions: [0, 0]}"),
        ("algorithm.learning_rate", "increase", "[0.0, 0.0]"),
    ),
    Case(
        train("--algorithm.learning_rate", "{values: [1e-3], fractions: [0, 1]}"),
        ("algorithm.learning_rate", "values and fractions go in pairs"),
    ),
    Case(train("--algorithm.learning_rate", "{kind: cosine, values: [1, 1]}"), ("algorithm.learning_rate", "cosine")),
    Case(train("--algorithm.learning_rate", "{values: [1, -1]}"), ("algorithm.learning_rate", "-1")),
    Case(train("--algorithm.ewma.role", "both"), ("algorithm.ewma.role must be 'evaluation' or 'proximal'", "'both'")),
    Case(train("--algorithm.num_minibatches", "65"), ("algorithm.num_minibatches", "65", "64")),
    Case(train("--env.options.start.tilt", "120"), ("start.tilt must be less than 90", "120")),
    Case(train("--env.options.start.retry.share", "2"), ("start.retry.share must be at most 1", "2")),
    Case(train("--env.options.start.retry.longest", "0.1"), ("start.retry", "shortest (0.4) must not exceed longest")),
    Case(train("--env.options.cameras", "no"), ("cameras", "'no'")),
    Case(train("--env.options.goal.direction", "[0, 0]"), ("goal.direction must not be (0, 0)",)),
    Case(train("--policy.observations", "[orientation, veloc]"), ("holds no veloc", "which a policy", "motor_state")),
    Case(train("--policy.observations", "[]"), ("policy.observations",)),
    Case(train("--policy.observations", "[vel, vel]"), ("policy.observations", "vel")),
    Case(train(SEES), ("rgbd_0", "policy.encoder", "poise pretrain")),
    Case(train(SEES, "--policy.encoder", "encoder16"), ("(1, 16, 16)", "rgbd_0 has (1, 64, 64)")),
    Case(train(SEES, "--policy.encoder", "nowhere"), ("no encoder", "nowhere", "poise pretrain")),
    Case(train(SEES, "--policy.encoder", "bomb.pkl"), ("bomb.pkl is a file", "pickled models are never opened")),
    Case(train(SEES, "--policy.encoder", "images"), ("images", "encoder.json")),
    Case(train("--env.id", "poise/Balbot-v0"), ("unknown environment 'poise/Balbot-v0'", "'poise/Ballbot-v0'")),
    Case(
        train("--env.id", "Pendulum-v1"),
        ("the configuration's env.options", "no keyword arguments of 'Pendulum-v1': cameras, decimation, terrain; "),
    ),
    Case(train("--env.id", "Nope-v1"), ("unknown environment 'Nope-v1'\n",)),
    Case(train("--env.id", "Hoper-v1"), ("unknown environment 'Hoper-v1'; did you mean 'Hopper-v5'?",)),
    Case(train("--env.id", "FrozenLake-v1", "--env.options", "{}"), ("no policy for the observation",)),
    Case(train("--env.id", "nowhere:Robot-v0", "--env.options", "{}"), ("unknown environment 'nowhere:Robot-v0'",)),
    Case(train("--env.id", ":CartPole-v1", "--env.options", "{}"), ("the module '' of ':CartPole-v1'", "Empty module")),
    Case(train("--env.options.terrain.lacunarity", "1e30"), ("terrain.lacunarity must be at most 8", "1e+30")),
    Case(train("--env.options.terrain.scale", "1e-30"), ("terrain.scale must be at least 1", "1e-30")),
    Case(train("--algorithm.num_steps", f"{10**17}"), ("algorithm.num_steps must be at most 1e+06",)),
    Case(
        train("--algorithm.num_steps", f"{10**6}", "--env.num_envs", "4096"),
        ("not enough memory", "algorithm.num_steps"),
    ),
    Case(train("--policy.actor.hidden_sizes", f"[{10**24}]"), ("hidden_sizes must be positive widths", "65536")),
    Case(train("--policy.memory.hidden_size", f"{10**24}"), ("policy.memory.hidden_size must be at most 65536",)),
    Case(train("--evaluation.every", "32", "--evaluation.options.max_steps", "0"), ("max_steps must be at least 1",)),
    Case(train("--seed"), ("'--seed' needs a value",)),
    Case(train("--seed", "--total_steps", "5"), ("'--seed' needs a value",)),
]

FILES = [
    Case(["train", "missing.yaml"], ("missing.yaml does not exist", "YAML")),
    Case(["train", "run"], ("run is a folder", "YAML")),
    Case(["train", "binary.yaml"], ("binary.yaml is a binary file", "YAML")),
    Case(["train", "bomb.pkl"], ("bomb.pkl is a binary file",)),
    Case(["train", "model.pt"], ("model.pt is a binary file",)),
    Case(["train", "model.zip"], ("model.zip is a binary file",)),
    Case(["train", "page.html"], ("page.html",)),
    Case(["train", "list.yaml"], ("list.yaml: expected a mapping", "found a list")),
    Case(["train", "empty.yaml"], ("empty.yaml: expected a mapping", "found nothing")),
    Case(["train", "twice.yaml"], ("twice.yaml, line 2: duplicate key 'seed'",)),
    Case(["train", "broken.yaml"], ("broken.yaml, line 2",)),
    Case(["train", "tag.yaml"], ("tag.yaml, line 1", "python/object/apply:os.system")),
    Case(["train", "alias.yaml"], ("alias.yaml, line 2: the alias *a is not supported",)),
    Case(["train", "tiny.yaml", "--out", "run"], ("run already holds a run", "--resume run", "--out")),
    Case(["train", "tiny.yaml", "--out", "tiny.yaml"], ("tiny.yaml",)),
    Case(["train", "tiny.yaml", "--out", "tiny.yaml/deep"], ("cannot write tiny.yaml/deep", "not a directory")),
    Case(["train", "--resume", "nowhere"], ("nowhere is no run folder", "config.yaml")),
    Case(["train", "--resume", "shipped"], ("shipped holds a finished policy and no checkpoint",)),
    Case(["train", "--resume", "run", "--out", "new"], ("--resume", "leave '--out' away")),
    Case(
        ["train", "--resume", "run", "--seed", "3"],
        ("run was begun with other settings of seed", "poise train run/config.yaml --initial_policy run --out DIR"),
    ),
    Case(["train", "--resume", "."], (". is no run folder", "did you mean '", "'run'", "'shipped'")),
    Case(["train", "--resume", "shiped"], ("shiped is no run folder", "did you mean 'shipped'?")),
    Case(["train", "--resume", "learned"], ("learned is no run folder: its config.yaml is of something else",)),
    Case(["evaluate", "learned/encoder"], ("learned is no run folder: its config.yaml is of something else",)),
    Case(["evaluate", "tiny.yaml"], ("tiny.yaml is a configuration", "poise train tiny.yaml", "policy.mutex")),
    Case(["evaluate", "run/config.yaml"], ("run/config.yaml is a configuration", "name its run, run:")),
    Case(["evaluate", "shiped"], ("there is no policy 'shiped'; did you mean 'shipped'?",)),
    Case(["evaluate", "nowhere"], ("there is no policy 'nowhere'", "pid")),
    Case(["evaluate", "piid"], ("there is no policy 'piid'", "did you mean 'pid'?")),
    Case(["evaluate", "bomb.pkl"], ("bomb.pkl is a file", "pickled models are never loaded")),
    Case(["evaluate", "model.pt"], ("model.pt is a file", "pickled models are never loaded")),
    Case(["evaluate", "model.zip"], ("model.zip is a file",)),
    Case(["evaluate", "page.html"], ("page.html is a file",)),
    Case(["evaluate", "pickles"], ("pickles", "config.yaml")),
    Case(["evaluate", "encoder64"], ("encoder64", "config.yaml")),
    Case(["evaluate", "only_config"], ("only_config holds no policy",)),
    Case(["evaluate", "run", "--config", "missing.yaml"], ("missing.yaml does not exist",)),
    Case(["evaluate", "run", "--json", "missing/x.json"], ("missing", "folder")),
    Case(["evaluate", "run", "--json", "run"], ("run", "folder")),
    Case(["evaluate", "do-nothing", "--config", "discrete.yaml"], ("do-nothing needs continuous actions", "Discrete")),
    Case(["evaluate", "pid", "--config", "discrete.yaml"], ("drives ballbots only",)),
    Case(["play", "run", "--out", "x.avi"], ("x.avi", ".mp4")),
    Case(["play", "run", "--out", "missing/x.mp4"], ("missing", "folder")),
    Case(["play", "bomb.pkl"], ("bomb.pkl is a file",)),
    Case(["collect", "--out", "tiny.yaml"], ("tiny.yaml",)),
    Case(["collect", "--out", "images", "--height", "32", "--episodes", "2"], ("images holds images of 16x16",)),
    Case(["pretrain", "nowhere"], ("nowhere holds no depth images", "poise collect")),
    Case(["pretrain", "bomb.pkl"], ("bomb.pkl", "poise collect")),
    Case(["pretrain", "pickles"], ("pickles holds no depth images",)),
    Case(["pretrain", "images", "--out", "tiny.yaml"], ("tiny.yaml",)),
    Case(["pretrain", "images", "--out", "learned"], ("learned already holds an encoder", "--out")),
    Case(["pretrain", "images", "--out", "encoder64"], ("encoder64 already holds an encoder", "--out")),
    Case(["pretrain", "images", "--out", "run"], ("run is not an empty folder", "--out")),
    Case(["pretrain", "odd"], ("the height of depth images must be a positive multiple of 4, got 18",)),
    Case(["motion", "tiny.yaml", "--out", "run"], ("cannot write run: it is a folder; name a file",)),
    Case(["motion", "tiny.yaml", "--out", "tiny.yaml/deep/x"], ("cannot write tiny.yaml/deep/x",)),
    Case(["plot", "nowhere"], ("nowhere",)),
    Case(["plot", "run", "pickles"], ("pickles",)),
    Case(["plot", "run", "--out", "curves.doc"], ("curves.doc",)),
    Case(["report", "nowhere"], ("nowhere",)),
    Case(["report", "pickles"], ("pickles",)),
    Case(["report", "run", "--evaluation", "missing.json"], ("cannot read missing.json",)),
    Case(["report", "run", "--evaluation", "bomb.pkl"], ("bomb.pkl is no evaluation", "poise evaluate --json")),
    Case(["report", "run", "--evaluation", "images/dataset.json"], ("dataset.json is no evaluation",)),
    Case(["report", "run", "--evaluation", "odd.json"], ("odd.json is no evaluation",)),
    Case(["report", "run", "--evaluation", "pid.json"], ("pid.json tells of pid, not of the policy that run holds",)),
    Case(["report", "run", "--out", "page.pdf"], ("page.pdf must end in .html",)),
    Case(["demo", "--config", "missing.yaml", "--out", "new"], ("missing.yaml does not exist",)),
    Case(["demo", "--config", "tiny.yaml", "--out", "images"], ("images", "--out")),
    Case(["demo", "--config", "tiny.yaml", "--out", "bomb.pkl"], ("bomb.pkl", "--out")),
]

OPTIONS = [
    Case(["trian", "tiny.yaml"], ("unknown verb 'trian'", "did you mean 'train'?")),
    Case(["fly"], ("unknown verb 'fly'", "train", "evaluate")),
    Case(["--verbose"], ("unknown option '--verbose'",)),
    Case(["train"], ("CONFIG", "--resume")),
    Case(["train", "tiny.yaml", "--ouut", "new"], ("unknown option '--ouut'", "did you mean '--out'?")),
    Case(["train", "tiny.yaml", "other.yaml"], ("unknown argument 'other.yaml'",)),
    Case(["train", "tiny.yaml", "--out"], ("--out", "expected one argument")),
    Case(["evaluate"], ("POLICY", "--help")),
    Case(["evaluate", "run", "--episods", "5"], ("unknown option '--episods'", "did you mean '--episodes'?")),
    Case(["evaluate", "pid", "--algorithm.gamma", "1"], ("unknown setting 'algorithm.gamma'", "'env.options.'")),
    Case(["evaluate", "pid", "--env.options.terrain.hight", "1"], ("terrain.hight", "'height'")),
    Case(["play", "pid", "--env.options.decimation", "0"], ("decimation must be at least 1, got 0",)),
    Case(["evaluate", "run", "--episodes", "0"], ("--episodes", "at least 1", "'0'")),
    Case(["evaluate", "run", "--episodes", "some"], ("--episodes", "whole number", "'some'")),
    Case(["evaluate", "run", "--seed", "-1"], ("--seed", "at least 0", "'-1'")),
    Case(["play", "run", "--seconds", "nan"], ("--seconds", "above 0", "'nan'")),
    Case(["play", "run", "--seconds", "0"], ("--seconds", "above 0", "'0'")),
    Case(["collect", "--episodes", "0"], ("poise collect: episodes must be at least", "0")),
    Case(["collect", "--robots", "0"], ("poise collect: robots must be at least 1", "0")),
    Case(["collect", "--seconds", "0.001"], ("seconds must be at least 0.01", "one decision", "0.001")),
    Case(["collect", "--height", "18"], ("height must be a multiple of 4", "18")),
    Case(["collect", "--driver", "pdi"], ("driver", "'pdi'", "did you mean 'pid'?")),
    Case(["collect", "--terrain.nodes", "10"], ("terrain.nodes must be odd", "10")),
    Case(["pretrain", "images", "--epochs", "0"], ("poise pretrain: epochs must be at least 1", "0")),
    Case(["pretrain", "images", "--lerning_rate", "1"], ("'lerning_rate'", "did you mean 'learning_rate'?")),
    Case(["plot"], ("RUN",)),
    Case(["info", "more"], ("unknown argument 'more'",)),
]


@pytest.mark.usefixtures("cwd")
@pytest.mark.parametrize("case", [*KEYS, *VALUES, *FILES, *OPTIONS], ids=lambda case: " ".join(case.arguments)[:60])
def test_one_sentence_that_names_the_culprit(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    sentence = complaint(capsys, case.arguments)
    for words in case.words:
        assert words in sentence


# --- what has happened to files -----------------------------------------------------------------------------------


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
        (another_architecture, "evaluate", ("belong to another architecture", "actor")),
        (another_architecture, "resume", ("does not fit this configuration",)),
        (another_number_of_robots, "resume", ("does not fit this configuration",)),
        (misspell_configuration, "evaluate", ("config.yaml: unknown key 'algorithm.gama'", "did you mean 'gamma'?")),
        (misspell_configuration, "resume", ("config.yaml: unknown key 'algorithm.gama'",)),
        (damage_progress, "resume", ("progress.csv is damaged at line 3",)),
        (damage_progress, "plot", ("progress.csv is damaged at line 3",)),
    ],
)
def test_a_damaged_run(
    damage: Callable[[], None], verb: str, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    damage()
    arguments = {"evaluate": ["evaluate", "run"], "resume": ["train", "--resume", "run"], "plot": ["plot", "run"]}
    sentence = complaint(capsys, arguments[verb])
    for word in words:
        assert word in sentence


@pytest.mark.usefixtures("cwd")
@pytest.mark.parametrize("damage", [truncate_arrays, flip_a_bit, replace_arrays_by_pickle, use_newer_format])
def test_a_damaged_checkpoint_named_itself(damage: Callable[[], None], capsys: pytest.CaptureFixture[str]) -> None:
    damage()
    assert checkpoint().name in complaint(capsys, ["evaluate", str(checkpoint())])


@pytest.mark.usefixtures("cwd")
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("encoder64/encoder.json", b"{", ("encoder.json is damaged",)),
        ("encoder64/encoder.json", b"[]", ("encoder.json is damaged",)),
        ("encoder64/encoder.json", b'{"architecture": "resnet"}', ("architecture 'resnet'",)),
        ("encoder64/encoder.safetensors", b"", ("encoder.safetensors is damaged",)),
        ("encoder64/encoder.safetensors", pickle.dumps(_Bomb()), ("damaged", "pickled models are never opened")),
    ],
)
def test_a_damaged_encoder(
    name: str, content: bytes, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    Path(name).write_bytes(content)
    sentence = complaint(capsys, train(SEES, "--policy.encoder", "encoder64"))
    for word in words:
        assert word in sentence


@pytest.mark.usefixtures("cwd")
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("images/dataset.json", b"{", ("dataset.json is damaged",)),
        ("images/dataset.json", b"[]", ("dataset.json", "mapping")),
        ("images/dataset.json", b'{"cameras": []}', ("dataset.json", "cameras")),
        ("images/images/episode_000000.npz", pickle.dumps(_Bomb()), ("damaged",)),
        ("images/images/episode_000001.npz", b"", ("damaged",)),
    ],
)
@pytest.mark.filterwarnings("ignore:left out")
def test_a_damaged_dataset(
    name: str, content: bytes, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    Path(name).write_bytes(content)
    sentence = complaint(capsys, ["pretrain", "images", "--out", "new"])
    for word in words:
        assert word in sentence


@pytest.mark.usefixtures("cwd")
@pytest.mark.parametrize("content", ["{", "[]", '{"stages": 3, "config": {}}'])
def test_a_damaged_demo(content: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("demo").mkdir()
    Path("demo/demo.json").write_text(content)
    assert "demo.json is damaged" in complaint(capsys, ["demo", "--config", "tiny.yaml", "--out", "demo"])


@pytest.mark.usefixtures("cwd")
def test_a_demo_of_other_settings(capsys: pytest.CaptureFixture[str]) -> None:
    Path("demo").mkdir()
    Path("demo/demo.json").write_text('{"stages": {}, "config": {"seed": 5}}')
    assert "demo holds a demo of other settings" in complaint(
        capsys, ["demo", "--config", "tiny.yaml", "--out", "demo"]
    )


# --- the disk -----------------------------------------------------------------------------------------------------


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


# --- as a user's shell sees it ------------------------------------------------------------------------------------


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
