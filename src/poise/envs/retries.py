"""Second chances: episodes that start again shortly before a fall.

Falls are rare, and what leads to them is what there is to learn. Beginning some episodes there shows it more often
(Tavakoli et al., "Exploring restart distributions", arXiv 1811.11298).
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poise.envs.options import RetryOptions
from poise.sim.simulation import Indices

Array = NDArray[np.float64]

_INTERVAL = 0.05
"""Time between remembered moments, s, about, where the control step is shorter."""


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
        self.enabled = options.share > 0
        self._options = options
        self._control_step = control_step
        self._every = max(1, round(_INTERVAL / control_step))
        length = 2 + math.ceil(options.longest / (self._every * control_step)) if self.enabled else 0
        self._moments = np.zeros((length, num_robots, width))
        self._steps = np.zeros(num_robots, np.int64)

    def record(self, moments: Array) -> None:
        """A step has passed, and these are the moments (N, width) after it: remember those whose turn it is."""
        self._steps += 1
        due = np.flatnonzero(self._steps % self._every == 0)
        self._moments[self._steps[due] // self._every % len(self._moments), due] = moments[due]

    def forget(self, robots: Indices) -> None:
        """Other episodes have begun."""
        self._steps[robots] = 0

    def recall(self, robot: int, generator: np.random.Generator) -> Array | None:
        """The moment (width,) at which a robot that fell begins again; None if it does not.

        How long ago it was at least is drawn uniformly; an episode that was shorter than that begins anew.
        """
        options = self._options
        if generator.random() >= options.share:
            return None
        back = generator.uniform(options.shortest, options.longest) / self._control_step
        moment = math.floor((self._steps[robot] - max(back, 1.0) + 1e-9) / self._every)
        if moment < 1:
            return None
        found: Array = self._moments[moment % len(self._moments), robot].copy()
        return found

    def state(self) -> dict[str, Any]:
        """All moments."""
        return {"moments": self._moments.copy(), "steps": self._steps.copy()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from `state()`."""
        self._moments[...] = state["moments"]
        self._steps[...] = state["steps"]
