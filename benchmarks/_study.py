"""Studies of many trainings: each a run of its own, trained once, judged once, gone on with where it stopped."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from poise.errors import InvalidValueError
from poise.training.cloning_config import AnyRunConfig
from poise.training.comparison import contender, load_comparison, measure, save_comparison
from poise.training.logging import read_progress
from poise.training.runs import resume_run, start_run
from poise.training.settings import differences
from poise.training.stopwatch import SECONDS
from poise.training.trained import CONFIG, read_config

JUDGED = "unseen.json"


def train(config: AnyRunConfig, folder: Path) -> None:
    """One run, or what is left of it.

    Raises:
        InvalidValueError: what is there was begun with other settings.
    """
    check_same(config, folder)
    (resume_run(folder) if (folder / CONFIG).exists() else start_run(config, folder)).train()


def check_same(config: AnyRunConfig, folder: Path) -> None:
    """Refuse a run of another configuration, whose results would be told as this one's.

    Raises:
        InvalidValueError: the folder holds one.
    """
    if not (folder / CONFIG).exists():
        return
    different = next(differences(read_config(folder).model_dump(), config.model_dump()), None)
    if different is not None:
        raise InvalidValueError(
            f"{folder} was begun with {different.name} {different.there!r}, not {different.asked!r}; remove it, choose "
            "another '--folder', or leave it out by '--only'"
        )


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


def add_options(parser: argparse.ArgumentParser, ways: Mapping[str, Any], folder: str, seed: int) -> None:
    """What can be chosen of a study of some ways, in a folder, judged from a seed on."""
    parser.add_argument("--only", nargs="+", choices=ways, default=list(ways), metavar="WAY", help=", ".join(ways))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the trainings")
    parser.add_argument("--threads", type=int, default=1, help="of each training")
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=seed, help="of the first episode")
    parser.add_argument("--folder", type=Path, default=Path(folder), help="for the runs")
    parser.add_argument("--json", type=Path, help="file for the results")


def _place(folder: Path, way: str, seed: int) -> Path:
    """Of a way's run."""
    return folder / way.replace(", ", "_").replace(" ", "_") / str(seed)


def study(
    options: argparse.Namespace,
    configured: Callable[[str, int], AnyRunConfig],
    shown: Callable[[list[dict[str, Any]]], list[str]],
) -> tuple[list[list[str]], dict[str, Any]]:
    """Rows of a table and results to write, of every way that was chosen.

    Args:
        options: see `add_options`.
        configured: the run of a way and a seed.
        shown: what a row tells of the summaries of all seeds, between the way's name and the minutes.

    Raises:
        InvalidValueError: a run that is there was begun with other settings; nothing was trained then.
    """
    planned = {
        way: {_place(options.folder, way, seed): configured(way, seed) for seed in options.seeds}
        for way in options.only
    }
    for runs in planned.values():
        for folder, config in runs.items():
            check_same(config, folder)
    rows, results = [], {}
    for way, folders in planned.items():
        for folder, config in folders.items():
            train(config, folder)
        found = [judge(folder, options.episodes, options.seed) for folder in folders]
        took = fmean(map(minutes, folders))
        results[way] = {"seeds": found, "minutes": took}
        rows.append([way, *shown(found), f"{took:.1f}"])
    return rows, results
