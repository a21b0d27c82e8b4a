"""How fast a ballbot can roll at all: what its motors allow, and what that leaves of the data sheet's return.

    python benchmarks/top_speed.py [--json FILE]

At full torque a wheel turns no faster than 10 N m / 0.8 N m s = 12.5 rad/s, where its damping takes all the torque.
Here the base is held upright above flat ground, free to move along, to sink and to turn, while the torques rise over
three seconds (at once, they make the wheels slip and the robot jump) to every pattern in {-1, 0, 1}^3, and to the most
torque along every heading that does not turn the ball about the vertical. Patterns whose sum is not zero do turn it,
which lets the wheels keep up with a faster ball. The data sheet pays 80 for 4000 steps alive, 40 for each m/s along the
goal, less effort: the returns are those of an episode at that speed from its first step on.
"""

import argparse
from itertools import product
from pathlib import Path

import mujoco
import numpy as np
from _table import report

from poise.policies.body import to_wheels
from poise.sim.model import ballbot_model
from poise.sim.simulation import MAX_TORQUE
from poise.sim.terrain import TerrainOptions

RISE = 3.0  # of the torques, s
SECONDS = 8.0
AVERAGED = 3.0  # at the end
ON_THE_BALL = (0.20, 0.24)  # height of the base, m
HEADINGS = 24
EPISODE_STEPS = 4000


class UprightRobot:
    """A ballbot whose base keeps its z axis vertical: after each step the tilt and its rate are taken out."""

    def __init__(self) -> None:
        self.model = ballbot_model(TerrainOptions(kind="flat", half_size=50.0, nodes=3))
        self.data = mujoco.MjData(self.model)
        self._qpos = int(self.model.joint("base").qposadr[0])
        self._qvel = int(self.model.joint("base").dofadr[0])
        self._start = self._resting()

    def speed(self, action: np.ndarray) -> tuple[float, float]:
        """Steady speed of the base, m/s, and its turning, rad/s, under a constant action (3,); nan if it falls off."""
        mujoco.mj_setState(self.model, self.data, self._start, mujoco.mjtState.mjSTATE_INTEGRATION.value)
        rise, steps, averaged = (round(time / self.model.opt.timestep) for time in (RISE, SECONDS, AVERAGED))
        velocities = np.empty((steps, 6))
        for step in range(steps):
            self._step(min(step / rise, 1.0) * action)
            velocities[step] = self.data.qvel[self._qvel : self._qvel + 6]
        if not ON_THE_BALL[0] < self.data.qpos[self._qpos + 2] < ON_THE_BALL[1]:
            return np.nan, np.nan
        steady = velocities[-averaged:]
        return float(np.hypot(steady[:, 0], steady[:, 1]).mean()), float(steady[:, 5].mean())

    def _resting(self) -> np.ndarray:
        """The state after the robot has come to rest on the ground."""
        for _ in range(500):
            self._step(np.zeros(3))
        kind = mujoco.mjtState.mjSTATE_INTEGRATION.value
        state = np.empty(mujoco.mj_stateSize(self.model, kind))
        mujoco.mj_getState(self.model, self.data, state, kind)
        return state

    def _step(self, action: np.ndarray) -> None:
        self.data.ctrl[:] = -MAX_TORQUE * action
        mujoco.mj_step(self.model, self.data)
        quaternion = self.data.qpos[self._qpos + 3 : self._qpos + 7]
        quaternion[1:3] = 0.0
        quaternion /= np.linalg.norm(quaternion)
        self.data.qvel[self._qvel + 3 : self._qvel + 5] = 0.0


def return_bound(speed: float, effort: float) -> float:
    """The data sheet's return of an episode at this speed along the goal, with this mean squared action."""
    return EPISODE_STEPS * (0.02 + 0.01 * speed - 0.0001 * effort)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()

    robot = UprightRobot()
    wheels = robot.model
    free_wheel = MAX_TORQUE / float(wheels.dof_damping[wheels.joint("wheel_0").dofadr[0]])
    surface = free_wheel * float(wheels.geom("wheel_0").size[0])
    measured = []
    for pattern in product((-1.0, 0.0, 1.0), repeat=3):
        if any(pattern):
            measured.append((" ".join(f"{a:+.0f}" for a in pattern), np.array(pattern)))
    for heading in np.linspace(0.0, 360.0, HEADINGS, endpoint=False):
        action = to_wheels(np.array([[np.cos(np.radians(heading)), np.sin(np.radians(heading))]]))[0]
        measured.append((f"heading {heading:3.0f}", action / np.abs(action).max()))

    rows = []
    for name, action in measured:
        speed, turning = robot.speed(action)
        if np.isnan(speed):
            continue
        effort = float(action @ action)
        rows.append((name, speed, turning, effort, return_bound(speed, effort), return_bound(speed, 0.0)))
    rows.sort(key=lambda row: -row[1])
    columns = ("drive", "m/s", "turning rad/s", "effort", "return", "without effort")
    fastest = rows[0][1]
    report(
        f"Steady speed, base held upright; wheels turn at most {free_wheel:.1f} rad/s, {surface:.3f} m/s at the rim",
        columns,
        rows,
        {
            "free_wheel_rad_per_s": free_wheel,
            "rim_m_per_s": surface,
            "fastest_m_per_s": fastest,
            "return_bound": max(row[4] for row in rows),
            "table": [dict(zip(columns, row, strict=True)) for row in rows],
        },
        options.json,
    )


if __name__ == "__main__":
    main()
