"""A run that was interrupted must end where an uninterrupted one does, bit for bit."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from poise.algorithms.parallel import LEAST_ROWS
from poise.config import parse, save_yaml
from poise.perception.autoencoder import TinyAutoencoder
from poise.perception.encoder_files import save_encoder
from poise.training.callbacks import INTERRUPTED, Callback
from poise.training.checkpoint import latest_checkpoint, load_checkpoint
from poise.training.config import RunConfig
from poise.training.runner import Runner
from poise.training.runs import resume_run, start_run

SMALL = {"hidden_sizes": [16]}
TRAINING: dict[str, Any] = {
    "tensorboard": False,
    "threads": 1,
    "policy": {"actor": SMALL, "critic": SMALL},
    "algorithm": {"num_steps": 8, "num_epochs": 2, "num_minibatches": 2, "adaptive_kl": {}, "ewma": {}},
}
CARTPOLE = TRAINING | {  # minibatches large enough for two threads to share
    "total_steps": 20 * LEAST_ROWS,
    "env": {"id": "CartPole-v1", "num_envs": 4},
    "algorithm": TRAINING["algorithm"] | {"num_steps": LEAST_ROWS // 2, "num_minibatches": 1},
    "evaluation": {"every": 4 * LEAST_ROWS, "episodes": 3},
    "checkpoint": {"every": 4 * LEAST_ROWS},
}
BALLBOT_OPTIONS = {
    "cameras": {"height": 16, "width": 16, "rate": 40.0},
    "noise": {"orientation": 0.01, "vel": 0.05, "depth": 0.01},
    "pushes": {"speed": 0.3, "interval": 0.1},
    "goal": {"kind": "sampled"},
    "start": {
        "tilt": 3.0,
        "yaw": 180.0,
        "speed": 0.1,
        "share": 0.5,
        "retry": {"share": 0.8, "shortest": 0.02, "longest": 0.1},
    },
    "terrain": {"nodes": 65},
    "latency": 2,
    "decimation": 4,
    "max_tilt": 6.0,
    "max_steps": 160,
}


def ballbot(folder: Path) -> dict[str, Any]:
    torch.manual_seed(3)
    save_encoder(folder / "encoder", TinyAutoencoder(16, 16, 1, 4).encoder)
    return TRAINING | {
        "total_steps": 480,
        "reward_weights": {"failure": {"values": [0.0, 40.0]}},
        "algorithm": TRAINING["algorithm"] | {"noise_correlation": {"values": [0.2, 0.9]}},
        "env": {"num_envs": 6, "options": BALLBOT_OPTIONS},
        "policy": TRAINING["policy"] | {"encoder": str(folder / "encoder"), "memory": {"hidden_size": 8}},
        "evaluation": {"every": 96, "episodes": 2, "options": {"terrain": {"nodes": 33}}},
        "checkpoint": {"every": 96},
    }


def seeing(folder: Path) -> dict[str, Any]:
    """Images that the policy learns to encode, and does without at times."""
    fusion = {"name": "cross_attention", "width": 8, "num_heads": 2, "dropout": {"prob": 0.3}}
    images = {"channels": [4, 4], "kernel_sizes": [4, 3], "strides": [4, 2]}
    policy = TRAINING["policy"] | {"fusion": fusion | {"images": images}, "critic_encoders": "shared"}
    return ballbot(folder) | {"policy": policy}


class StopAfter(Callback):
    """Ends the run after an iteration, with a checkpoint or like a crash; by default never."""

    def __init__(self, step: int = -1, crash: bool = False) -> None:
        self.step, self.crash = step, crash

    def on_iteration(self, runner: Runner, before: int) -> None:
        if runner.step == self.step:
            if self.crash:
                raise ConnectionError("pulled the plug")
            runner.stop(INTERRUPTED)


def outcome(folder: Path) -> tuple[dict[str, Any], list[dict[str, str]], Any]:
    """The last checkpoint's state, the rows of progress.csv but for the times, and the evaluations."""
    checkpoint = latest_checkpoint(folder)
    assert checkpoint is not None
    with (folder / "progress.csv").open() as file:
        rows = [{key: text for key, text in row.items() if not key.startswith("time/")} for row in csv.DictReader(file)]
    return load_checkpoint(checkpoint), rows, json.loads((folder / "evaluations.json").read_text())


def assert_same(found: Any, expected: Any, place: str = "") -> None:
    """Equality to the last bit, of everything."""
    assert type(found) is type(expected), place
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), place
        for key, value in expected.items():
            assert_same(found[key], value, f"{place}/{key}")
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected), place
        for i, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
            assert_same(ours, theirs, f"{place}/{i}")
    elif hasattr(expected, "tobytes") or isinstance(expected, torch.Tensor):
        assert torch.as_tensor(found).numpy().tobytes() == torch.as_tensor(expected).numpy().tobytes(), place
    else:
        assert repr(found) == repr(expected), place


@pytest.fixture(scope="module", params=["cartpole", "ballbot", "seeing"])
def uninterrupted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunConfig, Any]:
    folder = tmp_path_factory.mktemp(request.param)
    made = {"cartpole": lambda folder: CARTPOLE, "ballbot": ballbot, "seeing": seeing}[request.param](folder)
    config = parse(RunConfig, made)
    start_run(config, folder / "run", [StopAfter()]).train()
    return config, outcome(folder / "run")


@pytest.mark.parametrize("crash_at", [1, 4, 7])
def test_a_crash_changes_nothing(uninterrupted: tuple[RunConfig, Any], crash_at: int, tmp_path: Path) -> None:
    config, expected = uninterrupted
    rollout = config.env.num_envs * config.algorithm.num_steps
    with pytest.raises(ConnectionError):  # after iteration 1 there is no checkpoint yet
        start_run(config, tmp_path / "run", [StopAfter(crash_at * rollout, crash=True)]).train()
    resume_run(tmp_path / "run", [StopAfter()]).train()
    assert_same(outcome(tmp_path / "run"), expected)


def test_crash_upon_crash_changes_nothing(uninterrupted: tuple[RunConfig, Any], tmp_path: Path) -> None:
    config, expected = uninterrupted
    rollout = config.env.num_envs * config.algorithm.num_steps
    for iteration in (3, 4, 5, 9):
        callbacks: list[Callback] = [StopAfter(iteration * rollout, crash=True)]
        run = tmp_path / "run"
        with pytest.raises(ConnectionError):
            (resume_run(run, callbacks) if run.exists() else start_run(config, run, callbacks)).train()
    resume_run(tmp_path / "run", [StopAfter()]).train()
    assert_same(outcome(tmp_path / "run"), expected)


def test_the_seed_determines_the_run(uninterrupted: tuple[RunConfig, Any], tmp_path: Path) -> None:
    config, expected = uninterrupted
    start_run(config, tmp_path / "same", [StopAfter()]).train()
    assert_same(outcome(tmp_path / "same"), expected)
    start_run(config.model_copy(update={"seed": 1}), tmp_path / "other", [StopAfter()]).train()
    assert outcome(tmp_path / "other")[1] != expected[1]


def test_stopping_and_going_on_changes_nothing_where_the_world_can_be_saved(tmp_path: Path) -> None:
    config = parse(RunConfig, ballbot(tmp_path))
    start_run(config, tmp_path / "straight", [StopAfter()]).train()
    start_run(config, tmp_path / "run", [StopAfter(240, crash=False)]).train()
    resume_run(tmp_path / "run", [StopAfter()]).train()
    assert_same(outcome(tmp_path / "run"), outcome(tmp_path / "straight"))


def test_the_number_of_threads_changes_nothing(tmp_path: Path) -> None:
    """Of the simulation, the cameras, the encoder, and of torch outside; updates have a number of their own."""
    config = parse(RunConfig, ballbot(tmp_path))
    before = torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            start_run(config.model_copy(update={"threads": threads}), tmp_path / str(threads), [StopAfter()]).train()
    finally:
        torch.set_num_threads(before)
    assert_same(outcome(tmp_path / "3"), outcome(tmp_path / "1"))


# --- killed -------------------------------------------------------------------------------------------------------

NURSERY = """
import os, sys
from pathlib import Path
from poise.config import load_yaml, parse
from poise.training.config import RunConfig
from poise.training.environments import make_vector_env
from poise.training.runs import resume_run, start_run

make_vector_env("poise/Ballbot-v0", 1, {}, 1).close()
for line in sys.stdin:
    config, run = line.split()
    child = os.fork()
    if child == 0:
        begun = Path(run, "config.yaml").exists()
        (resume_run(Path(run)) if begun else start_run(parse(RunConfig, load_yaml(config)), Path(run))).train()
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""
"""Loads what training needs once, and forks for each run, so that killing one costs no second start of torch."""


class Nursery:
    """Starts runs, or goes on with them, in processes of their own."""

    def __init__(self, config: Path, run: Path) -> None:
        self._line = f"{config} {run}\n"
        self._rows = run / "progress.csv"
        self._parent = subprocess.Popen(
            [sys.executable, "-c", NURSERY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            text=True,
        )

    def launch(self) -> int:
        """The new process's number."""
        self._write(self._line)
        return int(self._read(lambda line: line.isdigit()))

    def wait(self) -> int:
        """Status of the process that ended, as `os.waitpid` has it."""
        return int(self._read(lambda line: line.isdigit()))

    def wait_for_rows(self, more: int) -> None:
        """Until the run has logged so many more rows."""
        before, deadline = self._count(), time.monotonic() + 60.0
        while self._count() < before + more:
            assert time.monotonic() < deadline
            time.sleep(0.002)

    def close(self) -> None:
        assert self._parent.stdin is not None
        self._parent.stdin.close()
        self._parent.wait(60.0)

    def _count(self) -> int:
        return self._rows.read_bytes().count(b"\n") if self._rows.exists() else 0

    def _write(self, line: str) -> None:
        assert self._parent.stdin is not None
        self._parent.stdin.write(line)
        self._parent.stdin.flush()

    def _read(self, wanted: Callable[[str], bool]) -> str:
        """The next line that is no message of a run's."""
        assert self._parent.stdout is not None
        return next(line for line in map(str.strip, self._parent.stdout) if wanted(line))


def test_kill_minus_9_changes_nothing(tmp_path: Path) -> None:
    config = parse(RunConfig, ballbot(tmp_path) | {"total_steps": 960})
    save_yaml(tmp_path / "config.yaml", config)
    start_run(config, tmp_path / "straight").train()
    nursery, rng = Nursery(tmp_path / "config.yaml", tmp_path / "run"), random.Random(0)
    for _ in range(3):
        process = nursery.launch()
        nursery.wait_for_rows(rng.randint(1, 4))
        time.sleep(rng.uniform(0.0, 0.05))
        os.kill(process, signal.SIGKILL)
        assert nursery.wait() == signal.SIGKILL
    nursery.launch()
    assert nursery.wait() == 0
    nursery.close()
    assert_same(outcome(tmp_path / "run"), outcome(tmp_path / "straight"))


def test_ctrl_c_saves_and_ends_cleanly(tmp_path: Path) -> None:
    config = parse(RunConfig, CARTPOLE | {"total_steps": 10_000_000, "checkpoint": {"every": 0}})
    save_yaml(tmp_path / "config.yaml", config)
    nursery = Nursery(tmp_path / "config.yaml", tmp_path / "run")
    process = nursery.launch()
    nursery.wait_for_rows(2)
    os.kill(process, signal.SIGINT)
    assert nursery.wait() == 0
    nursery.close()
    checkpoint = latest_checkpoint(tmp_path / "run")
    assert checkpoint is not None
    assert resume_run(tmp_path / "run").step == load_checkpoint(checkpoint)["step"] > 0
