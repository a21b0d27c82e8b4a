"""What a configuration learns: several seeds of each variant, each judged on 100 episodes it never saw.

    python benchmarks/learning.py [--config configs/ballbot/navigate.yaml] [--seeds 0 1 2] [--episodes 100]
        [--variant NAME=ARGUMENTS ...] [--evaluation-seed 1000000] [--out runs/learning] [--json FILE]

A variant is a name and what to add to `poise train`; those by default are navigate.yaml's, with and without cameras.
Every seed is one `poise train` and one `poise evaluate` of the run's best policy, which the evaluations during the
training chose on other seeds, or of its last where there were none. `last / best` compares the return of the
training's last evaluation with its best. Runs that are there already are only judged; what was interrupted goes on.
"""

import argparse
import shlex
import subprocess
import sys
from math import isnan
from pathlib import Path
from statistics import mean
from typing import Any

from _table import report

from poise.training.comparison import load_comparison
from poise.training.evaluation import read_evaluations
from poise.training.seeds import EVALUATION_SEED

VARIANTS = ["cameras_on=--policy.encoder models/ballbot/encoder", "cameras_off=--env.options.cameras.enabled no"]


def train(config: Path, arguments: list[str], seed: int, run: Path) -> None:
    """Train a seed, or the rest of it."""
    where = "--resume" if (run / "config.yaml").exists() else "--out"  # resuming refuses another configuration
    what = [str(config), "--seed", str(seed), where, str(run), *arguments]
    subprocess.run([sys.executable, "-m", "poise", "train", *what], check=True)


def judge(run: Path, episodes: int, seed: int) -> dict[str, Any]:
    """The summary of a run's best policy on unseen terrains."""
    file = run / "evaluation.json"
    wanted = ["--episodes", str(episodes), "--seed", str(seed), "--json", str(file)]
    subprocess.run([sys.executable, "-m", "poise", "evaluate", str(run), *wanted], check=True)
    (evaluation,) = load_comparison(file).values()
    summary: dict[str, Any] = evaluation["summary"]
    return summary


def last_to_best(run: Path) -> float:
    """Return of a training's last evaluation relative to its best; not a number without evaluations."""
    returns = [entry["return"]["mean"] for entry in read_evaluations(run)]
    return float(returns[-1] / max(returns)) if returns else float("nan")


def row(name: str, summaries: list[dict[str, Any]], last: float) -> list[Any]:
    """A line of the table: means over runs, and of one run the survival's interval."""
    survival = summaries[0]["success_rate"]
    interval = f"{survival['low']:.2f} to {survival['high']:.2f}" if len(summaries) == 1 else ""
    value, survived, speed = (average(summaries, key) for key in ("return", "success_rate", "speed"))
    return [name, f"{value:.1f}", f"{survived:.2f}", interval, _or_dash(speed), _or_dash(last)]


def average(summaries: list[dict[str, Any]], key: str) -> float:
    """Mean over runs; not a number where the environment does not report it."""
    means = [summary[key]["mean"] for summary in summaries]
    return float("nan") if None in means else mean(means)


def _or_dash(value: float) -> str:
    return "–" if isnan(value) else f"{value:.3f}"


def parse_variant(text: str) -> tuple[str, list[str]]:
    """NAME=ARGUMENTS."""
    name, equals, arguments = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"expected NAME=ARGUMENTS, got {text!r}")
    return name, shlex.split(arguments)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("configs/ballbot/navigate.yaml"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--variant", type=parse_variant, action="append", help="a name and arguments for `poise train`")
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--evaluation-seed", type=int, default=EVALUATION_SEED)
    parser.add_argument("--out", type=Path, default=Path("runs/learning"), help="where the runs are kept")
    parser.add_argument("--json", type=Path, help="file for the results")
    args = parser.parse_args()
    results: dict[str, Any] = {}
    rows = []
    for variant, arguments in args.variant or map(parse_variant, VARIANTS):
        summaries, lasts = [], []
        for seed in args.seeds:
            run = args.out / f"{args.config.stem}_{variant}_seed_{seed}"
            train(args.config, arguments, seed, run)
            summaries.append(judge(run, args.episodes, args.evaluation_seed))
            lasts.append(last_to_best(run))
            name = f"{variant}, seed {seed}"
            results[name] = {"summary": summaries[-1], "last_to_best": None if isnan(lasts[-1]) else lasts[-1]}
            rows.append(row(name, summaries[-1:], lasts[-1]))
        rows.append(row(f"{variant}: means, worst last / best", summaries, min(lasts)))
    title = f"{args.config.stem}: {args.episodes} episodes from seed {args.evaluation_seed}"
    columns = ("training", "return", "survival", "95 %", "speed, m/s", "last / best")
    report(title, columns, rows, results, args.json, ("poise", "mujoco", "torch"))


if __name__ == "__main__":
    main()
