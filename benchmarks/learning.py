"""What a configuration learns: several seeds, each judged on 100 terrains it never saw, with and without cameras.

    python benchmarks/learning.py [--config configs/ballbot/navigate.yaml] [--encoder DIR] [--seeds 0 1 2]
        [--cameras on off] [--episodes 100] [--evaluation-seed 1000000] [--out runs/learning] [--json FILE]

Every seed is one `poise train` and one `poise evaluate` of the run's best policy, which the evaluations during the
training chose on other terrains. `last / best` compares the return of the training's last evaluation with its best.
Runs that are there already are only judged; what was interrupted goes on where it stood.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import mean
from typing import Any

from _table import report

from poise.training.comparison import load_comparison
from poise.training.seeds import EVALUATION_SEED

BLIND = ["--env.options.cameras.enabled", "no"]


def train(config: Path, encoder: Path, seed: int, cameras: str, run: Path) -> None:
    """Train a seed, or the rest of it."""
    sight = ["--policy.encoder", str(encoder)] if cameras == "on" else BLIND
    where = "--resume" if (run / "config.yaml").exists() else "--out"  # resuming refuses another configuration
    what = [str(config), "--seed", str(seed), where, str(run), *sight]
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
    """Return of a training's last evaluation relative to its best."""
    returns = [entry["return"]["mean"] for entry in json.loads((run / "evaluations.json").read_text())]
    return float(returns[-1] / max(returns))


def row(name: str, summary: dict[str, Any], last: float) -> list[Any]:
    """A line of the table."""
    value, survival, speed = (summary[key] for key in ("return", "success_rate", "speed"))
    interval = f"{survival['low']:.2f} to {survival['high']:.2f}"
    means = f"{value['mean']:.1f}", f"{survival['mean']:.2f}", f"{speed['mean']:.3f}"
    return [name, *means[:2], interval, means[2], f"{last:.3f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("configs/ballbot/navigate.yaml"))
    parser.add_argument("--encoder", type=Path, default=Path("models/ballbot/encoder"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--cameras", choices=("on", "off"), nargs="+", default=["on", "off"])
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--evaluation-seed", type=int, default=EVALUATION_SEED)
    parser.add_argument("--out", type=Path, default=Path("runs/learning"), help="where the runs are kept")
    parser.add_argument("--json", type=Path, help="file for the results")
    args = parser.parse_args()
    results: dict[str, Any] = {}
    rows = []
    for cameras in args.cameras:
        found = []
        for seed in args.seeds:
            run = args.out / f"{args.config.stem}_cameras_{cameras}_seed_{seed}"
            train(args.config, args.encoder, seed, cameras, run)
            summary, last = judge(run, args.episodes, args.evaluation_seed), last_to_best(run)
            name = f"cameras {cameras}, seed {seed}"
            results[name] = {"summary": summary, "last_to_best": last}
            rows.append(row(name, summary, last))
            found.append((summary, last))
        value, survival, speed = (
            mean(summary[key]["mean"] for summary, _ in found) for key in ("return", "success_rate", "speed")
        )
        worst = min(last for _, last in found)
        name = f"cameras {cameras}: means, worst last / best"
        rows.append([name, f"{value:.1f}", f"{survival:.2f}", "", f"{speed:.3f}", f"{worst:.3f}"])
    title = f"{args.config.stem}: {args.episodes} terrains from seed {args.evaluation_seed}"
    columns = ("training", "return", "survival", "95 %", "speed, m/s", "last / best")
    report(title, columns, rows, results, args.json, ("poise", "mujoco", "torch"))


if __name__ == "__main__":
    main()
