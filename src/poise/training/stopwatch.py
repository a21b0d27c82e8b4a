"""How long a run has worked, counted through all the processes that worked on it."""

import time
from pathlib import Path

import numpy as np

from poise.training.logging import PROGRESS, read_progress

SECONDS, STEPS_PER_SECOND = "time/seconds", "time/steps_per_second"


class Stopwatch:
    """Starts at once, from where the run's `progress.csv` ends. No checkpoint holds it: a run does not depend on time.

    Args:
        run: folder of the run.
    """

    def __init__(self, run: Path) -> None:
        self._began = time.perf_counter() - _seconds_so_far(run)

    def metrics(self, steps: int, since: float) -> dict[str, float]:
        """Seconds of the whole run, and the rate of `steps` done since a moment of `time.perf_counter`."""
        now = time.perf_counter()
        return {SECONDS: now - self._began, STEPS_PER_SECOND: steps / max(now - since, 1e-9)}


def _seconds_so_far(run: Path) -> float:
    if not (run / PROGRESS).exists():
        return 0.0
    seconds = read_progress(run).get(SECONDS, np.empty(0))
    known = seconds[np.isfinite(seconds)]
    return float(known[-1]) if len(known) else 0.0
