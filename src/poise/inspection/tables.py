"""Tables of the page: a row for each thing that is told apart, shares as bars, losses with their intervals."""

import math
from collections.abc import Sequence

from poise.training.markup import Html, tag
from poise.training.report_results import range_strip


def rows_table(first: str, heads: Sequence[str], rows: Sequence[Html]) -> Html:
    """A table whose rows are made by `row`."""
    head = tag("tr", *(tag("th", each, scope="col") for each in (first, *heads)))
    return tag("table", tag("thead", head), tag("tbody", *rows), class_="plain")


def row(name: str, cells: Sequence[Html], mark: Html | None = None) -> Html:
    """One, with a mark before its name."""
    return tag("tr", tag("th", mark or "", name, scope="row"), *cells)


def cell(head: str, text: str) -> Html:
    """A value under its heading."""
    return tag("td", text, data_title=head)


def share(head: str, value: float | None) -> Html:
    """A share of 1 with a bar."""
    if value is None or not math.isfinite(value):
        return cell(head, "–")
    bar = tag("span", tag("i", style=f"left:0;width:{100 * value:.1f}%"), class_="range share", aria_hidden="true")
    return tag("td", tag("b", f"{100 * value:.0f} %"), bar, data_title=head)


def ranged(head: str, value: float, interval: tuple[float, float], scale: tuple[float, float]) -> Html:
    """A value, its interval in words, and both on a scale."""
    known = all(math.isfinite(edge) for edge in interval)
    strip = range_strip(value, interval if known else (None, None), scale)
    small = tag("small", f"{written(interval[0])} to {written(interval[1])}" if known else "")
    return tag("td", tag("b", written(value)), strip, small, data_title=head)


def written(value: float) -> str:
    """Three digits, whole from 100 on; without the sign of a zero."""
    if value == 0 or abs(value) >= 100:
        return f"{round(value) + 0:,}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{round(value, min(digits, 6)) + 0.0:.{min(digits, 6)}f}"
