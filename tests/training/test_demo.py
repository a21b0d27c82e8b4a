"""The demo: six stages, each done once, whatever interrupts it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from poise.training import demo as module
from poise.training.demo import Scale, run_demo
from poise.training.seeds import EVALUATION_SEED

TINY = """
total_steps: 512
threads: 1
tensorboard: false
env: {num_envs: 4, options: {decimation: 5, terrain: {nodes: 33}, cameras: {height: 16, width: 16}}}
algorithm: {num_steps: 32}
policy: {actor: {hidden_sizes: [4]}, critic: {hidden_sizes: [4]}}
"""
SCALE = Scale(image_episodes=4, epochs=1, training_steps=256, evaluation_episodes=2, video_seconds=0.1)
STAGES = ["collect", "pretrain", "train", "evaluate", "video", "report"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_from_images_to_report_with_an_interruption(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"
    with monkeypatch.context() as patch:
        patch.setattr(module, "_evaluate", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_demo(out, config, SCALE)
    stages = json.loads((out / "demo.json").read_text())["stages"]
    assert [(name, stages[name]["done"]) for name in stages] == [
        ("collect", True),
        ("pretrain", True),
        ("train", True),
        ("evaluate", False),
    ]

    weights = next((out / "run" / "checkpoints").iterdir()) / "arrays.safetensors"
    before = weights.stat().st_mtime_ns
    capsys.readouterr()
    run_demo(out, config, SCALE)
    told = capsys.readouterr().out
    assert weights.stat().st_mtime_ns == before
    assert all(f"{name}: done before" in told for name in STAGES[:3])
    assert not any(f"{name}: done before" in told for name in STAGES[3:])
    assert f"  video   {out}/video.mp4\n  report  {out}/report.html\n" in told
    assert told.rstrip().splitlines()[-1] == f"  poise evaluate {out}/run"

    written = json.loads((out / "demo.json").read_text())
    assert list(written["stages"]) == STAGES
    assert written["seconds"] == pytest.approx(sum(stage["seconds"] for stage in written["stages"].values()), abs=0.1)
    assert written["stages"]["train"]["steps"] == 256
    evaluation = json.loads((out / "evaluation.json").read_text())["policies"]
    assert list(evaluation) == ["trained", "do-nothing", "random", "pid", "lqr"]
    for name, policy in evaluation.items():
        assert policy["summary"]["return"]["mean"] == pytest.approx(np.mean(policy["episodes"]["returns"]))
        assert written["stages"]["evaluate"][name] == policy["summary"]
    assert (out / "video.mp4").read_bytes()[4:8] == b"ftyp"
    returns = evaluation["trained"]["episodes"]["returns"]
    filmed = returns.index(max(returns)) + EVALUATION_SEED  # of two, the upper one
    assert written["stages"]["video"]["seed"] == filmed
    assert f"seed {filmed}: return" in told
    assert f"the episode of median return, seed {filmed}" in (out / "report.html").read_text()


def test_training_goes_on_where_it_was_stopped(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "demo"
    with monkeypatch.context() as patch:
        patch.setattr("poise.training.runner.Runner.train", lambda runner: runner.stop("interrupted") or "interrupted")
        with pytest.raises(KeyboardInterrupt):
            run_demo(out, config, SCALE)
    assert not json.loads((out / "demo.json").read_text())["stages"]["train"]["done"]
    with monkeypatch.context() as patch:
        patch.setattr(module, "_evaluate", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_demo(out, config, SCALE)
    assert json.loads((out / "demo.json").read_text())["stages"]["train"]["steps"] == 256
