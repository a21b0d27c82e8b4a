"""Reference motions: recorded from the LQR, kept by the run that imitates them, refused where they do not fit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from poise.algorithms import ReferenceMotion
from poise.cli import main
from poise.config import parse, save_yaml
from poise.errors import InvalidValueError, PoiseError
from poise.training.checkpoint import latest_checkpoint, load_checkpoint
from poise.training.config import EnvConfig, RunConfig
from poise.training.motion import MotionConfig, record_motion
from poise.training.runs import resume_run, start_run

SMALL = {"hidden_sizes": [16]}
OPTIONS = {
    "cameras": {"enabled": False},
    "terrain": {"nodes": 33},
    "decimation": 10,
    "frame": "heading",
    "goal": {"observed": True},
    "max_steps": 100,
}
STYLE = {"observations": ["vel"], "hidden_sizes": [8]}
QUICK = {"episodes": 4, "seconds": 3.0}


def env(**options: Any) -> EnvConfig:
    return parse(EnvConfig, {"num_envs": 4, "options": OPTIONS | options})


def style(motion: Path, **options: Any) -> RunConfig:
    whole = {
        "tensorboard": False,
        "threads": 1,
        "total_steps": 320,
        "env": env(**options).model_dump(),
        "policy": {
            "actor": SMALL,
            "critic": SMALL,
            "amp_discriminator": {"observations": ["vel"], "hidden_sizes": [8]},
        },
        "algorithm": {
            "name": "amp",
            "motion": str(motion),
            "num_steps": 16,
            "discriminator": {"num_steps": 2, "batch_size": 16},
        },
        "checkpoint": {"every": 128},
    }
    return parse(RunConfig, whole)


@pytest.fixture(scope="module")
def motion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("motion") / "m.safetensors"
    record_motion(parse(MotionConfig, QUICK), env()).save(path)
    return path


def test_a_motion_is_what_the_robots_sensed(motion: Path) -> None:
    recorded = ReferenceMotion.load(motion)
    assert recorded.control_step == pytest.approx(0.02)
    assert recorded.frame == "heading"
    assert recorded.starts.sum() == 4
    assert recorded.states["vel"].shape == (4 * 150, 3)
    before, after = recorded.pairs()
    assert len(before["vel"]) == 4 * 149
    velocity = recorded.states["vel"].reshape(4, 150, 3)[:, 75:]
    goal = recorded.states["goal"].reshape(4, 150, 2)[:, 75:]
    assert (velocity[..., :2] * goal).sum(-1).mean() == pytest.approx(0.15, abs=0.04)
    np.testing.assert_array_equal(before["vel"][1:149].numpy(), after["vel"][:148].numpy())


def test_the_command_writes_it_with_settings_of_the_environment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_yaml(tmp_path / "c.yaml", parse(RunConfig, {"env": env().model_dump()}))
    out = tmp_path / "runs" / "m"
    asked = ["--episodes", "2", "--seconds", "1.0", "--env.options.decimation", "5"]
    assert main(["motion", str(tmp_path / "c.yaml"), "--out", str(out), *asked]) == 0
    said = capsys.readouterr().out
    assert "200 moments of 2 episodes" in said
    assert "next: poise train" in said
    assert ReferenceMotion.load(out).control_step == pytest.approx(0.01)


def test_a_run_keeps_the_motion_and_goes_on_without_the_original(motion: Path, tmp_path: Path) -> None:
    start_run(style(motion), tmp_path / "straight").train()
    borrowed = tmp_path / "borrowed"
    borrowed.write_bytes(motion.read_bytes())
    config = style(borrowed)
    runner = start_run(config, tmp_path / "run")
    runner.config = config.model_copy(update={"stop_at": 128})
    runner.train()
    borrowed.unlink()
    resume_run(tmp_path / "run").train()
    states = []
    for run in ("run", "straight"):
        checkpoint = latest_checkpoint(tmp_path / run)
        assert checkpoint is not None
        states.append(load_checkpoint(checkpoint)["algorithm"])
    for part in ("policy", "replay"):
        for name, value in states[0][part].items():
            assert torch.equal(value, states[1][part][name]), name


def test_a_motion_that_does_not_fit_is_refused(motion: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="recorded every 20 ms .* tells every 10 ms"):
        start_run(style(motion, decimation=5), tmp_path / "a")
    with pytest.raises(InvalidValueError, match="in the frame 'heading' .* in the frame 'world'"):
        start_run(style(motion, frame="world"), tmp_path / "b")
    with pytest.raises(InvalidValueError, match="as rotation_vector, but .* as euler"):
        start_run(style(motion, orientation="euler"), tmp_path / "b")
    short = ReferenceMotion({"vel": np.zeros((2, 3), np.float32)}, np.ones(2, np.bool_))
    short.save(tmp_path / "short")
    with pytest.raises(InvalidValueError, match="no moment that follows another"):
        start_run(style(tmp_path / "short"), tmp_path / "c")
    with pytest.raises(InvalidValueError, match="is trained by algorithm.name 'amp' only"):
        parse(RunConfig, {"policy": {"amp_discriminator": {"observations": ["vel"]}}})


def test_what_cannot_be_recorded_says_why() -> None:
    with pytest.raises(InvalidValueError, match="of ballbots, and 'CartPole-v1' is another"):
        record_motion(parse(MotionConfig, QUICK), parse(EnvConfig, {"id": "CartPole-v1"}))
    with pytest.raises(PoiseError, match="the robot fell after .* ask for less speed"):
        record_motion(parse(MotionConfig, QUICK | {"speed": 0.2, "weave": 1.0, "frequency": 1.0}), env())
    with pytest.raises(PoiseError, match="the robot left the map after"):
        record_motion(parse(MotionConfig, QUICK), env(terrain={"nodes": 33, "half_size": 0.2}))
