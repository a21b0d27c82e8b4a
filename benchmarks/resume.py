"""Kill -9 at random moments, then `poise train --resume`: does the run end with the very same weights?

    python benchmarks/resume.py [--kills 20] [--seed 0] [--json FILE]

The ballbot with both cameras and the encoder, sensor noise, pushes, sampled goals, second chances and evaluations,
first trained without interruption. Then the same configuration again, killed at a moment drawn uniformly from the time
in which a process starts and writes some checkpoints, resumed, killed again ... A run that comes to its end in between
is compared and another one started, until there were as many kills as asked for. Compared are all arrays of the last
checkpoint (weights, optimiser, normalisers, random generators, the state of the simulation), byte for byte, and the
evaluations.
"""

import argparse
import random
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from _encoder import fresh_encoder
from _table import report

from poise.config import parse, save_yaml
from poise.training.checkpoint import ARRAYS, latest_checkpoint
from poise.training.config import RunConfig
from poise.training.evaluation import EVALUATIONS
from poise.training.logging import PROGRESS

NUM_ENVS, NUM_STEPS, ITERATIONS = 16, 32, 40  # a rollout in one minibatch, which two threads share
CONFIG = {
    "total_steps": ITERATIONS * NUM_ENVS * NUM_STEPS,
    "env": {
        "num_envs": NUM_ENVS,
        "options": {
            "decimation": 5,
            "latency": 1,
            "goal": {"kind": "sampled"},
            "start": {
                "tilt": 5.0,
                "yaw": 180.0,
                "speed": 0.1,
                "share": 0.5,
                "retry": {"share": 0.5, "shortest": 0.1, "longest": 0.3},
            },
            "noise": {"orientation": 0.01, "vel": 0.05, "depth": 0.01},
            "pushes": {"speed": 0.2, "interval": 0.5},
        },
    },
    "reward_weights": {"failure": {"values": [0.0, 40.0]}},
    "algorithm": {
        "num_steps": NUM_STEPS,
        "num_minibatches": 1,
        "noise_correlation": 0.8,
        "adaptive_kl": {},
        "ewma": {},
    },
    "evaluation": {"every": 20 * NUM_ENVS * NUM_STEPS, "episodes": 3, "options": {"max_steps": 250}},
    "checkpoint": {"every": 5 * NUM_ENVS * NUM_STEPS},
}


def train(config: Path, run: Path) -> subprocess.Popen[bytes]:
    """The command a user would type: to begin, or to go on."""
    begun = (run / "config.yaml").exists()
    what = ["--resume", str(run)] if begun else [str(config), "--out", str(run)]
    command = [sys.executable, "-m", "poise", "train", *what]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end of a run that nobody kills."""
    _, complaint = process.communicate()
    if process.returncode:
        raise SystemExit(f"training failed with code {process.returncode}: {complaint.decode()}")


def outcome(run: Path) -> tuple[bytes, bytes]:
    """All arrays of the last checkpoint, and the evaluations."""
    checkpoint = latest_checkpoint(run)
    if checkpoint is None:
        raise SystemExit(f"{run} ended without a checkpoint")
    return (checkpoint / ARRAYS).read_bytes(), (run / EVALUATIONS).read_bytes()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with TemporaryDirectory() as temporary:
        results = measure(Path(temporary), arguments.kills, random.Random(arguments.seed))
    report(
        "Killed and resumed",
        ["", ""],
        [[name.replace("_", " "), value] for name, value in results.items() if not isinstance(value, list)],
        results,
        arguments.json,
        ("poise", "mujoco", "torch", "numba"),
    )
    if results["runs_equal"] < results["runs_compared"]:
        raise SystemExit(1)


def measure(folder: Path, kills: int, rng: random.Random) -> dict[str, Any]:
    """All figures of this benchmark."""
    config = folder / "config.yaml"
    save_yaml(config, parse(RunConfig, CONFIG | {"policy": {"encoder": str(fresh_encoder(folder / "encoder"))}}))
    began = time.perf_counter()
    finish(train(config, folder / "straight"))
    longest = 0.6 * (time.perf_counter() - began)
    expected = outcome(folder / "straight")

    equal, moments, rows = [], [], []
    while len(moments) < kills:
        run = folder / f"run_{len(equal)}"
        while len(moments) < kills:
            process = train(config, run)
            moment = rng.uniform(0.0, longest)
            try:
                process.communicate(timeout=moment)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                moments.append(round(moment, 3))
                rows.append(_rows(run))
            else:
                finish(process)
                break
        else:
            finish(train(config, run))
        equal.append(outcome(run) == expected)
    return {
        "kills": len(moments),
        "runs_compared": len(equal),
        "runs_equal": sum(equal),
        "bytes_compared": len(expected[0]),
        "seconds_before_each_kill": moments,
        "rows_logged_before_each_kill": rows,
    }


def _rows(run: Path) -> int:
    """Iterations that had been logged."""
    path = run / PROGRESS
    return max(path.read_bytes().count(b"\n") - 1, 0) if path.exists() else 0


if __name__ == "__main__":
    main()
