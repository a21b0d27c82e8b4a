"""A progress bar for long work on a terminal; a plain line now and then where the output goes to a file."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, SupportsFloat

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

SPEED_WINDOW = 30.0  # seconds over which the speed of steps is averaged; that of all else, since the beginning
LEAST_SHARE = 0.05  # of the work that must be done before the time left is guessed
LINE_INTERVAL = 10.0  # seconds between plain lines


class ProgressBar:
    """Shows steps, steps per second, time left and a few metrics, while used as a context manager.

    Only steps have a rate: episodes run side by side and end many at a time, and epochs take their seconds.

    total_steps: where the work ends. start: where it begins, above zero when resumed, so that steps done by an
    earlier process do not count as speed. unit: what is counted. console and clock (seconds) are for tests.
    """

    def __init__(
        self,
        total_steps: int,
        description: str,
        start: int = 0,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
        unit: str = "steps",
    ) -> None:
        self._total, self._description, self._step = total_steps, description, start
        self._start = start
        self._console = console or Console(highlight=False)
        self._clock = clock
        self._unit = unit
        self._metrics: dict[str, float] = {}
        self._began = self._last_line = clock()
        self._recent = deque([(self._began, start)])
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[status]}", markup=False),
            TimeElapsedColumn(),
            console=self._console,
        )
        self._task = self._bar.add_task(description, total=total_steps, completed=start, status="")

    def __enter__(self) -> Self:
        self._began = self._last_line = self._clock()
        self._recent = deque([(self._began, self._step)])
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._bar.stop()
        else:
            self._print_line()

    def update(
        self, step: int, metrics: Mapping[str, SupportsFloat] | None = None, total_steps: int | None = None
    ) -> None:
        """`step` steps are done, counted from the very beginning, of a total that may have become known only now.

        `metrics` replace the ones of the same name.
        """
        now = self._clock()
        self._step = step
        self._total = self._total if total_steps is None else total_steps
        self._metrics.update({name: float(value) for name, value in (metrics or {}).items()})
        self._recent.append((now, step))
        while self._unit == "steps" and len(self._recent) > 2 and now - self._recent[1][0] >= SPEED_WINDOW:
            self._recent.popleft()
        if self._console.is_terminal:
            self._bar.update(self._task, completed=step, total=self._total, status=self.status())
        elif now - self._last_line >= LINE_INTERVAL:
            self._print_line()

    def print(self, message: str) -> None:
        """A line of its own, above the bar."""
        self._console.print(message, markup=False, soft_wrap=True)

    def status(self) -> str:
        """For example `120,000/1,000,000 steps (12 %), 9,500 steps/s, 0:01:33 left, return 85.2`."""
        speed, left = self._speed(), self._total - self._step
        parts = [f"{self._step:,}/{self._total:,} {self._unit} ({100 * self._step // max(self._total, 1)} %)"]
        if speed > 0 and self._unit == "steps":
            parts.append(f"{_number(speed)} steps/s")
        if speed > 0 and left > 0 and self._step - self._start >= LEAST_SHARE * (self._total - self._start):
            parts.append(f"{_clock_time(left / speed)} left")
        parts += [f"{name} {_number(value)}" for name, value in self._metrics.items()]
        return ", ".join(parts)

    def _speed(self) -> float:
        (earlier, steps_then), (now, steps_now) = self._recent[0], self._recent[-1]
        return (steps_now - steps_then) / (now - earlier) if now > earlier else 0.0

    def _print_line(self) -> None:
        self._last_line = self._clock()
        elapsed = _clock_time(self._last_line - self._began)
        self.print(f"{self._description}: {self.status()}, {elapsed} elapsed")


def _number(value: float) -> str:
    """Three digits, but thousands whole."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def _clock_time(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
