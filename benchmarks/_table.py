"""What every benchmark ends with: a table to read, and JSON that says where its numbers come from."""

import json
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from poise.cores import available_cores
from poise.training.info import processor


def report(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    results: Mapping[str, Any],
    path: Path | None = None,
    packages: Sequence[str] = ("poise", "mujoco", "numpy", "numba"),
) -> None:
    """Print a table, and write `results` with the machine and the versions to `path` if there is one.

    Args:
        title: of the table.
        columns: their headings; the first is a name, the others are numbers.
        rows: values, floats with four significant digits.
        results: what to write, JSON values.
        path: of the JSON file.
        packages: whose versions matter.
    """
    table = Table(title=title)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left")
    for row in rows:
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row))
    origin = provenance(packages)
    console = Console()
    console.print(table)
    console.print(f"{origin['processor']}, {origin['cores']} cores; {_listed(origin['versions'])}", highlight=False)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"results": dict(results), **origin}, indent=2) + "\n")


def provenance(packages: Sequence[str]) -> dict[str, Any]:
    """Where and with what a number was measured."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": processor(),
        "cores": available_cores(),
        "system": platform.platform(),
        "commit": _commit(),
        "versions": {"python": platform.python_version()} | {package: version(package) for package in packages},
    }


def _commit() -> str:
    """The commit, with a plus sign where the working tree differs from it."""
    here = Path(__file__).parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=12"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return described.stdout.strip()


def _listed(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())
