"""Curves of training runs as pictures: several runs compared on one sheet, or one run's for a report."""

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator, PercentFormatter

from poise.errors import InvalidValueError, PoiseError
from poise.files import explained, flush_to_disk
from poise.training.curves import COMPARED, REPORTED, Curve, Panel, Run, find_runs, read_runs

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")
"""Okabe and Ito's colours, told apart by every kind of colour vision; their yellow, too pale on paper, left away."""

_DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.5)))
_FORMATS = (".png", ".svg", ".pdf")
STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a929c",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e7eb",
    "grid.linewidth": 0.8,
    "xtick.color": "#4b5560",
    "ytick.color": "#4b5560",
    "axes.labelcolor": "#4b5560",
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "poise",  # the same picture is the same file
}


class _Look(NamedTuple):
    color: str
    dash: Any
    label: str


def plot_runs(runs: Iterable[Path | str], out: Path | str) -> Path:
    """Compare runs: evaluations with their 95 % intervals, learning and speed; PNG, SVG or PDF by the name of `out`.

    Runs that differ in their seed only share a colour where there are others to tell them from.

    Args:
        runs: folders of runs, folders full of them, or patterns such as `runs/navigate-*`.
        out: the picture.

    Raises:
        PoiseError: there is no such run, nothing was logged yet, or the picture cannot be written.
    """
    out = Path(out)
    if out.suffix.lower() not in _FORMATS:
        raise InvalidValueError(f"{out} must end in {', '.join(_FORMATS)}: what a picture can be written as")
    found = read_runs(find_runs(runs))
    panels = [panel for panel in COMPARED if any(panel.curve(run) for run in found)]
    if not panels:
        raise PoiseError(
            f"{', '.join(run.name for run in found)}: nothing has been logged yet, so there is nothing to plot"
        )
    bare = [run.name for run in found if not any(panel.curve(run) for panel in panels)]
    if bare:
        raise PoiseError(f"{', '.join(bare)}: nothing has been logged there that could be plotted; leave it out")
    with style.context(STYLE):
        figure = _sheet(found, panels)
        _save(figure, out)
    return out


def _sheet(runs: Sequence[Run], panels: Sequence[Panel]) -> Figure:
    """All panels on one sheet, three in a row (four panels two by two)."""
    columns = 2 if len(panels) == 4 else min(len(panels), 3)
    rows = -(-len(panels) // columns)
    looks = _looks(runs)
    labels = list(dict.fromkeys(look.label for look in looks))
    legend_rows = -(-len(labels) // 4) if len(labels) > 1 else 0
    figure = Figure(figsize=(4.1 * columns, 2.9 * rows + 0.28 * legend_rows + 0.1), layout="constrained", dpi=160)
    figure.get_layout_engine().set(h_pad=0.1, w_pad=0.08)  # type: ignore[union-attr,call-arg]
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, place in zip(panels, axes, strict=False):
        _draw(place, panel, runs, looks)
        place.set_title(panel.title)
    for place in axes[len(panels) :]:
        place.set_axis_off()
    if legend_rows:
        first = {look.label: look for look in reversed(looks)}
        lines = [Line2D([], [], color=first[name].color, linestyle=first[name].dash, lw=2.2) for name in labels]
        figure.legend(lines, labels, loc="outside upper left", ncols=min(len(labels), 4))
    return figure


def _looks(runs: Sequence[Run]) -> list[_Look]:
    """A colour for each run; or for each recipe, if there are several and one has several seeds."""
    recipes = list(dict.fromkeys(run.recipe for run in runs))
    if not 1 < len(recipes) < len(runs):
        return [_Look(*_style(index), run.name) for index, run in enumerate(runs)]
    looks = []
    for run in runs:
        members = [other for other in runs if other.recipe == run.recipe]
        more = f" ({len(members)} seeds)" if len(members) > 1 else ""
        looks.append(_Look(*_style(recipes.index(run.recipe)), f"{_common_name(members)}{more}"))
    return looks


def _style(index: int) -> tuple[str, Any]:
    return PALETTE[index % len(PALETTE)], _DASHES[index // len(PALETTE) % len(_DASHES)]


def _common_name(runs: Sequence[Run]) -> str:
    """`navigate` of `navigate-seed0` and `navigate-seed1`."""
    names = [run.name for run in runs]
    shared = next(
        names[0][:i] for i in count(len(names[0]), -1) if all(name.startswith(names[0][:i]) for name in names)
    )
    trimmed = re.sub(r"[-_./ ]*(seed|s)?[-_./ ]*$", "", shared) if len(names) > 1 else shared
    return trimmed or names[0]


def _draw(axes: Axes, panel: Panel, runs: Sequence[Run], looks: Sequence[_Look]) -> None:
    """One line for each run, in its interval."""
    curves = [panel.curve(run) for run in runs]
    steps = " or ".join(dict.fromkeys(run.unit for run in runs))
    unit, factor = _time_unit(curves) if panel.against == "hours" else ("", 1.0)
    for curve, look in zip(curves, looks, strict=True):
        if curve is None:
            continue
        x = factor * curve.x
        if curve.low is not None and curve.high is not None:
            axes.fill_between(x, curve.low, curve.high, color=look.color, alpha=0.18 / len(curves) ** 0.5, lw=0)
        few = curve.low is not None and len(x) <= 40
        axes.plot(x, curve.y, color=look.color, ls=look.dash, lw=1.7 if few else 1.2, marker="o" if few else "", ms=3.2)
    axes.set_xlim(left=0.0)
    axes.set_xlabel(f"wall time, {unit}" if unit else steps)
    _scale(axes, panel)


def _scale(axes: Axes, panel: Panel) -> None:
    """Ticks that can be read at a glance."""
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    if panel.against == "steps":
        axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    if panel.form == "rate":
        axes.set_ylim(-0.03, 1.03)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    elif panel.form == "count":
        axes.set_ylim(bottom=0.0)
        axes.yaxis.set_major_formatter(EngFormatter(sep=" "))


def _time_unit(curves: Sequence[Curve | None]) -> tuple[str, float]:
    """Hours, or minutes where they are few; and how many of them are an hour."""
    longest = max(float(curve.x.max()) for curve in curves if curve is not None)
    return ("hours", 1.0) if longest > 2.0 else ("minutes", 60.0)


def _save(figure: Figure, out: Path) -> None:
    """The picture at once whole."""
    temporary = out.with_name(f".{out.stem}.tmp{out.suffix}")
    with explained(f"write {out}"):
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            figure.savefig(temporary, metadata={} if out.suffix.lower() == ".png" else {"Date": None})
            flush_to_disk(temporary)
            temporary.replace(out)
        finally:
            temporary.unlink(missing_ok=True)


# --- for the report -----------------------------------------------------------------------------------------------


class Drawing(NamedTuple):
    """An `<svg>` element to stand in a page, in the page's colours: `currentColor` and the variable `--series`."""

    title: str
    svg: str


def learning_curves_svg(run: Run, levels: Mapping[str, Sequence[float]] | None = None) -> list[Drawing]:
    """The curves of one run that have been logged; `levels` to compare them with, dashed, by the curves' titles."""
    drawings: list[Drawing] = []
    with style.context(STYLE):
        for panel in REPORTED:
            if panel.curve(run) is not None:
                figure = Figure(figsize=(4.2, 2.5), layout="constrained")
                axes = figure.subplots()
                _draw(axes, panel, [run], [_Look("#0000fe", "-", "")])
                for level in (levels or {}).get(panel.title, ()):
                    axes.axhline(level, color="#8a929c", ls=(0, (4, 3)), lw=1.0)
                drawings.append(Drawing(panel.title, inline_svg(figure, panel.title, f"chart{len(drawings)}")))
    return drawings


def inline_svg(figure: Figure, title: str, prefix: str) -> str:
    """The figure as an element of an HTML page: ids of its own, no fixed size, the page's font and colours."""
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    size = re.search(r'viewBox="[^"]*"', svg)
    label = title.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    svg = re.sub(r"<svg[^>]*>", f'<svg {size[0] if size else ""} role="img" aria-label="{label}">', svg, count=1)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg).replace("url(#", f"url(#{prefix}-")
    svg = svg.replace('xlink:href="#', f'href="#{prefix}-')
    svg = re.sub(r" ?font-family: [^;\"]*;?", "", svg)
    svg = svg.replace("#0000fe", "var(--series)")
    for color, page in (("#e4e7eb", "var(--line)"), ("#8a929c", "var(--muted)"), ("#4b5560", "var(--muted)")):
        svg = svg.replace(color, page)
    for index, color in enumerate(PALETTE):
        svg = svg.replace(color.lower(), f"var(--c{index})")
    return svg
