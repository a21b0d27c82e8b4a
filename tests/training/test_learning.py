"""The whole of it learns: two classics of gymnasium, one with discrete actions and one with continuous ones."""

from pathlib import Path
from typing import Any

from poise.config import parse
from poise.training.callbacks import Callback, EvaluationCallback
from poise.training.config import RunConfig
from poise.training.runner import Runner
from poise.training.runs import start_run

SMALL = {"hidden_sizes": [32, 32], "activation": "tanh"}


class StopAt(Callback):
    """Ends training as soon as an evaluation's return is good enough."""

    def __init__(self, enough: float) -> None:
        self.enough = enough

    def on_iteration(self, runner: Runner, before: int) -> None:
        if (
            next(callback for callback in runner.callbacks if isinstance(callback, EvaluationCallback)).best
            >= self.enough
        ):
            runner.stop("learned")


def train(folder: Path, enough: float, env: dict[str, Any], total_steps: int, algorithm: dict[str, Any]) -> str:
    settings = {
        "seed": 1,
        "total_steps": total_steps,
        "env": env,
        "policy": {"actor": SMALL, "critic": SMALL},
        "algorithm": algorithm,
        "evaluation": {"every": 4096, "episodes": 10},
        "checkpoint": {"every": 0},
        "tensorboard": False,
        "update_threads": 1,
    }
    return start_run(parse(RunConfig, settings), folder, [StopAt(enough)]).train()


def test_cartpole(tmp_path: Path) -> None:
    algorithm = {
        "num_steps": 64,
        "num_epochs": 6,
        "num_minibatches": 4,
        "learning_rate": {"values": [3e-3, 0.0]},
        "gamma": 0.98,
        "gae_lambda": 0.9,
    }
    assert train(tmp_path / "run", 475.0, {"id": "CartPole-v1", "num_envs": 8}, 50_000, algorithm) == "learned"


def test_pendulum(tmp_path: Path) -> None:
    """Episodes are only ever truncated, and actions go to ±2; doing nothing returns about -1200."""
    algorithm = {"num_steps": 64, "num_epochs": 10, "num_minibatches": 8, "learning_rate": 3e-3, "gamma": 0.9}
    assert train(tmp_path / "run", -400.0, {"id": "Pendulum-v1", "num_envs": 16}, 60_000, algorithm) == "learned"
