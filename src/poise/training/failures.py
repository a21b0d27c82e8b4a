"""What becomes of a policy when its cameras fail: the same policy in worlds that differ by what befalls them."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from rich.table import Table

from poise.config import parse
from poise.envs import BALLBOT_IDS, BallbotOptions
from poise.envs.options import CAMERAS
from poise.errors import InvalidValueError
from poise.training.comparison import Contender, cell, empty_table, in_percent
from poise.training.evaluation import Evaluation

_CAMERAS = "env.options.cameras"
_WELL = {f"{_CAMERAS}.faults": "{}", f"{_CAMERAS}.lag": "0"}


def _fault(kind: str, cameras: str, **more: str) -> dict[str, str]:
    """Settings of a fault in all episodes, and of nothing else."""
    settings = {"share": "1", "cameras": f"[{cameras}]"} | more
    return _WELL | {f"{_CAMERAS}.faults.{kind}.{name}": value for name, value in settings.items()}


_BOTH = ", ".join(CAMERAS)
_ON_THE_WAY = "[1, 5]"
WELL = "all well"
ONSET = 1.0
"""When cameras that fail on the way do so at the earliest, s: for who does not last so long, nothing has happened."""
CONDITIONS: Mapping[str, Mapping[str, str]] = {
    WELL: _WELL,
    **{f"{camera} dead": _fault("dropout", camera) for camera in CAMERAS},
    **{f"{camera} fails, 1 to 5 s": _fault("dropout", camera, onset=_ON_THE_WAY) for camera in CAMERAS},
    "both dead": _fault("dropout", _BOTH),
    "both hang, 1 to 5 s": _fault("freeze", _BOTH, onset=_ON_THE_WAY),
    "images 0.1 s late": _WELL | {f"{_CAMERAS}.lag": "0.1"},
    "images 0.3 s late": _WELL | {f"{_CAMERAS}.lag": "0.3"},
    "depth noise of 0.02 m": _fault("noise", _BOTH, std="0.02"),
    "depth noise of 0.1 m": _fault("noise", _BOTH, std="0.1"),
}
"""Settings of the environment by what befalls the cameras, whatever befell them in training; the first is nothing."""


def failing(rival: Contender) -> list[Contender]:
    """A policy under each of `CONDITIONS`, named by it, the first with cameras that are well.

    Raises:
        InvalidValueError: it has no cameras that could fail.
    """
    cameras = rival.env_options.get("cameras", {})
    if rival.config.env.id not in BALLBOT_IDS or not rival.has_eyes or cameras.get("enabled") is False:
        raise InvalidValueError(f"'{rival.name}' has no cameras that could fail; --failures is for ballbots that see")
    others = {key: value for key, value in rival.changes.items() if not key.startswith(tuple(_WELL))}
    return [replace(rival, name=name, changes=others | dict(change)) for name, change in CONDITIONS.items()]


def failures_table(evaluations: Mapping[str, Evaluation], rival: Contender) -> Table:
    """One row for each of `CONDITIONS`: means with 95 % intervals; whole in a terminal of 80 columns.

    Args:
        evaluations: by the condition's name.
        rival: who was evaluated.
    """
    timestep = parse(BallbotOptions, rival.env_options, "env.options").timestep
    lasted = f"{ONSET:g} s, %"
    table = empty_table(evaluations, "cameras", ("return", "kept, %", "success, %", lasted, "speed, m/s"))
    whole = evaluations[WELL].metric("return")
    for name, evaluation in evaluations.items():
        summary = evaluation.summary()
        table.add_row(
            name,
            cell(summary["return"], "{:.1f}"),
            f"{100.0 * summary['return']['mean'] / whole:.0f}",
            cell(in_percent(summary["success_rate"]), "{:.0f}"),
            f"{100.0 * np.mean(np.multiply(evaluation.lengths, timestep) > ONSET):.0f}",
            f"{summary['speed']['mean']:.3f}",
        )
    table.caption = (
        f"kept: of the return with all well; {ONSET:g} s: episodes of more, which a later failure can befall"
    )
    return table
