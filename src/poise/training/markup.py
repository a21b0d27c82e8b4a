"""HTML that cannot be injected into: text is escaped unless it has been made here."""

import base64
from html import escape
from pathlib import Path

from poise.files import explained

_VOID = ("img", "source", "br")


class Html(str):
    """Text that is HTML already."""


def tag(name: str, *content: str, **attributes: str | bool | None) -> Html:
    """An element. `class_` is written `class`, and `aria_label` `aria-label`; True stands bare, None is left out."""
    written = []
    for key, value in attributes.items():
        attribute = key.rstrip("_").replace("_", "-")
        if value is True:
            written.append(f" {attribute}")
        elif value is not None and value is not False:
            written.append(f' {attribute}="{escape(value)}"')
    opening = f"<{name}{''.join(written)}>"
    return Html(opening if name in _VOID else f"{opening}{join(*content)}</{name}>")


def join(*content: str) -> Html:
    """Elements and escaped text, one after the other."""
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in content))


def data_uri(kind: str, content: bytes) -> str:
    """The address of content that travels with the page; `kind` as in `image/png`."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def file_uri(kind: str, path: Path) -> str:
    """The same of a file's content."""
    with explained(f"read {path}"):
        return data_uri(kind, path.read_bytes())
