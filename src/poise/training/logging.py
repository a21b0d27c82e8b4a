"""What a run writes down while it trains: `progress.csv` and TensorBoard.

The CSV file is whole at every moment but for its last line, which a crash may cut short; readers skip such a line and
a resumed run removes it, together with the rows it is about to log again.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsFloat

import numpy as np
import numpy.typing as npt

from poise.errors import InvalidValueError, MissingFileError, PoiseError
from poise.files import append, explained, flush_to_disk, write_atomically

if TYPE_CHECKING:
    from poise.training.events import EventFile

PROGRESS = "progress.csv"
STEP = "step"


class MetricsLogger:
    """Appends one row of metrics per call to a run's `progress.csv`, and the same to `tensorboard/`.

    A metric that appears later gets a column of its own, empty in the rows before.
    """

    def __init__(self, run_folder: Path | str, tensorboard: bool = True) -> None:
        self._run = Path(run_folder)
        self._tensorboard = tensorboard
        self._events: EventFile | None = None  # made on first use: importing TensorBoard takes its time
        self._purge_step: int | None = None
        self._columns = [STEP]
        self._rows = 0
        if self._path.exists():
            self._rewrite(*_read_rows(self._path))

    @property
    def _path(self) -> Path:
        return self._run / PROGRESS

    def log(self, step: int, metrics: Mapping[str, SupportsFloat]) -> None:
        """Record `metrics` (numbers of any kind) as they were after `step` environment steps."""
        values = {name: float(value) for name, value in metrics.items()}
        new = [name for name in values if name not in self._columns]
        for name in new:
            _check_name(name)
        if STEP in values:
            raise InvalidValueError(f"'{STEP}' is the name of the first column; call the metric something else")
        if new or not self._path.exists():
            rows = _read_rows(self._path)[1] if self._path.exists() else []
            self._rewrite([*self._columns, *new], rows)
        row = [str(int(step)), *(repr(values[name]) if name in values else "" for name in self._columns[1:])]
        append(self._path, _csv_text([row]).encode())
        self._rows += 1
        if self._tensorboard:
            self._log_to_tensorboard(int(step), values)

    def state(self) -> dict[str, int]:
        """How much has been logged, for a checkpoint; what it counts is safely on disk when this returns."""
        if self._path.exists():
            with explained(f"write {self._path}"):
                flush_to_disk(self._path)
        return {"rows": self._rows}

    def restore(self, step: int, rows: int | None = None) -> None:
        """Go back to a checkpoint: forget the rows after `step` and, given `state()["rows"]`, all but the first `rows`.

        TensorBoard keeps its files but hides what was logged after `step`.
        """
        self._events, self._purge_step = None, step + 1
        if self._path.exists():
            columns, kept = _read_rows(self._path)
            self._rewrite(columns, [row for row in kept[:rows] if int(row[0]) <= step])

    def _rewrite(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        padded = [[*row, *[""] * (len(columns) - len(row))] for row in rows]
        write_atomically(self._path, _csv_text([columns, *padded]))
        self._columns, self._rows = list(columns), len(rows)

    def _log_to_tensorboard(self, step: int, values: Mapping[str, float]) -> None:
        if self._events is None:
            from poise.training.events import EventFile

            self._events = EventFile(self._run / "tensorboard", self._purge_step)
            self._purge_step = None  # once: another file must not hide this one's events
        self._events.log(step, values)


def read_progress(run: Path | str) -> dict[str, npt.NDArray[Any]]:
    """The columns of a run's `progress.csv`: `step` (rows,) int64, metrics (rows,) float64 with NaN for gaps."""
    path = Path(run) / PROGRESS
    if not path.exists():
        raise MissingFileError(f"{path} does not exist; expected the folder of a training run")
    columns, rows = _read_rows(path)
    table: dict[str, npt.NDArray[Any]] = {STEP: np.array([int(row[0]) for row in rows], dtype=np.int64)}
    for index, name in enumerate(columns[1:], start=1):
        table[name] = np.array([float(row[index] or math.nan) for row in rows], dtype=np.float64)
    return table


def _read_rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows, without the last row if a crash cut it short."""
    with explained(f"read {path}"):
        content = path.read_bytes()
    lines = content.decode(errors="replace").split("\n")
    complete = lines[:-1]  # what follows the last line feed is half a row, or nothing
    table = list(csv.reader(complete))
    if not table or table[0][:1] != [STEP]:
        raise PoiseError(f"{path} is not a progress file of poise: its first column is not '{STEP}'")
    columns, rows = table[0], table[1:]
    if rows and not _is_row(rows[-1], len(columns)):
        rows.pop()  # a power failure may leave a last line of the right length but without its content
    for number, row in enumerate(rows, start=2):
        if not _is_row(row, len(columns)):
            raise PoiseError(f"{path} is damaged at line {number}; remove that line, or the file, to go on")
    return columns, rows


def _is_row(row: Sequence[str], length: int) -> bool:
    """Whether `row` is a step and numbers, or gaps, for the other columns."""
    try:
        _ = int(row[0]), [float(field or 0) for field in row[1:]]
    except (ValueError, IndexError):
        return False
    return len(row) == length


def _check_name(name: str) -> None:
    if not name or any(ord(character) < 32 for character in name):
        raise InvalidValueError(f"a metric needs a name on one line, got {name!r}")


def _csv_text(rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
