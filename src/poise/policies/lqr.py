"""A linear-quadratic regulator that balances ballbots and follows commanded velocities: an expert to learn from.

    x = (tilt, tilt rate, velocity - wanted velocity, last drive - steady drive)    for each horizontal axis
    x[t+1] = A x[t] + B u[t]                                                        identified from simulated robots
    u = steady drive - K x,  which minimises  sum x' Q x + R u²                     discrete algebraic Riccati equation

On level ground it follows a velocity closely; on slopes it stays up and lags behind: it has no integral of the error.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_discrete_are

from poise.envs import BallbotVectorEnv
from poise.envs.options import BallbotOptions
from poise.errors import InvalidValueError
from poise.policies.body import Array, as_action, drive_of, felt, to_wheels
from poise.policies.pid import PidController

_ROBOTS, _SECONDS, _SETTLING = 16, 8.0, 0.5
_EXCITATION, _HELD = 0.35, 0.16
"""Standard deviation of random drives that identification adds, and how long each lasts, s."""

_RAMP = 1.0
"""Time in which the wanted velocity grows from zero, s."""


class LinearModel(NamedTuple):
    """How one axis moves between decisions: x' = A x + B u, with x = (tilt, tilt rate, velocity, last drive)."""

    a: Array
    """(4, 4)"""
    b: Array
    """(4, 1)"""

    @property
    def steady_drive(self) -> float:
        """Drive for each m/s that is kept, upright: the least squares solution of x' = x."""
        moving = np.array([0.0, 0.0, 1.0, 0.0])
        driven = self.a[:3, 3] + self.b[:3, 0]
        drift = (self.a - np.eye(4))[:3] @ moving
        return float(-driven @ drift / (driven @ driven))

    def gain(self, weights: "LqrWeights") -> Array:
        """(4,) K of the regulator."""
        q = np.diag([weights.tilt, weights.tilt_rate, weights.velocity, weights.last_drive])
        r = np.array([[weights.drive]])
        cost = solve_discrete_are(self.a, self.b, q, r)
        return np.linalg.solve(r + self.b.T @ cost @ self.b, self.b.T @ cost @ self.a)[0]


@dataclass(frozen=True)
class LqrWeights:
    """What the regulator minimises: each is the weight of a square."""

    tilt: float = 20.0
    tilt_rate: float = 0.5
    velocity: float = 4.0
    last_drive: float = 0.05
    drive: float = 0.5


class LqrController:
    """Balances and follows a velocity along the goal, drifting aside and weaving if asked to.

        wanted = speed goal + (drift + weave sin(2 pi frequency t)) left of the goal

    Args:
        num_robots: how many.
        options: of the environment.
        speed: along the goal, m/s.
        weave: largest speed to either side, m/s.
        frequency: of the weaving, Hz.
        drift: speed to the left, m/s.
        weights: of the regulator.
    """

    def __init__(
        self,
        num_robots: int,
        options: BallbotOptions,
        speed: float = 0.0,
        weave: float = 0.0,
        frequency: float = 0.5,
        drift: float = 0.0,
        weights: LqrWeights | None = None,
    ) -> None:
        if (speed or weave or drift) and not options.knows_goal:
            raise InvalidValueError("an LQR that travels must be told the goal: set env.options.goal.observed to true")
        model = identify(options.timestep, options.decimation, options.integrator)
        self._options = options
        self._speed, self._drift, self._weave, self._frequency = speed, drift, weave, frequency
        self._gain, self._steady = model.gain(weights or LqrWeights()), model.steady_drive
        self._time = np.zeros(num_robots)
        self._last = np.zeros((num_robots, 2))

    def act(self, observation: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Actions (N, 3) in [-1, 1] for `orientation`, `angular_vel` and `vel`, (N, 3) each."""
        body, wanted = felt(observation, self._options), self._wanted(observation)
        steady = self._steady * body.in_base(wanted)
        missing = body.in_base(observation["vel"] - wanted)
        state = np.stack([body.tilt, body.tilt_rate, missing, self._last - steady], axis=-1)
        drive = steady - np.einsum("nik,k->ni", state, self._gain)
        self._last = np.clip(drive, -1.0, 1.0)
        self._time += self._options.control_step
        command = np.clip(to_wheels(drive) - 0.1 * body.turning[:, None], -1.0, 1.0)
        return as_action(command, observation, self._options)

    def reset(self, dones: NDArray[np.bool_]) -> None:
        """Begin anew with robots (N,) whose episode is over."""
        self._time[dones] = 0.0
        self._last[dones] = 0.0

    def _wanted(self, observation: Mapping[str, NDArray[Any]]) -> Array:
        """(N, 3) velocities, in the frame of the observation."""
        fixed = np.tile(np.array(self._options.goal.direction, np.float64), (len(self._time), 1))
        goal = np.asarray(observation.get("goal", fixed / np.linalg.norm(fixed, axis=1, keepdims=True)), np.float64)
        left = np.stack([-goal[:, 1], goal[:, 0]], axis=1)
        sideways = self._drift + self._weave * np.sin(2.0 * np.pi * self._frequency * self._time)
        level = np.minimum(self._time / _RAMP, 1.0)[:, None] * (self._speed * goal + sideways[:, None] * left)
        return np.concatenate([level, np.zeros((len(level), 1))], axis=1)


@cache
def identify(timestep: float, decimation: int, integrator: Any) -> LinearModel:
    """How ballbots on level ground move when driven at random about their balance: a least squares fit, in seconds.

    The axes are alike, and both are taken together.
    """
    env = BallbotVectorEnv(
        _ROBOTS,
        timestep=timestep,
        decimation=decimation,
        integrator=integrator,
        frame="heading",
        cameras={"enabled": False},
        terrain={"kind": "flat"},
    )
    rng = np.random.default_rng(0)
    control_step = env.options.control_step
    keeper = PidController(_ROBOTS, control_step, options=env.options)
    observation, _ = env.reset(seed=0)
    last, pushed = np.zeros((_ROBOTS, 2)), np.zeros((_ROBOTS, 2))
    inputs, outputs = [], []
    for step in range(round(_SECONDS / control_step)):
        if step % max(round(_HELD / control_step), 1) == 0:
            pushed = rng.normal(0.0, _EXCITATION, (_ROBOTS, 2))
        before = _axes(observation, env.options)
        actions = np.clip(keeper.act(observation) + to_wheels(pushed), -1.0, 1.0)
        drive = drive_of(actions)
        observation, _, terminated, truncated, _ = env.step(actions)
        done = terminated | truncated
        if step * control_step > _SETTLING:
            known = np.concatenate([before, last[..., None], drive[..., None]], axis=-1)
            inputs.append(known[~done].reshape(-1, 5))
            outputs.append(_axes(observation, env.options)[~done].reshape(-1, 3))
        keeper.reset(done)
        last = np.where(done[:, None], 0.0, drive)
    env.close()
    fit = np.linalg.lstsq(np.concatenate(inputs), np.concatenate(outputs), rcond=None)[0].T
    a, b = np.zeros((4, 4)), np.ones((4, 1))  # the last row: this drive is the next one's last
    a[:3], b[:3, 0] = fit[:, :4], fit[:, 4]
    return LinearModel(a, b)


def _axes(observation: Mapping[str, NDArray[Any]], options: BallbotOptions) -> Array:
    """(N, 2, 3) tilt, tilt rate and velocity along each axis of the bases."""
    body = felt(observation, options)
    velocity = body.in_base(np.asarray(observation["vel"], np.float64))
    return np.stack([body.tilt, body.tilt_rate, velocity], axis=-1)
