"""What a real robot suffers and the data sheet does not: sensor noise, late actions, pushes. All off by default."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poise.envs.options import BallbotOptions
from poise.sim.simulation import Indices, Simulation

Array = NDArray[np.float64]


class Disturbances:
    """Noise, latency and pushes of `num_robots` robots; draws come from each robot's own generator."""

    def __init__(self, options: BallbotOptions, num_robots: int) -> None:
        self._noise = {name: std for name, std in options.noise.model_dump().items() if std and name != "depth"}
        self._pushes = options.pushes
        self._push_probability = min(options.control_step / options.pushes.interval, 1.0)
        self._pending = np.zeros((options.latency, num_robots, 3))

    def reset(self, robots: Indices) -> None:
        """Forget the actions that were under way."""
        self._pending[:, robots] = 0.0

    def delayed(self, actions: Array) -> Array:
        """The actions (N, 3) that reach the motors now, `latency` steps after they were given."""
        if not len(self._pending):
            return actions
        arriving = self._pending[0].copy()
        self._pending[:-1] = self._pending[1:]
        self._pending[-1] = actions
        return arriving

    def push(self, simulation: Simulation, generators: Sequence[np.random.Generator]) -> None:
        """Change some bases' horizontal velocities at once."""
        if not self._pushes.speed:
            return
        for robot, generator in enumerate(generators):
            chance, angle = generator.uniform(size=2)
            if chance < self._push_probability:
                direction = np.array([np.cos(2.0 * np.pi * angle), np.sin(2.0 * np.pi * angle)])
                first = simulation.base_qvel
                simulation.qvel[robot, first : first + 2] += self._pushes.speed * direction

    def blur(self, sensed: dict[str, NDArray[Any]], generators: Sequence[np.random.Generator]) -> None:
        """Add noise to the components that have some, in place of their arrays."""
        for name, std in self._noise.items():
            sensed[name] = sensed[name] + std * np.array([generator.standard_normal(3) for generator in generators])

    def state(self) -> dict[str, Any]:
        """The actions under way."""
        return {"pending": self._pending.copy()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from `state()`."""
        self._pending[...] = state["pending"]
