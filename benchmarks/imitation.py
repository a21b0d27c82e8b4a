"""What each part of an imitator is worth on the push task, and how many demonstrations it takes.

    python benchmarks/imitation.py [--only bc act "no state"] [--seeds 0 1 2] [--threads 1]

Each way learns from the demonstrations that configs/push/bc.yaml names, or the first so many of them, every seed in
a run of its own, `runs/imitation/WAY/SEED`. Runs that are there already are not trained again, ones that were
interrupted go on, and two processes may share the ways by `--only`. Fewer demonstrations are learned from for more
epochs, so that as many steps are taken. All are judged on the same unseen starts; the interval is Wilson's over the
episodes of all seeds, the range that of the seeds. `minutes` are those of one training on `--threads` cores.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from _study import add_options, study
from _table import report

from poise.config import apply_overrides, load_yaml
from poise.training.cloning_config import parse_run
from poise.training.statistics import wilson_interval

CONFIGS = Path("configs/push")
ALL = 500
SUMMARY = {"policy.backbone.pooling": "summary"}
LARGE = {name: {"policy.backbone.name": name, "total_steps": "10"} for name in ("resnet18", "vit_b_16")}
"""Networks whose epochs take ten and a hundred times as long."""
PARTS = {
    "no state": {"policy.observations": "[image]"},
    "gru": {"policy.memory": "{type: gru, hidden_size: 128}"},
    "spherical": {"policy.coordinates": "spherical"},
    "no weights": {"algorithm.weighted": "false"},
}
PLAIN = {"algorithm.augmentation": "{}"}
TOLD = PLAIN | {"policy.observations": "[state, cube, goal]", "env.options.camera.enabled": "false"}
STRONG = {"algorithm.augmentation": "{shift: 4, brightness: 0.4, contrast: 0.3, noise: 0.05, erase: 0.3}"}
WAYS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "bc": ("bc", {}),
    "act": ("act", {}),
    "dagger": ("dagger", {}),
    "told where cube and goal are": ("bc", TOLD),
    **{part: ("bc", change) for part, change in PARTS.items()},
    "dropout": ("bc", {"policy.dropout": "0.3"}),
    "two hidden layers": ("bc", {"policy.hidden_sizes": "[512, 512]"}),
    "small delta": ("bc", {"algorithm.huber_delta": "0.1"}),
    "average pooling": ("bc", SUMMARY),
    "no augmentation": ("bc", PLAIN),
    "strong augmentation": ("bc", STRONG),
    "dagger, no augmentation": ("dagger", PLAIN),
    "act, all of a chunk alike": ("act", {"policy.discount": "1.0"}),
    "act, ensemble": ("act", {"policy.execution": "ensemble"}),
    "act, chunk 10": ("act", {"policy.chunk": "10"}),
    **{name: ("bc", large) for name, large in LARGE.items()},
    **{f"{name}, {part}": ("bc", large | change) for name, large in LARGE.items() for part, change in PARTS.items()},
    **{f"bc, {count} demonstrations": ("bc", {"demonstrations.episodes": str(count)}) for count in (50, 100, 200)},
    **{f"act, {count} demonstrations": ("act", {"demonstrations.episodes": str(count)}) for count in (50, 100, 200)},
}
"""By its name, which configuration, and what is otherwise in it."""


def configured(way: str, seed: int, threads: int) -> Any:
    """The run of a way."""
    name, changes = WAYS[way]
    content = load_yaml(CONFIGS / f"{name}.yaml")
    count = int(changes.get("demonstrations.episodes", ALL))
    common = {
        "seed": str(seed),
        "threads": str(threads),
        "update_threads": str(threads),
        "evaluation.every": "0",
        "total_steps": str(content["total_steps"] * ALL // count),
    }
    return parse_run(apply_overrides(content, common | changes), f"{name}.yaml for {way}")


def shown(found: list[dict[str, Any]]) -> list[str]:
    """Success in percent, pooled and of each seed, and how long it takes."""
    rates, episodes = [one["success_rate"]["mean"] for one in found], sum(one["episodes"] for one in found)
    low, high = wilson_interval(round(fmean(rates) * episodes), episodes)
    each = ", ".join(f"{100 * rate:.1f}" for rate in rates)
    steps = [one["time_to_success"]["mean"] for one in found if one["time_to_success"]["mean"] is not None]
    return [
        f"{100 * fmean(rates):.1f} ({100 * low:.1f} to {100 * high:.1f})",
        each,
        f"{fmean(steps):.1f}" if steps else "–",
        f"{fmean(one['distance']['mean'] for one in found):.3f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, WAYS, "runs/imitation", 30_000_000)
    parser.set_defaults(episodes=200)
    options = parser.parse_args()
    rows, results = study(options, lambda way, seed: configured(way, seed, options.threads), shown)
    title = f"{options.episodes} unseen starts from seed {options.seed}, {len(options.seeds)} trainings each"
    columns = ("way", "success, %", "of each seed", "steps to success", "distance, m", "minutes")
    report(title, columns, rows, results, options.json, ("poise", "torch"))


if __name__ == "__main__":
    main()
