"""What there is to plot of training runs: finding them, and their curves as numbers."""

import glob
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from poise.errors import MissingFileError
from poise.training.cloning_config import AnyRunConfig
from poise.training.config import RunConfig
from poise.training.evaluation import read_evaluations
from poise.training.logging import PROGRESS, STEP, read_progress
from poise.training.stopwatch import SECONDS, STEPS_PER_SECOND
from poise.training.trained import CONFIG, did_you_mean_run, read_config

Array = NDArray[np.float64]

_MOST_POINTS = 500
"""More would not show, but make files large."""


class Curve(NamedTuple):
    """Points (n,), and where there is one the 95 % interval (n,) around each."""

    x: Array
    y: Array
    low: Array | None = None
    high: Array | None = None


@dataclass(frozen=True)
class Run:
    """A run's folder, read."""

    folder: Path
    name: str
    config: AnyRunConfig
    progress: dict[str, NDArray[Any]]
    evaluations: list[dict[str, Any]]

    @property
    def unit(self) -> str:
        """What its steps are."""
        return "environment steps" if isinstance(self.config, RunConfig) else "epochs"

    @property
    def recipe(self) -> str:
        """The configuration without its seed: what several seeds of a run have in common."""
        return self.config.model_copy(update={"seed": 0}).model_dump_json()


class Panel(NamedTuple):
    """One set of axes."""

    title: str
    form: Literal["number", "rate", "count"]
    curve: Callable[[Run], Curve | None]
    against: Literal["steps", "hours"] = "steps"


def find_runs(places: Iterable[Path | str]) -> list[Path]:
    """Run folders among run folders, folders full of runs, and patterns such as `runs/navigate-*`; in order, once each.

    What lies beside them, such as images and encoders, is passed over, and so are runs that have not logged anything
    yet, unless they are named themselves.

    Raises:
        MissingFileError: a place holds none.
    """
    found: dict[Path, None] = {}
    for place in places:
        matches = [Path(place)] if Path(place).exists() else [Path(match) for match in sorted(glob.glob(str(place)))]
        within = [match for folder in matches for match in _logged_in(folder)]
        if not within and (Path(place) / CONFIG).exists():
            within = [Path(place)]  # reading it tells what it lacks
        if not within:
            raise MissingFileError(
                f"{place} holds no run; expected the folder of one, a folder of runs, or a pattern"
                f"{did_you_mean_run(Path(place))}"
            )
        found.update(dict.fromkeys(within))
    return list(found)


def _logged_in(folder: Path) -> list[Path]:
    """The folder, if it is a run's with a log, or else those in it that are."""
    if _has_log(folder):
        return [folder]
    return sorted(path for path in folder.iterdir() if _has_log(path)) if folder.is_dir() else []


def _has_log(folder: Path) -> bool:
    return (folder / CONFIG).exists() and (folder / PROGRESS).exists()


def read_runs(folders: list[Path]) -> list[Run]:
    """Runs under names that tell them apart.

    Raises:
        PoiseError: a folder is no run, or damaged.
    """
    return [
        Run(folder, name, read_config(folder), _progress(folder), read_evaluations(folder))
        for folder, name in zip(folders, _names(folders), strict=True)
    ]


def _earlier(run: Run) -> str | None:
    """The run that one goes on from."""
    return run.config.initial_policy if isinstance(run.config, RunConfig) else None


def with_earlier(run: Run) -> Run:
    """A run with the log and the evaluations of those that it goes on from, as if they had been one.

    It goes on from the run whose policy it began with; from none, where that is no longer there.

    Raises:
        PoiseError: an earlier one is damaged.
    """
    chain = [run]
    while (earlier := _earlier(chain[0])) is not None:
        folder = Path(earlier)
        known = {each.folder.absolute() for each in chain}
        if not (folder / CONFIG).exists() or folder.absolute() in known:
            break
        chain = [*read_runs([folder]), *chain]
    whole = chain[0]
    for later in chain[1:]:
        whole = _joined(whole, later)
    return replace(whole, folder=run.folder, name=run.name, config=run.config)


def _joined(earlier: Run, later: Run) -> Run:
    """Two logs as one: the later one's steps and seconds count on."""
    offsets = {name: _last(earlier.progress.get(name)) for name in (STEP, SECONDS)}
    progress = {}
    for name in earlier.progress.keys() | later.progress.keys():
        before, after = (run.progress.get(name, np.full(len(run.progress[STEP]), np.nan)) for run in (earlier, later))
        progress[name] = np.concatenate([before, after + offsets.get(name, 0)])
    evaluations = [entry | {"step": entry["step"] + int(offsets[STEP])} for entry in later.evaluations]
    return replace(later, progress=progress, evaluations=earlier.evaluations + evaluations)


def _last(column: NDArray[Any] | None) -> float:
    """Its last number, 0 if there is none."""
    known = np.empty(0) if column is None else column[np.isfinite(column)]
    return float(known[-1]) if len(known) else 0.0


def _names(folders: list[Path]) -> list[str]:
    """As many of the last parts of each path as tell it from the others."""
    parts = [folder.absolute().parts for folder in folders]
    for depth in range(1, max(map(len, parts), default=0) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(set(parts)):
            break
    return names


def _progress(folder: Path) -> dict[str, NDArray[Any]]:
    """What was logged; nothing yet in a run that has just begun, or in a model that was passed on without its log."""
    return read_progress(folder) if (folder / PROGRESS).exists() else {STEP: np.empty(0, np.int64)}


# --- curves -------------------------------------------------------------------------------------------------------


def evaluated(metric: str, against: Literal["steps", "hours"] = "steps") -> Callable[[Run], Curve | None]:
    """The evaluations' mean of a metric, with its interval."""

    def curve(run: Run) -> Curve | None:
        x = np.array([entry["step"] for entry in run.evaluations], np.float64)
        y, low, high = (
            np.array([_number(entry.get(metric, {}).get(part)) for entry in run.evaluations], np.float64)
            for part in ("mean", "low", "high")
        )
        if against == "hours":
            x = _hours(run, x)
        known = np.isfinite(x) & np.isfinite(y)
        return Curve(x[known], y[known], low[known], high[known]) if known.any() else None

    return curve


def logged(metric: str, smooth: int = 1) -> Callable[[Run], Curve | None]:
    """A column of the log; each point the median of `smooth` rows."""

    def curve(run: Run) -> Curve | None:
        column = run.progress.get(metric)
        if column is None or not np.isfinite(column).any():
            return None
        known = np.isfinite(column)
        x, y = run.progress[STEP][known].astype(np.float64), column[known]
        return Curve(*_thinned(x, _medians(y, smooth)))

    return curve


def environment_steps_per_second(run: Run) -> Curve | None:
    """How fast it learned, where steps are the environment's."""
    return logged(STEPS_PER_SECOND, smooth=25)(run) if isinstance(run.config, RunConfig) else None


def _hours(run: Run, steps: Array) -> Array:
    """When steps were reached, h; not a number where the log does not tell."""
    seconds = run.progress.get(SECONDS)
    if seconds is None or not np.isfinite(seconds).any():
        return np.full(len(steps), np.nan)
    known = np.isfinite(seconds)
    return np.interp(steps, run.progress[STEP][known], seconds[known]) / 3600.0


def _medians(values: Array, window: int) -> Array:
    """Of the values around each, fewer at the ends and of a short log, so that no value counts more than once."""
    half = min(window // 2, len(values) // 8)
    padded = np.pad(values, half, constant_values=np.nan)
    result: Array = np.nanmedian(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1), axis=1)
    return result


def _thinned(x: Array, y: Array) -> tuple[Array, Array]:
    """At most `_MOST_POINTS` points, each the mean of neighbours."""
    if len(x) <= _MOST_POINTS:
        return x, y
    parts = zip(np.array_split(x, _MOST_POINTS), np.array_split(y, _MOST_POINTS), strict=True)
    means = np.array([(xs.mean(), ys.mean()) for xs, ys in parts])
    return means[:, 0], means[:, 1]


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


EVALUATED = (
    Panel("Return, evaluated", "number", evaluated("return")),
    Panel("Success, evaluated", "rate", evaluated("success_rate")),
    Panel("Speed along the goal, evaluated, m/s", "number", evaluated("speed")),
    Panel("Final distance, evaluated, m", "number", evaluated("distance")),
)
CLONED = (
    Panel("Loss on demonstrations it learns from", "number", logged("update/loss")),
    Panel("Loss on demonstrations held out", "number", logged("validation/loss")),
)
COMPARED = (
    *EVALUATED,
    *CLONED,
    Panel("Return by training's own weights", "number", logged("episode/return", smooth=5)),
    Panel("Return, evaluated, by wall time", "number", evaluated("return", "hours"), "hours"),
    Panel("Environment steps per second", "count", environment_steps_per_second),
)
REPORTED = (
    *EVALUATED,
    *CLONED,
    Panel("Return by training's own weights", "number", logged("episode/return", smooth=5)),
    Panel("Variance explained by the critic", "number", logged("update/explained_variance", smooth=25)),
    Panel("Environment steps per second", "count", environment_steps_per_second),
)
