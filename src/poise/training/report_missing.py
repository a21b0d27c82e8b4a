"""What a report of a run lacks, and how it is made."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from poise.training.logging import PROGRESS
from poise.training.report_results import Report


class Missing(NamedTuple):
    """Parts that a report lacks, and the commands that make a report with those that can be made."""

    names: list[str]
    commands: list[str]


def missing_parts(
    run: Path | str, evaluations: Mapping[str, Report] | None = None, video: Path | str | None = None
) -> Missing:
    """What `write_report` leaves out when it is given no more than this."""
    folder = Path(run)
    place, film = shlex.quote(str(folder)), shlex.quote(f"{folder.absolute().name}.mp4")
    names, commands, again = [], [], f"poise report {place}"
    if not (folder / PROGRESS).exists():
        names.append("curves (the log of its training did not come with the policy)")
    if not evaluations:
        names.append("an evaluation")
        commands.append(f"poise evaluate {place} --baselines --json evaluation.json")
        again += " --evaluation evaluation.json"
    if video is None and latest_video(folder) is None:
        names.append("a video")
        commands.append(f"poise play {place} --out {film}")
        again += f" --video {film}"
    return Missing(names, [*commands, again] if commands else [])


def latest_video(folder: Path) -> Path | None:
    """Of those that a training made while it ran."""
    videos: Sequence[Path] = sorted((folder / "videos").glob("*.mp4"))
    return videos[-1] if videos else None
