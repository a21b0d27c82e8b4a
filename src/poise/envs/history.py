"""What robots felt in the steps before, told beside what they feel now."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poise.envs.options import HistoryOptions
from poise.sim.simulation import Indices

Sensed = Mapping[str, NDArray[Any]]


def history_of(component: str) -> str:
    """Name of the component that tells another one's past, e.g. `vel_history`."""
    return f"{component}_history"


class History:
    """The last `options.steps` values of some components of `num_robots` robots, (N, steps, 3) each, latest first.

    At an episode's begin the past is like the present.
    """

    def __init__(self, options: HistoryOptions, num_robots: int) -> None:
        self._options = options
        self._past = {name: np.zeros((num_robots, options.steps, 3)) for name in options.kept}

    @property
    def is_told(self) -> bool:
        """Whether there is any."""
        return bool(self._past)

    def begin(self, robots: Indices, sensed: Sensed) -> None:
        """New episodes have begun, with these values (N, 3)."""
        for name, past in self._past.items():
            past[robots] = sensed[name][robots, None]

    def push(self, sensed: Sensed) -> None:
        """These values (N, 3) are about to become the past."""
        for name, past in self._past.items():
            past[:, 1:] = past[:, :-1].copy()
            past[:, 0] = sensed[name]

    def observe(self) -> dict[str, NDArray[np.float64]]:
        """The past by the names it is told by."""
        return {history_of(name): past for name, past in self._past.items()}

    def state(self) -> dict[str, Any]:
        """The past."""
        return {name: past.copy() for name, past in self._past.items()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from `state()`."""
        for name, past in self._past.items():
            past[...] = state[name]
