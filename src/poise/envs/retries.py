"""Second chances: episodes that start again shortly before a fall.

Falls are rare, and what leads to them is what there is to learn. Beginning some episodes there shows it more often
(Tavakoli et al., "Exploring restart distributions", arXiv 1811.11298).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poise.envs.options import RetryOptions
from poise.sim.simulation import Indices

Array = NDArray[np.float64]

_INTERVAL = 0.05
"""Time between remembered moments, s, where the control step is shorter."""


class Retries:
    """Remembers the latest moments of `num_robots` robots, and tells who begins again at which.

    Args:
        options: how often and how far back.
        num_robots: how many.
        width: numbers that make up a moment of one robot.
        control_step: time between two calls of `record`, s.

    Attributes:
        enabled: whether anybody ever begins again.
    """

    def __init__(self, options: RetryOptions, num_robots: int, width: int, control_step: float) -> None:
        self._options = options
        self._every = max(1, round(_INTERVAL / control_step))
        self._interval = self._every * control_step
        self.enabled = options.share > 0
        length = 1 + round(options.longest / self._interval) if self.enabled else 0
        self._moments = np.zeros((length, num_robots, width))
        self._latest = 0
        self._steps = 0
        self._known = np.zeros(num_robots, np.int64)

    def record(self, moments: Array) -> None:
        """Take in a moment (N, width) of everybody; of several within `_INTERVAL` the last is remembered."""
        self._steps += 1
        if self._steps % self._every:
            return
        self._latest = (self._latest + 1) % len(self._moments)
        self._moments[self._latest] = moments
        self._known = np.minimum(self._known + 1, len(self._moments))

    def forget(self, robots: Indices) -> None:
        """Other episodes have begun."""
        self._known[robots] = 0

    def recall(self, robot: int, generator: np.random.Generator) -> Array | None:
        """The moment (width,) at which a robot that fell begins again; None if it does not.

        How long ago it was is drawn uniformly; an episode that was shorter than that begins anew.
        """
        options = self._options
        if generator.random() >= options.share:
            return None
        back = round(generator.uniform(options.shortest, options.longest) / self._interval)
        if back >= self._known[robot]:
            return None
        moment: Array = self._moments[(self._latest - back) % len(self._moments), robot].copy()
        return moment

    def state(self) -> dict[str, Any]:
        """All moments."""
        return {
            "moments": self._moments.copy(),
            "known": self._known.copy(),
            "latest": self._latest,
            "steps": self._steps,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from `state()`."""
        self._moments[...] = state["moments"]
        self._known[...] = state["known"]
        self._latest, self._steps = state["latest"], state["steps"]
