"""Command lines that a reader is told to type: they must work in the shell at hand."""

import os
import shlex
import shutil
import sys
from pathlib import Path


def typed(*commands: str) -> list[str]:
    """Commands as they are to be typed here, line by line: first what makes the shell find `poise`, if need be."""
    return [*_activation(), *commands]


def _activation() -> list[str]:
    """The command that enters this Python's virtual environment; none where `poise` is found, or there is none."""
    script = Path(sys.prefix, "Scripts" if os.name == "nt" else "bin", "activate")
    if shutil.which("poise") is not None or not script.is_file():
        return []
    here = Path.cwd()
    shown = script.relative_to(here) if script.is_relative_to(here) else script
    return [str(shown) if os.name == "nt" else f"source {shlex.quote(str(shown))}"]
