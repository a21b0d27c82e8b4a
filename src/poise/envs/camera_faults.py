"""What befalls cameras during an episode: they fail, they hang, their images grow noisy."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poise.envs.options import CAMERAS, CameraFaultOptions
from poise.sim.simulation import Indices

Bools = NDArray[np.bool_]
Generators = list[np.random.Generator]

KINDS = ("dropout", "freeze", "noise")


class CameraFaults:
    """When the faults of each camera of `num_robots` robots begin and end; drawn from each robot's own generator.

    An image shows what befell the camera when it was taken.
    """

    def __init__(self, options: CameraFaultOptions, num_robots: int) -> None:
        self._options = options
        self._begin = np.full((len(KINDS), num_robots, len(CAMERAS)), np.inf)
        self._end = np.full_like(self._begin, np.inf)
        self._clock = np.zeros(num_robots)

    @property
    def are_possible(self) -> bool:
        """Whether any can happen."""
        return any(getattr(self._options, kind).share for kind in KINDS)

    def reset(self, robots: Indices, generators: Generators) -> None:
        """Draw the faults of new episodes."""
        self._clock[robots] = 0.0
        for number, kind in enumerate(KINDS):
            fault = getattr(self._options, kind)
            if not fault.share:
                continue
            duration = np.inf if fault.duration is None else fault.duration
            exposed = np.isin(CAMERAS, fault.cameras)
            for robot in robots:
                struck = exposed & (generators[robot].random(len(CAMERAS)) < fault.share)
                begin = generators[robot].uniform(*fault.onset, len(CAMERAS))
                self._begin[number, robot] = np.where(struck, begin, np.inf)
                self._end[number, robot] = self._begin[number, robot] + duration

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self._clock += seconds

    def active(self, kind: str, robots: Indices) -> Bools:
        """(K, cameras) whether a kind of fault is there for some robots now."""
        number, now = KINDS.index(kind), self._clock[robots, None] + 1e-9
        found: Bools = (self._begin[number, robots] <= now) & (now < self._end[number, robots])
        return found

    def state(self) -> dict[str, Any]:
        """When faults begin and end, and what time it is."""
        return {"begin": self._begin.copy(), "end": self._end.copy(), "clock": self._clock.copy()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from `state()`."""
        for name in ("begin", "end", "clock"):
            getattr(self, f"_{name}")[...] = state[name]
