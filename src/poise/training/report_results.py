"""The figures of a report: how good each policy is, in words, numbers and small drawings."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from poise.errors import InvalidValueError
from poise.training.markup import Html, tag

Report = Mapping[str, Any]
"""What `Evaluation.to_json` returns."""


class Metric(NamedTuple):
    name: str
    title: str
    form: str
    factor: float = 1.0
    bounds: tuple[float, float] | None = None
    is_new: bool = False
    """Evaluations of before there were tasks that have one lack it."""


METRICS = (
    Metric("success_rate", "Success", "{:.0f} %", 100.0, (0.0, 1.0)),
    Metric("return", "Return", "{:.1f}"),
    Metric("speed", "Speed to goal", "{:.2f} m/s"),
    Metric("distance", "Final distance", "{:.3f} m", is_new=True),
    Metric("length", "Time steps", "{:,.0f}"),
)

_UNKNOWN = {"mean": None, "low": None, "high": None}


def first_of(measured: Mapping[str, Report]) -> Report:
    """The evaluation that the report is about."""
    return next(iter(measured.values()))


def checked(name: str, report: Report) -> Report:
    """An evaluation that has all that is going to be read."""
    try:
        summary, episodes = report["summary"], report["episodes"]
        _ = [_told(report, metric)[key] for metric in METRICS for key in ("mean", "low", "high")]
        counts = {len(episodes[key]) for key in ("returns", "lengths", "successes")}
        if counts != {summary["episodes"]} or not isinstance(summary["seed"], int):
            raise KeyError("episodes")
    except (KeyError, TypeError) as error:
        raise InvalidValueError(
            f"the evaluation of '{name}' lacks {error}; expected what 'poise evaluate --json' writes of a policy"
        ) from error
    return report


def tiles(report: Report) -> Html:
    """The figures of one policy, large; how many time steps it lasts, success says already."""
    told = [metric for metric in METRICS if metric.name != "length"]
    shown = [_tile(metric, _told(report, metric)) for metric in told if _mean(report, metric) is not None]
    return tag("div", *shown, class_="tiles")


def table(measured: Mapping[str, Report], first: str = "Policy") -> Html:
    """All policies, one row each; `first` heads their names."""
    shown = [metric for metric in METRICS if any(_mean(report, metric) is not None for report in measured.values())]
    head = tag("tr", tag("th", first, scope="col"), *(tag("th", metric.title, scope="col") for metric in shown))
    rows = [
        tag("tr", tag("th", name, scope="row"), *(_cell(metric, report, measured) for metric in shown))
        for name, report in measured.items()
    ]
    return tag("table", tag("thead", head), tag("tbody", *rows))


def _tile(metric: Metric, value: Mapping[str, float | None]) -> Html:
    return tag(
        "dl",
        tag("dt", metric.title),
        tag("dd", _written(metric, value["mean"])),
        tag("dd", _interval(metric, value)),
        class_="tile",
    )


def _cell(metric: Metric, report: Report, measured: Mapping[str, Report]) -> Html:
    """A mean, its interval in words, and both drawn on a scale that all policies share."""
    value = _told(report, metric)
    if value["mean"] is None:
        return tag("td", "–", data_title=metric.title)
    strip = range_strip(value["mean"], (value["low"], value["high"]), metric.bounds or _scale(metric, measured))
    figure, interval = tag("b", _written(metric, value["mean"])), tag("small", _interval(metric, value))
    return tag("td", figure, strip, interval, data_title=metric.title)


def range_strip(mean: float, interval: tuple[float | None, float | None], scale: tuple[float, float]) -> Html:
    """A mean and its interval, None where nothing is known of it, drawn on a scale from its least to its greatest."""
    low, high = scale
    span = max(high - low, 1e-12)

    def place(x: float) -> float:
        return 100.0 * min(max((x - low) / span, 0.0), 1.0)

    begin, end = (place(mean if edge is None else edge) for edge in interval)
    band = tag("i", style=f"left:{begin:.1f}%;width:{end - begin:.1f}%")
    mark = tag("b", style=f"left:{place(mean):.1f}%")
    return tag("span", band, mark, class_="range", aria_hidden="true")


def _scale(metric: Metric, measured: Mapping[str, Report]) -> tuple[float, float]:
    """Least and greatest of all policies, and zero."""
    values = [_told(report, metric)[key] for report in measured.values() for key in ("mean", "low", "high")]
    known = [value for value in values if value is not None]
    return min(0.0, *known), max(0.0, *known)


def _told(report: Report, metric: Metric) -> Mapping[str, float | None]:
    """Mean, low and high of a metric, None of one that is new and not there."""
    summary = report["summary"]
    told: Mapping[str, float | None] = summary.get(metric.name, _UNKNOWN) if metric.is_new else summary[metric.name]
    return told


def _mean(report: Report, metric: Metric) -> float | None:
    return _told(report, metric)["mean"]


def _written(metric: Metric, value: float | None) -> str:
    return "–" if value is None else metric.form.format(_rounded(metric, value))


def _interval(metric: Metric, value: Mapping[str, float | None]) -> str:
    """`98 to 100 %`; nothing where a single episode says nothing of the spread."""
    low, high = value["low"], value["high"]
    if low is None or high is None:
        return ""
    number, _, unit = metric.form.partition(" ")
    return f"{number.format(_rounded(metric, low))} to {number.format(_rounded(metric, high))} {unit}".strip()


def _rounded(metric: Metric, value: float) -> float:
    """In the metric's unit, without the sign of a zero."""
    digits = int(metric.form[metric.form.index(".") + 1])
    return round(metric.factor * value, digits) + 0.0
