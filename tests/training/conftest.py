"""Run folders written by hand, for what reads them."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from poise.config import save_yaml
from poise.training.config import RunConfig
from poise.training.logging import MetricsLogger

sys.path.insert(0, str(Path(__file__).parent))  # for `worlds`: with importlib's import mode, pytest adds nothing


@pytest.fixture(scope="session")
def write_run() -> Callable[..., Path]:
    """`write_run(folder, ...)` writes a run into `folder` and returns it."""
    return _write_run


def _write_run(folder: Path, seed: int = 0, evaluations: int = 3, rows: int = 6, **config: Any) -> Path:
    """A run of `rows` iterations of 1000 steps and 30 s, evaluated every 2000; its returns rise by 10 each."""
    save_yaml(folder / "config.yaml", RunConfig(seed=seed, **config))
    logger = MetricsLogger(folder, tensorboard=False)
    for i in range(1, rows + 1):
        time = {"time/seconds": 30.0 * i, "time/steps_per_second": 1000.0 / 30.0}
        logger.log(1000 * i, {"episode/return": 10.0 * i, "update/explained_variance": 0.1 * i, **time})
    history = [_evaluation(2000 * i, 10.0 * i) for i in range(1, evaluations + 1)]
    (folder / "evaluations.json").write_text(json.dumps(history))
    return folder


def _evaluation(step: int, value: float) -> dict[str, Any]:
    """An entry of `evaluations.json` of an environment without a speed."""
    return {
        "step": step,
        "return": {"mean": value, "low": value - 2.0, "high": value + 3.0},
        "success_rate": {"mean": 0.5, "low": 0.25, "high": 0.75},
        "length": {"mean": 100.0, "low": None, "high": None},
        "speed": {"mean": None, "low": None, "high": None},
    }
