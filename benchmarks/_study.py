"""Studies of many trainings: each a run of its own, trained once, judged once, gone on with where it stopped."""

from pathlib import Path
from typing import Any

import numpy as np

from poise.training.cloning_config import AnyRunConfig
from poise.training.comparison import contender, load_comparison, measure, save_comparison
from poise.training.logging import read_progress
from poise.training.runs import resume_run, start_run
from poise.training.stopwatch import SECONDS
from poise.training.trained import is_run

JUDGED = "unseen.json"


def train(config: AnyRunConfig, folder: Path) -> None:
    """One run, or what is left of it."""
    (resume_run(folder) if is_run(folder) else start_run(config, folder)).train()


def judge(folder: Path, episodes: int, seed: int) -> dict[str, Any]:
    """The summary of a run's unseen episodes, from its folder if these were asked for before of the same weights."""
    rival, path = contender(str(folder)), folder / JUDGED
    if path.exists():
        known: dict[str, Any] = load_comparison(path)[rival.name]
        summary: dict[str, Any] = known["summary"]
        if (known["weights"], summary["seed"], summary["episodes"]) == (rival.weights, seed, episodes):
            return summary
    evaluation = measure(rival, episodes, seed)
    save_comparison(path, [rival], {rival.name: evaluation})
    return evaluation.summary()


def minutes(folder: Path) -> float:
    """How long a training took."""
    return float(np.nanmax(read_progress(folder)[SECONDS])) / 60.0
