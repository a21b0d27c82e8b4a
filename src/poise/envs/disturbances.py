"""What a real robot suffers and the data sheet does not: sensor noise, late actions, pushes. All off by default."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poise.envs.options import BallbotOptions
from poise.sim.simulation import Indices, Simulation

Array = NDArray[np.float64]
Generators = list[np.random.Generator]


class Disturbances:
    """Noise, latency and pushes of `num_robots` robots; draws come from each robot's own generator."""

    def __init__(self, options: BallbotOptions, num_robots: int) -> None:
        noise = {name: std for name, std in options.noise.model_dump().items() if std and name != "depth"}
        self._noisy = tuple(noise)
        self._std = np.array(list(noise.values()))[:, None]
        self._noise = np.zeros((num_robots, len(noise), 3))
        self._pushes = options.pushes
        self._push_probability = min(options.control_step / options.pushes.interval, 1.0)
        self._steps_to_push = np.zeros(num_robots, np.int64)
        self._pending = np.zeros((options.latency, num_robots, 3))

    def reset(self, robots: Indices, generators: Generators) -> None:
        """Forget the actions that were under way, and draw when the first pushes come."""
        self._pending[:, robots] = 0.0
        if self._pushes.speed:
            for robot in robots:
                self._steps_to_push[robot] = generators[robot].geometric(self._push_probability)

    def delayed(self, actions: Array) -> Array:
        """The actions (N, 3) that reach the motors now, `latency` steps after they were given."""
        if not len(self._pending):
            return actions
        arriving = self._pending[0].copy()
        self._pending[:-1] = self._pending[1:]
        self._pending[-1] = actions
        return arriving

    def push(self, simulation: Simulation, generators: Generators) -> None:
        """Change some bases' horizontal velocities at once; each step is as likely as any other to bring a push."""
        if not self._pushes.speed:
            return
        self._steps_to_push -= 1
        for robot in np.flatnonzero(self._steps_to_push == 0):
            angle = generators[robot].uniform(-np.pi, np.pi)
            first = simulation.base_qvel
            simulation.qvel[robot, first : first + 2] += self._pushes.speed * np.array([np.cos(angle), np.sin(angle)])
            self._steps_to_push[robot] = generators[robot].geometric(self._push_probability)

    def draw_noise(self, robots: Indices, generators: Generators) -> None:
        """New noise for what some robots sense next."""
        if self._noisy:
            for robot in robots:
                self._noise[robot] = self._std * generators[robot].standard_normal(self._noise.shape[1:])

    def blur(self, sensed: dict[str, NDArray[Any]]) -> None:
        """Add the noise drawn last to the components that have some, in place of their arrays."""
        for i, name in enumerate(self._noisy):
            sensed[name] = sensed[name] + self._noise[:, i]

    def state(self) -> dict[str, Any]:
        """The actions under way, the noise and the time to the next pushes."""
        return {
            "pending": self._pending.copy(),
            "noise": self._noise.copy(),
            "steps_to_push": self._steps_to_push.copy(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from `state()`."""
        self._pending[...] = state["pending"]
        self._noise[...] = state["noise"]
        self._steps_to_push[...] = state["steps_to_push"]
