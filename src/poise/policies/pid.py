"""A PID balance controller of ballbots: tilt in, wheel torques out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poise.envs.options import BallbotOptions
from poise.policies.body import Array, as_action, felt, to_wheels


@dataclass(frozen=True)
class PidGains:
    """Of `PidController`. Found by search on terrains of seeds below 1,000,000."""

    proportional: float = 15.0
    """Action per radian of lean beyond the wanted one."""
    integral: float = 400.0
    """Action per second of it."""
    derivative: float = 2.0
    """Action per rad/s of its change."""
    speed: float = 0.2
    """Wanted lean in radians per m/s that is missing."""
    drift: float = 0.05
    """Wanted lean in radians per metre that is missing: on a slope, a robot at rest leans."""
    most_drift: float = 0.25
    """Bound of the metres that are remembered as missing."""
    most_lean: float = 0.12
    """Bound of the wanted lean, radians."""
    yaw: float = -0.1
    """Action per rad/s of turning about the vertical."""


class PidController:
    """Tilt in, wheel torques out: drives the ball under the robot's centre of mass.

        wanted = speed (v* - v) + drift ∫(v* - v) dt                     lean to where speed is missing
        e      = tilt - wanted
        drive  = proportional e + integral ∫e dt + derivative tilt'      roll to where the robot leans too far
        action = drive shared among the wheels + yaw turning

    tilt (N, 2) is where the base's z axis leans, in its own x-y plane, rad; v its velocity there, m/s.

    A motor's torque is soon balanced by its damping, so an action sets the ball's speed rather than its acceleration,
    and a robot that leans by θ falls unless the ball speeds up by g θ: the integral of e is what keeps it up. It stops
    growing where the action has reached its bound (anti-windup); the integral of the missing speed is bounded as it is.

    Args:
        num_robots: how many.
        control_step: time between actions, s.
        speed: to travel at, m/s: one or (N,); along the observation's `goal` if it has one, else along `direction`.
        direction: unit vector (2,) or (N, 2), in the frame of the observation.
        gains: of the controller.
        options: of the environment: how it gives the orientation and takes actions.
    """

    def __init__(
        self,
        num_robots: int,
        control_step: float,
        speed: float | Array = 0.0,
        direction: tuple[float, float] | Array = (0.0, 1.0),
        gains: PidGains | None = None,
        options: BallbotOptions | None = None,
    ) -> None:
        self.gains = gains or PidGains()
        self.speed = np.array(np.broadcast_to(speed, (num_robots,)), np.float64)
        self.direction = np.array(np.broadcast_to(direction, (num_robots, 2)), np.float64)
        self._control_step = control_step
        self._options = options or BallbotOptions()
        self._integral = np.zeros((num_robots, 2))
        self._missing = np.zeros((num_robots, 2))

    def act(self, observation: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Actions (N, 3) in [-1, 1] for `orientation`, `angular_vel` and `vel`, (N, 3) each."""
        gains = self.gains
        body = felt(observation, self._options)
        too_slow = body.in_base(self._wanted(observation) - observation["vel"])
        missing = np.clip(self._missing + too_slow * self._control_step, -gains.most_drift, gains.most_drift)
        wanted = gains.speed * too_slow + gains.drift * missing
        error = body.tilt - np.clip(wanted, -gains.most_lean, gains.most_lean)

        integral = self._integral + error * self._control_step
        drive = gains.proportional * error + gains.integral * integral + gains.derivative * body.tilt_rate
        command = to_wheels(drive) + gains.yaw * body.turning[:, None]
        bounded = np.clip(command, -1.0, 1.0)
        grows = np.einsum("ni,ni->n", integral, error) > 0.0
        held = grows & (command != bounded).any(axis=1)
        self._integral = np.where(held[:, None], self._integral, integral)
        self._missing = missing
        return as_action(bounded, observation, self._options)

    def reset(self, dones: NDArray[np.bool_]) -> None:
        """Forget the integrals of robots (N,) whose episode is over."""
        self._integral[dones] = 0.0
        self._missing[dones] = 0.0

    def _wanted(self, observation: Mapping[str, NDArray[Any]]) -> Array:
        """(N, 3) velocities to travel at, in the frame of the observation."""
        direction = observation.get("goal", self.direction)
        return np.concatenate([self.speed[:, None] * direction, np.zeros((len(direction), 1))], axis=1)
