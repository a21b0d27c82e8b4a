import sys
import time
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import pytest
import torch

from poise.training.callbacks import EvaluationCallback
from poise.training.checkpoint import load_checkpoint
from poise.training.config import RunConfig
from poise.training.logging import read_progress
from poise.training.runs import resume_run, start_run
from poise.training.video_callback import VideoCallback

COPY = (sys.executable, "-c", "import shutil, sys; shutil.copy(sys.argv[1] + '/state.json', sys.argv[2])")
FAIL = (sys.executable, "-c", "import sys; sys.exit('paper jam')")
SLEEP = (sys.executable, "-c", "import time; time.sleep(60)")


class Standin:
    """What a callback sees of a runner."""

    def __init__(self, folder: Path, when: Any = 10) -> None:
        self.folder = folder
        self.step = 0
        self.config = RunConfig(video={"when": when}, evaluation={"every": 1})  # type: ignore[arg-type]
        self.acting_policy = torch.nn.Linear(1, 1)
        self.evaluation = EvaluationCallback()
        self.callbacks = [self.evaluation]
        self.stop_reason: str | None = None
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)

    def advance(self, callback: VideoCallback, steps: int) -> None:
        before, self.step = self.step, self.step + steps
        callback.on_iteration(self, before)  # type: ignore[arg-type]

    def end(self, callback: VideoCallback) -> None:
        callback.on_end(self)  # type: ignore[arg-type]


def _videos(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "videos").glob("*")) if (folder / "videos").exists() else []


def test_a_video_every_so_many_steps(tmp_path: Path) -> None:
    runner, callback = Standin(tmp_path), VideoCallback(COPY)
    for _ in range(4):
        runner.advance(callback, 6)  # 6, 12, 18, 24: the tens are passed at 12 and 24
        runner.end(callback)
    assert _videos(tmp_path) == ["step_000000012.mp4", "step_000000024.mp4"]  # and neither snapshot nor log
    assert '"step"' in (tmp_path / "videos" / "step_000000012.mp4").read_text()


@pytest.mark.parametrize(("when", "expected"), [("never", ""), ("evaluation", "abc"), ("new_best", "b")])
def test_videos_of_evaluations(tmp_path: Path, when: str, expected: str) -> None:
    for name, new_best in (("a", False), ("b", True), ("c", False)):
        runner, callback = Standin(tmp_path / name, when), VideoCallback(COPY)
        runner.advance(callback, 1)  # without an evaluation there is no video
        runner.evaluation.is_fresh, runner.evaluation.is_new_best = True, new_best
        runner.advance(callback, 1)
        runner.end(callback)
        assert _videos(tmp_path / name) == (["step_000000002.mp4"] if name in expected else [])


def test_one_works_and_the_latest_waits(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    script = f"import os, sys, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)\nopen(sys.argv[2], 'w')"
    runner, callback = Standin(tmp_path), VideoCallback((sys.executable, "-c", script))
    began = time.monotonic()
    for _ in range(5):
        runner.advance(callback, 10)
    assert time.monotonic() - began < 5.0  # nobody waited for the gate
    waiting = {path.name for path in (tmp_path / "videos" / ".pending").iterdir()}
    assert waiting == {"step_000000010", "step_000000050"}
    gate.touch()
    runner.end(callback)
    assert _videos(tmp_path) == ["step_000000010.mp4", "step_000000050.mp4"]


def test_failures_are_said_once_and_logged(tmp_path: Path) -> None:
    runner, callback = Standin(tmp_path), VideoCallback(FAIL)
    for _ in range(2):
        runner.advance(callback, 10)
        runner.end(callback)
    assert _videos(tmp_path) == ["video.log"]
    assert (tmp_path / "videos" / "video.log").read_text().count("paper jam") == 2
    warnings = [line for line in runner.said if line.startswith("warning")]
    assert len(warnings) == 1
    assert "step_000000010.mp4 could not be made" in warnings[0]
    assert "video.log says why" in warnings[0]


def test_what_cannot_start_or_be_saved_is_a_warning(tmp_path: Path) -> None:
    runner, callback = Standin(tmp_path / "a"), VideoCallback(("/nowhere/python",))
    runner.advance(callback, 10)
    runner.end(callback)
    assert len(runner.said) == 1
    assert "no video" in runner.said[0]
    (tmp_path / "b").touch()  # no folder can be made in a file
    blocked = Standin(tmp_path / "b")
    blocked.advance(callback := VideoCallback(COPY), 10)
    blocked.end(callback)
    assert len(blocked.said) == 1


@pytest.mark.parametrize("reason", ["interrupted", None])
def test_the_end_waits_only_so_long_and_not_at_all_after_ctrl_c(tmp_path: Path, reason: str | None) -> None:
    runner, callback = Standin(tmp_path), VideoCallback(SLEEP, patience=0.2)
    runner.advance(callback, 10)
    runner.advance(callback, 10)
    process = callback._process
    assert process is not None
    runner.stop_reason = reason
    began = time.monotonic()
    runner.end(callback)
    assert time.monotonic() - began < 10.0
    assert process.poll() is not None  # gone, and collected
    assert _videos(tmp_path) == ["video.log"]
    assert any("is given up" in line for line in runner.said) == (reason is None)


def _config(when: Any = "never") -> RunConfig:
    return RunConfig(
        total_steps=64,
        threads=1,
        env={"num_envs": 2, "options": {"cameras": {"enabled": False}, "decimation": 5}},  # type: ignore[arg-type]
        policy={"actor": {"hidden_sizes": (8,)}, "critic": {"hidden_sizes": (8,)}},  # type: ignore[arg-type]
        algorithm={"num_steps": 16, "num_minibatches": 2, "num_epochs": 1},  # type: ignore[arg-type]
        video={"when": when, "seconds": 0.2},  # type: ignore[arg-type]
        tensorboard=False,
    )


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(folder / "checkpoints" / "step_000000064")["algorithm"]["policy"]  # type: ignore[no-any-return]


def test_a_run_with_videos_is_the_run_without(tmp_path: Path) -> None:
    start_run(_config(), tmp_path / "without").train()
    start_run(_config(when=64), tmp_path / "with").train()
    video = tmp_path / "with" / "videos" / "step_000000064.mp4"
    assert _videos(tmp_path / "with") == [video.name]
    assert iio.imread(video).shape == (5, 480, 640, 3)  # 0.2 s at 25 a second
    expected, found = _weights(tmp_path / "without"), _weights(tmp_path / "with")
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_wall_time_goes_on_where_it_stopped(tmp_path: Path) -> None:
    config = _config()
    runner = start_run(config, tmp_path / "run")
    runner.config = config.model_copy(update={"total_steps": 32})
    runner.train()
    first = read_progress(tmp_path / "run")["time/seconds"]
    resume_run(tmp_path / "run").train()
    table = read_progress(tmp_path / "run")
    assert len(table["time/seconds"]) == 2
    assert 0 < first[-1] == table["time/seconds"][0] < table["time/seconds"][1]
    assert (table["time/steps_per_second"] > 0).all()
