"""The report of a run: one page of HTML that needs nothing but itself, for people who were not there."""

import math
import os
import platform
import shlex
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import quote

from poise.config import parse, to_yaml
from poise.cores import available_cores
from poise.envs import BALLBOT_IDS, PUSH_ID, BallbotOptions
from poise.errors import MissingFileError
from poise.files import explained
from poise.policies.baselines import BASELINES
from poise.training.callbacks import describe
from poise.training.config import RunConfig
from poise.training.curves import Run, read_runs, with_earlier
from poise.training.failures import WELL
from poise.training.markup import Html, file_uri, tag
from poise.training.pages import as_typed, check_page, section, write_page
from poise.training.plots import learning_curves_svg
from poise.training.report_missing import Missing, acting, kept_film, latest_video, missing_parts
from poise.training.report_results import Report, checked, first_of, table, tiles
from poise.training.seeds import EVALUATION_SEED

LARGEST_EMBEDDED = 8 << 20
"""A video of more bytes stays beside the page."""

_MOST_FAILURES = 60
_PACKAGES = ("poise", "mujoco", "torch", "numpy", "gymnasium")
_PUSH_PACKAGES = ("panda-gym", "pybullet")


def write_report(
    run: Path | str,
    out: Path | str,
    evaluations: Mapping[str, Report] | None = None,
    video: Path | str | None = None,
    reconstructions: Path | str | None = None,
    title: str | None = None,
    filmed: str | None = None,
) -> Path:
    """Write the report of a run; what is not given and not found is left out of it.

    Args:
        run: its folder.
        out: the page, `.html`.
        evaluations: `Evaluation.to_json()` of each policy by its name, the run's first, what it is compared with after.
        video: mp4 of the policy; by default the latest in the run's `videos/`, or else what the page shows already.
        reconstructions: PNG of depth images and what the encoder keeps of them.
        title: heading; by default the folder's name.
        filmed: which episode the video shows, in words.

    Raises:
        PoiseError: the run, a picture or an evaluation is missing or damaged, or the page cannot be written.
    """
    folder, out = Path(run), Path(out)
    check_page(out)
    found = with_earlier(*read_runs([folder]))
    measured = {name: checked(name, report) for name, report in (evaluations or {}).items()}
    sections = [
        _video_section(found, _existing(video) or latest_video(folder), out, filmed),
        _result_section(found, measured),
        _curves_section(found),
        _sight_section(_existing(reconstructions)),
        _episodes_section(found, measured),
        _missing_section(missing_parts(folder, measured, video, out)),
        _configuration_section(found),
        _reproduction_section(found, measured),
    ]
    write_page(out, "training report", title or folder.absolute().name, _lede(found, measured), sections)
    return out


# --- sections -----------------------------------------------------------------------------------------------------


def _lede(run: Run, measured: Mapping[str, Report]) -> str:
    """What came out, in one sentence."""
    steps = int(run.progress["step"][-1]) if len(run.progress["step"]) else 0
    trained = f"Trained for {steps:,} {run.unit}" if steps else "A trained policy"
    seconds = run.progress.get("time/seconds")
    if seconds is not None and len(seconds) and math.isfinite(seconds[-1]):
        trained += f" in {_duration(float(seconds[-1]))}"
    if not measured:
        return f"{trained}. Last evaluation: {describe(run.evaluations[-1])}." if run.evaluations else f"{trained}."
    outcomes = first_of(measured)["episodes"]["successes"]
    where = "on terrain it had never seen" if _is_ballbot(run) else "on seeds it had never seen"
    does = "lasts" if _is_ballbot(run) else "succeeds in"
    return f"{trained}. Evaluated {where}, it {does} {sum(outcomes)} of {len(outcomes)} episodes."


def _video_section(run: Run, video: Path | None, out: Path, filmed: str | None) -> Html | None:
    if video is None:
        kept = kept_film(out)
        return None if kept is None else section(_FILM, "", kept)
    with explained(f"read {video}"):
        small = video.stat().st_size <= LARGEST_EMBEDDED
    address = file_uri("video/mp4", video) if small else quote(os.path.relpath(video, out.parent))
    player = tag(
        "video",
        "Your browser does not play mp4 videos.",
        src=address,
        controls=True,
        autoplay=True,
        muted=True,
        loop=True,
        playsinline=True,
        aria_label="The policy at work",
    )
    figure = tag("figure", player, tag("figcaption", _caption(run, filmed)), class_="film")
    return section(_FILM, "", figure)


_FILM = "What it does"


def _caption(run: Run, filmed: str | None) -> str:
    which = f"One episode in real time{f': {filmed}' if filmed else ''}"
    if not _is_ballbot(run):
        return f"{which}."
    seen = "The arrow points where it is to go, the white line is the way it has come."
    if run.config.env.options.get("cameras", {}).get("enabled", True):
        seen += f" {_INSETS}"
    return f"{which}, on terrain it had never met. {seen}"


_INSETS = (
    "The insets show what its two depth cameras see, yellow near and dark far: the disc is its ball, the strip beside "
    "it its own body."
)


def _is_ballbot(run: Run) -> bool:
    return "ballbot" in run.config.env.id.lower()


_SCALE = (
    "An episode lasts 4,000 time steps, which are 8 seconds, unless the robot falls. Standing still for all of it "
    "returns 80, each 0.1 m/s of speed towards the goal adds 4, and nothing can return more than 101."
)
_BASELINES = (
    "do-nothing leaves the motors off; pid and lqr are controllers designed by hand, lqr to stand still, and pid to "
    "travel slowly where it can know the way."
)


def _result_section(run: Run, measured: Mapping[str, Report]) -> Html | None:
    if not measured:
        return None
    first = first_of(measured)["summary"]
    last = first["seed"] + first["episodes"] - 1
    text = (
        f"Means of {first['episodes']} whole episodes on seeds {first['seed']} to {last}, which training never used, "
        "without exploration; in small print what they are with 95 % confidence."
    )
    notes = [tag("p", _SCALE)] if _is_scored_as_usual(run) else []
    notes += [tag("p", _BASELINES)] if {"do-nothing", "pid", "lqr"} <= measured.keys() else []
    return section("How good it is", text, *notes, tiles(first_of(measured)), table(measured))


def _is_scored_as_usual(run: Run) -> bool:
    """Whether a return of its evaluations means what it means by the data sheet."""
    if run.config.env.id not in BALLBOT_IDS:
        return False
    chosen = run.config.env.options | run.config.evaluation.options
    known = {name: value for name, value in chosen.items() if name in BallbotOptions.model_fields}
    return _scoring(parse(BallbotOptions, known, f"{run.folder}: the environment")) == _scoring(BallbotOptions())


def _scoring(options: BallbotOptions) -> tuple[object, ...]:
    """What decides what an episode can return."""
    goal = options.goal.kind, options.goal.direction
    return options.rewards, goal, options.max_steps, options.max_tilt, options.timestep


def _curves_section(run: Run) -> Html | None:
    usual = _is_scored_as_usual(run)
    drawings = learning_curves_svg(run, {"Return, evaluated": (80.0, 101.0)} if usual else {})
    if not drawings:
        return None
    notes = _CURVE_NOTES | ({"Return, evaluated": _BOUNDS} if usual else {})
    charts = [
        tag("figure", tag("figcaption", drawing.title), Html(drawing.svg), _note(notes.get(drawing.title)))
        for drawing in drawings
    ]
    told = "Evaluations run without exploration on seeds of their own; the shade is their 95 % interval."
    text = told if run.evaluations else ""
    return section("How it learned", text, tag("div", *charts, class_="charts"))


_BOUNDS = "Dashed: standing still returns 80, and nothing can return more than 101."
_CURVE_NOTES = {
    "Return by training's own weights": "Not to be compared with the evaluated return: training explores, starts where "
    "it is harder, and may change the reward's weights as it goes on.",
    "Variance explained by the critic": "1 where the critic foretells every return, 0 where it knows nothing.",
}


def _note(text: str | None) -> Html:
    return tag("p", text, class_="note") if text else Html("")


def _sight_section(reconstructions: Path | None) -> Html | None:
    if reconstructions is None:
        return None
    text = (
        "The policy never sees the images themselves but the few numbers that an encoder, trained beforehand and then "
        "frozen, makes of each. What those numbers hold is what can be drawn again from them."
    )
    picture = tag("img", src=file_uri("image/png", reconstructions), alt="Depth images and their reconstructions")
    return section("What the robot sees", text, tag("figure", picture, class_="wide"))


def _episodes_section(run: Run, measured: Mapping[str, Report]) -> Html | None:
    if not measured:
        return None
    report = first_of(measured)
    lasting = _is_ballbot(run)  # for as long as an episode goes on, or else it is to bring something about
    seed, episodes = report["summary"]["seed"], report["episodes"]
    told = list(zip(episodes["successes"], episodes["lengths"], episodes["returns"], strict=True))
    succeeded = "lasted" if lasting else "succeeded after"
    squares = [_square(seed + i, *outcome, succeeded) for i, outcome in enumerate(told)]
    failed = [(seed + i, length) for i, (success, length, _) in enumerate(told) if not success]
    grid = tag("ul", *squares, class_="episodes", aria_label=f"{len(told)} episodes, {len(failed)} of them failed")
    if not failed:
        return section("Where it failed", f"Nowhere in these {len(told)} episodes, a square each.", grid)
    ended = "ended before their time" if lasting else "ended without success"
    text = f"{len(failed)} of {len(told)} episodes {ended}. Each square is an episode, by its seed."
    items = [tag("li", tag("b", f"seed {number}"), f" after {length:,} time steps") for number, length in failed]
    more = [tag("li", f"and {len(failed) - _MOST_FAILURES} more")] if len(failed) > _MOST_FAILURES else []
    listed = tag("ul", *items[:_MOST_FAILURES], *more, class_="failures")
    command = as_typed(f"poise play {acting(run.folder)} --seed {failed[0][0]}")
    return section("Where it failed", text, grid, listed, tag("h3", "Watch the first of them"), command)


def _square(seed: int, success: bool, length: int, value: float | None, succeeded: str) -> Html:
    """One episode; the pointer resting on it tells how it went."""
    outcome = f"{succeeded if success else 'failed after'} {length:,} time steps"
    returned = "" if value is None else f", return {value:.1f}"
    return tag("li", class_=None if success else "failed", title=f"seed {seed}: {outcome}{returned}")


def _missing_section(missing: Missing) -> Html | None:
    if not missing.names:
        return None
    text = f"This report was written without {', '.join(missing.names)}."
    if not missing.commands:
        return section("What is not here", text)
    return section("What is not here", f"{text} What can be added is added by", as_typed(*missing.commands))


def _configuration_section(run: Run) -> Html:
    text = "Everything that determines the run, defaults included."
    yaml = tag("details", tag("summary", "config.yaml"), tag("pre", tag("code", to_yaml(run.config))))
    return section("Configuration", text, yaml)


def _reproduction_section(run: Run, measured: Mapping[str, Report]) -> Html:
    commands = as_typed(*_commands(run, measured))
    facts = [part for name, value in _machine(run) for part in (tag("dt", name), tag("dd", value))]
    text = "The same configuration, seed, versions and machine give the same weights, bit for bit."
    return section(
        "Do it again", text, commands, tag("h3", "Where this was written"), tag("dl", *facts, class_="facts")
    )


def _commands(run: Run, measured: Mapping[str, Report]) -> Iterator[str]:
    folder = shlex.quote(str(run.folder))
    sees_through = isinstance(run.config, RunConfig) and run.config.policy.encoder
    encoder = f" --policy.encoder {shlex.quote(str(run.folder / 'encoder'))}" if sees_through else ""
    yield f"poise train {shlex.quote(str(run.folder / 'config.yaml'))}{encoder} --out {folder}-again"
    summary = first_of(measured)["summary"] if measured else {"episodes": 100, "seed": EVALUATION_SEED}
    beside = " --failures" if WELL in measured else " --baselines" if BASELINES.keys() & measured.keys() else ""
    yield f"poise evaluate {acting(run.folder)} --episodes {summary['episodes']} --seed {summary['seed']}{beside}"
    yield f"poise play {acting(run.folder)}"


def _machine(run: Run) -> Iterator[tuple[str, str]]:
    packages = _PACKAGES + (_PUSH_PACKAGES if run.config.env.id == PUSH_ID else ())
    yield from ((package, _version(package)) for package in packages)
    yield "Python", platform.python_version()
    yield "system", f"{platform.system()} {platform.machine()}, {available_cores()} cores"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


# --- words and files ----------------------------------------------------------------------------------------------


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.1f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _existing(path: Path | str | None) -> Path | None:
    if path is not None and not Path(path).is_file():
        raise MissingFileError(f"{path} does not exist; leave it away to write the report without it")
    return None if path is None else Path(path)
