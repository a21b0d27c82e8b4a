"""What sight is worth on rough ground, and each way of fusing it with what is felt.

    python benchmarks/ablation.py --teacher runs/rough_teacher [--only blind concat] [--seeds 0 1 2] [--threads 1]

Students that differ in nothing but what they sense and how they fuse it learn from the same teacher
(configs/ballbot/rough_student.yaml), each seed in a run of its own, `runs/ablation/WAY/SEED`. Runs that are there
already are not trained again, ones that were interrupted go on, and two processes may share the ways by `--only`. All
are judged on the same unseen terrains. The interval of a way is Student's over its seeds: it holds what chance in
training makes, too. `minutes` are those of one training, on so many cores as `--threads` says, whatever else the
machine did.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from _study import add_options, study
from _table import report

from poise.config import apply_overrides, load_yaml, parse
from poise.fusion import FUSIONS
from poise.training.config import RunConfig
from poise.training.statistics import mean_interval

CONFIG = Path("configs/ballbot/rough_student.yaml")
FELT = ["orientation", "angular_vel", "vel", "motor_state", "actions", "goal"]
SEEN = ["rgbd_0", "rgbd_1"]
NOT_FUSED = {"policy.fusion": "null"}


def _fused(name: str, **settings: Any) -> dict[str, str]:
    """As configs/ballbot/fusion has it, but for some settings."""
    shipped = load_yaml(CONFIG.parent / f"fusion/{name}.yaml")["policy"]["fusion"]
    return {"policy.fusion": json.dumps(shipped | settings)}


TOLD = {"told": ["goal"], "body": FELT[:-1], **{name: [name] for name in SEEN}}
OWN = {"policy.encoder": "null", "policy.encoder_precision": "float32"}
WAYS: Mapping[str, Mapping[str, str]] = {
    "blind": NOT_FUSED | OWN | {"env.options.cameras.enabled": "false", "policy.observations": json.dumps(FELT)},
    "depth only": NOT_FUSED | {"policy.observations": json.dumps(["goal", *SEEN])},
    "none": NOT_FUSED,
    **{name: _fused(name) for name in FUSIONS},
    "vision_language_action": _fused("vision_language_action", language="told", modalities=TOLD),
    "concat, dropout": _fused("concat", dropout={"prob": 0.2}),
    "concat, own encoder": _fused("concat") | OWN,
    "cross_attention, own encoder": _fused("cross_attention") | OWN,
}
"""Settings of the configuration by the way's name; what is told to vision_language_action is the goal."""


def configured(way: str, seed: int, options: argparse.Namespace) -> RunConfig:
    """The run of a student."""
    changes = {
        "seed": str(seed),
        "threads": str(options.threads),
        "update_threads": str(options.threads),
        "algorithm.teacher": str(options.teacher),
        "policy.encoder": str(options.encoder),
        **WAYS[way],
    }
    return parse(RunConfig, apply_overrides(load_yaml(CONFIG), changes), f"{CONFIG} for {way}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", type=Path, required=True, help="run of configs/ballbot/rough_teacher.yaml")
    parser.add_argument("--encoder", type=Path, default=Path("models/ballbot/encoder"), help="of the cameras' images")
    add_options(parser, WAYS, "runs/ablation", 12_000_000)
    options = parser.parse_args()
    rows, results = study(options, lambda way, seed: configured(way, seed, options), _shown)
    title = f"{options.episodes} unseen terrains from seed {options.seed}, {len(options.seeds)} trainings each"
    columns = ("way", "return", "of each seed", "survives, %", "speed, m/s", "minutes")
    report(title, columns, rows, results, options.json, ("poise", "mujoco", "torch"))


def _shown(found: list[dict[str, Any]]) -> list[str]:
    """Means over the seeds, of returns with their interval."""
    returns = [one["return"]["mean"] for one in found]
    low, high = mean_interval(returns)
    survives = 100.0 * fmean(one["success_rate"]["mean"] for one in found)
    speed = fmean(one["speed"]["mean"] for one in found)
    each = ", ".join(f"{value:.1f}" for value in returns)
    return [f"{fmean(returns):.1f} ({low:.1f} to {high:.1f})", each, f"{survives:.1f}", f"{speed:.3f}"]


if __name__ == "__main__":
    main()
