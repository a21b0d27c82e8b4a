"""What becomes of a policy when its cameras fail: the same policy in worlds that differ by what befalls them."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from rich.table import Table

from poise.config import parse
from poise.envs import BALLBOT_IDS, PUSH_ID, BallbotOptions
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


_CORRUPTIONS = "env.options.corruptions"


def _corrupted(**settings: str) -> dict[str, str]:
    return {_CORRUPTIONS: "{}"} | {f"{_CORRUPTIONS}.{name}": value for name, value in settings.items()}


PUSH_CONDITIONS: Mapping[str, Mapping[str, str]] = {
    WELL: _corrupted(),
    "another cube": _corrupted(distractor="true"),
    "a square hidden, 15 % wide": _corrupted(occlusion="0.15"),
    "a square hidden, 30 % wide": _corrupted(occlusion="0.3"),
    "brightness ± 20 %": _corrupted(brightness="0.2"),
    "brightness ± 50 %": _corrupted(brightness="0.5"),
    "camera off by 1 cm": _corrupted(shift="0.01"),
    "camera off by 3 cm": _corrupted(shift="0.03"),
    "noise of 5 %": _corrupted(noise="0.05"),
    "noise of 15 %": _corrupted(noise="0.15"),
}
"""The same for the pictures of the push task."""


def failing(rival: Contender) -> list[Contender]:
    """A policy under each of the conditions for its environment, named by it, the first with cameras that are well.

    Raises:
        InvalidValueError: it has no cameras that could fail.
    """
    conditions, replaced = _conditions_for(rival)
    others = {key: value for key, value in rival.changes.items() if not key.startswith(replaced)}
    return [replace(rival, name=name, changes=others | dict(change)) for name, change in conditions.items()]


def _conditions_for(rival: Contender) -> tuple[Mapping[str, Mapping[str, str]], tuple[str, ...]]:
    """Conditions, and beginnings of the settings that they replace."""
    is_push = rival.config.env.id == PUSH_ID
    cameras = rival.env_options.get("camera" if is_push else "cameras", {})
    knows = is_push or rival.config.env.id in BALLBOT_IDS
    if not knows or not rival.has_eyes or cameras.get("enabled") is False:
        raise InvalidValueError(
            f"'{rival.name}' has no cameras that could fail; --failures is for ballbots and arms that see"
        )
    return (PUSH_CONDITIONS, (_CORRUPTIONS,)) if is_push else (CONDITIONS, tuple(_WELL))


def failures_table(evaluations: Mapping[str, Evaluation], rival: Contender) -> Table:
    """One row for each condition: means with 95 % intervals; whole in a terminal of 80 columns.

    Args:
        evaluations: by the condition's name.
        rival: who was evaluated.
    """
    return _push_table(evaluations) if rival.config.env.id == PUSH_ID else _ballbot_table(evaluations, rival)


def _push_table(evaluations: Mapping[str, Evaluation]) -> Table:
    table = empty_table(evaluations, "pictures", ("success, %", "kept, %", "steps to success", "distance, m"))
    whole = evaluations[WELL].metric("success_rate")
    for name, evaluation in evaluations.items():
        summary = evaluation.summary()
        rate = summary["success_rate"]
        table.add_row(
            name,
            cell(in_percent(rate), "{:.0f}"),
            f"{100.0 * rate['mean'] / whole:.0f}" if whole else "–",
            cell(summary["time_to_success"], "{:.1f}"),
            cell(summary["distance"], "{:.3f}"),
        )
    table.caption = "kept: of the success with all well"
    return table


def _ballbot_table(evaluations: Mapping[str, Evaluation], rival: Contender) -> Table:
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
