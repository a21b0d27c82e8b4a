"""A teacher that is told the ground, a student with cameras: two runs, one after the other, as a user has them."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from poise.algorithms import PPOConfig
from poise.config import parse
from poise.errors import InvalidValueError, MissingFileError
from poise.perception.autoencoder import TinyAutoencoder
from poise.perception.encoder_files import save_encoder
from poise.training.callbacks import Callback
from poise.training.checkpoint import latest_checkpoint, load_checkpoint
from poise.training.config import RunConfig
from poise.training.runner import Runner
from poise.training.runs import resume_run, start_run
from poise.training.trained import load_policy

SMALL = {"hidden_sizes": [16]}
OPTIONS = {"terrain": {"nodes": 33}, "decimation": 4, "max_steps": 80, "heights": {"enabled": True, "size": 3}}
CAMERAS = {"cameras": {"height": 16, "width": 16, "rate": 40.0}}
FELT = ["orientation", "angular_vel", "vel"]


def run_config(options: dict[str, Any], policy: dict[str, Any], algorithm: dict[str, Any], **more: Any) -> RunConfig:
    whole = {
        "tensorboard": False,
        "threads": 1,
        "total_steps": 320,
        "env": {"num_envs": 4, "options": OPTIONS | options},
        "policy": {"actor": SMALL, "critic": SMALL, **policy},
        "algorithm": {"num_steps": 16, "num_minibatches": 2, **algorithm},
        "checkpoint": {"every": 128},
        **more,
    }
    return parse(RunConfig, whole)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    config = run_config({"cameras": {"enabled": False}}, {}, {})  # sees everything there is, heights included
    start_run(config, folder / "run").train()
    return folder / "run"


def student_config(teacher: Path, folder: Path, **more: Any) -> RunConfig:
    torch.manual_seed(3)
    save_encoder(folder / "encoder", TinyAutoencoder(16, 16, 1, 4).encoder)
    policy = {"encoder": str(folder / "encoder"), "observations": [*FELT, "rgbd_0", "rgbd_1"], "memory": {}}
    algorithm = {"name": "distillation", "teacher": str(teacher), "teacher_share": 0.5, "learning_rate": 3e-3}
    return run_config(CAMERAS, policy, algorithm, evaluation={"every": 160, "episodes": 2}, **more)


def outcome(run: Path) -> dict[str, Any]:
    checkpoint = latest_checkpoint(run)
    assert checkpoint is not None
    return load_checkpoint(checkpoint)["algorithm"]


def test_the_student_learns_and_needs_no_teacher_afterwards(teacher: Path, tmp_path: Path) -> None:
    runner = start_run(student_config(teacher, tmp_path), tmp_path / "run")
    before = runner.algorithm.policy.actor.model[0].weight.clone()
    runner.train()
    assert not torch.equal(runner.algorithm.policy.actor.model[0].weight, before)
    told = (tmp_path / "run" / "progress.csv").read_text().splitlines()[0]
    assert "update/imitation_loss" in told
    assert "update/teacher_share" in told
    shutil.rmtree(tmp_path / "run" / "teacher")
    trained = load_policy(tmp_path / "run")
    assert trained.components == (*FELT, "rgbd_0", "rgbd_1")


def test_it_goes_on_bit_for_bit_when_the_teachers_run_is_gone(teacher: Path, tmp_path: Path) -> None:
    start_run(student_config(teacher, tmp_path), tmp_path / "straight").train()
    moved = tmp_path / "moved"
    shutil.copytree(teacher, moved)
    config = student_config(moved, tmp_path)
    runner = start_run(config, tmp_path / "run")
    runner.config = config.model_copy(update={"stop_at": 128})
    runner.train()
    shutil.rmtree(moved)
    resume_run(tmp_path / "run").train()
    one, other = outcome(tmp_path / "run"), outcome(tmp_path / "straight")
    for part in ("policy", "teacher_states", "hidden_states"):
        assert one[part].keys() == other[part].keys()
        assert all(torch.equal(torch.as_tensor(one[part][k]), torch.as_tensor(other[part][k])) for k in one[part])


def test_a_teacher_that_cannot_be(teacher: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="algorithm.teacher names .*nowhere, which does not exist"):
        start_run(student_config(tmp_path / "nowhere", tmp_path), tmp_path / "a")
    blind = student_config(teacher, tmp_path)
    options = blind.env.options | {"heights": {"enabled": False}}
    blind = blind.model_copy(update={"env": blind.env.model_copy(update={"options": options})})
    with pytest.raises(
        InvalidValueError,
        match="holds no 'heights', which a policy or a teacher",
    ):
        start_run(blind, tmp_path / "b")
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "b").exists()


def test_a_teacher_that_would_misread_what_it_is_shown_is_refused(teacher: Path, tmp_path: Path) -> None:
    config = student_config(teacher, tmp_path)
    for changed, words in (
        ({"decimation": 8}, "the teacher decides every 8 ms, but the environment wants a decision every 16 ms"),
        ({"frame": "heading"}, "the teacher was trained with env.options.frame 'world'"),
        ({"action_increment": 0.5}, "the teacher and the environment differ in what actions do"),
    ):
        env = config.env.model_copy(update={"options": config.env.options | changed})
        with pytest.raises(InvalidValueError, match=words):
            start_run(config.model_copy(update={"env": env}), tmp_path / "run")
    seeing = student_config(teacher, tmp_path)
    seeing = seeing.model_copy(update={"algorithm": parse(PPOConfig, {"num_steps": 16}), "total_steps": 64})
    start_run(seeing, tmp_path / "sees").train()
    torch.manual_seed(9)
    save_encoder(tmp_path / "other", TinyAutoencoder(16, 16, 1, 4).encoder)
    pupil = student_config(tmp_path / "sees", tmp_path)
    pupil = pupil.model_copy(update={"policy": pupil.policy.model_copy(update={"encoder": str(tmp_path / "other")})})
    with pytest.raises(InvalidValueError, match="the student and the teacher see through different encoders"):
        start_run(pupil, tmp_path / "pupil")


def test_it_resumes_bit_for_bit_where_worlds_cannot_be_saved(tmp_path: Path) -> None:
    cart = {
        "env": {"id": "CartPole-v1", "num_envs": 4},
        "tensorboard": False,
        "policy": {"actor": SMALL, "critic": SMALL},
    }
    short = {"total_steps": 64, "algorithm": {"num_steps": 16}}
    start_run(parse(RunConfig, cart | short), tmp_path / "teacher").train()
    learns = {"name": "distillation", "teacher": str(tmp_path / "teacher"), "teacher_share": 0.5, "num_steps": 16}
    config = parse(RunConfig, cart | {"total_steps": 320, "algorithm": learns, "checkpoint": {"every": 128}})
    start_run(config, tmp_path / "straight").train()
    runner = start_run(config, tmp_path / "run", [Unplugged()])
    with pytest.raises(ConnectionError):
        runner.train()
    resume_run(tmp_path / "run").train()
    one, other = outcome(tmp_path / "run"), outcome(tmp_path / "straight")
    assert torch.equal(one["teacher_acts"], other["teacher_acts"])
    assert all(torch.equal(value, other["policy"][name]) for name, value in one["policy"].items())


class Unplugged(Callback):
    """A crash, after the first checkpoint."""

    def on_iteration(self, runner: Runner, before: int) -> None:
        if runner.step == 192:
            raise ConnectionError


def test_an_unknown_algorithm_is_named() -> None:
    with pytest.raises(InvalidValueError, match=r"algorithm.name must be one of 'ppo', 'amp', 'distill"):
        run_config({}, {}, {"name": "pro"})
    with pytest.raises(InvalidValueError, match="missing key 'algorithm.teacher'"):
        run_config({}, {}, {"name": "distillation"})
    with pytest.raises(InvalidValueError, match=r"unknown key 'algorithm.clip_range', .* Known keys: (?!.*clip_range)"):
        run_config({}, {}, {"name": "distillation", "teacher": "x", "clip_range": 0.2})
    with pytest.raises(InvalidValueError, match="teacher_share must be between 0 and 1, got 2"):
        run_config({}, {}, {"name": "distillation", "teacher": "x", "teacher_share": 2.0})
