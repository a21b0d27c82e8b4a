"""What a report of a run lacks, and how it is made."""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from poise.files import explained
from poise.training.logging import PROGRESS
from poise.training.markup import Html
from poise.training.report_results import Report
from poise.training.trained import read_config


class Missing(NamedTuple):
    """Parts that a report lacks, and the commands that make a report with those that can be made."""

    names: list[str]
    commands: list[str]


def missing_parts(
    run: Path | str,
    evaluations: Mapping[str, Report] | None = None,
    video: Path | str | None = None,
    page: Path | None = None,
) -> Missing:
    """What `write_report` leaves out when it is given no more than this; by default its page lies in the run."""
    folder = Path(run)
    place, film = shlex.quote(str(folder)), shlex.quote(f"{folder.absolute().name}.mp4")
    names, commands, again = [], [], f"poise report {place}"
    if not (folder / PROGRESS).exists():
        names.append("curves (the log of its training did not come with the policy)")
    if not evaluations:
        names.append("an evaluation")
        commands.append(f"poise evaluate {acting(folder)} --baselines --json evaluation.json")
        again += " --evaluation evaluation.json"
    if video is None and latest_video(folder) is None and kept_film(page or folder / "report.html") is None:
        names.append("a video")
        commands.append(f"poise play {acting(folder)} --out {film}")
        again += f" --video {film}"
    return Missing(names, [*commands, again] if commands else [])


def acting(run: Path) -> str:
    """A run, as verbs are told it that act: with a file that names an environment, where it names none itself."""
    return shlex.quote(str(run)) + ("" if read_config(run).env.id else " --config FILE")


def kept_film(page: Path) -> Html | None:
    """The video, as a page that was written before shows it."""
    if not page.is_file():
        return None
    with explained(f"read {page}"):
        found = re.search(r'<figure class="film">.*?</figure>', page.read_text("utf-8", "replace"), re.DOTALL)
    return None if found is None else Html(found[0])


def latest_video(folder: Path) -> Path | None:
    """Of those that a training made while it ran."""
    videos: Sequence[Path] = sorted((folder / "videos").glob("*.mp4"))
    return videos[-1] if videos else None
