"""Pages of HTML that need nothing but themselves, of one look: a heading, a sentence that says it all, and sections."""

from collections.abc import Iterable
from datetime import datetime
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template

from poise.errors import InvalidValueError
from poise.files import write_atomically
from poise.shell import typed
from poise.training.markup import Html, join, tag


def check_page(out: Path) -> None:
    """Refuse a name that no browser would open.

    Raises:
        InvalidValueError: it is one.
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise InvalidValueError(f"{out} must end in .html: it is a web page")


def write_page(out: Path, kind: str, title: str, lede: str, sections: Iterable[Html | None]) -> None:
    """Write a page; sections that are None or empty are left out.

    Args:
        out: the file.
        kind: of page, in small print above the title.
        title: heading.
        lede: what it says, in a sentence or two.
        sections: as `section` makes them.
    """
    page = Template(_resource("report.html")).substitute(
        kind=join(kind),
        title=join(title),
        style=_resource("report.css").rstrip(),
        lede=tag("p", lede, class_="lede"),
        sections="\n".join(part for part in sections if part),
        footer=join(f"Written {datetime.now():%Y-%m-%d %H:%M} by poise {version('poise')}."),
    )
    write_atomically(out, page)


def section(heading: str, text: str, *content: Html) -> Html:
    """A card with a heading and an introduction."""
    intro = tag("p", text) if text else Html("")
    return tag("section", tag("h2", heading), intro, *content)


def as_typed(*commands: str) -> Html:
    """Commands as a reader is to type them."""
    return tag("pre", tag("code", "\n".join(typed(*commands))))


def _resource(name: str) -> str:
    return files("poise.training").joinpath("templates", name).read_text(encoding="utf-8")
