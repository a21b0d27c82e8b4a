"""How fast the batched simulation is: against a bare loop of `mj_step` over the same models with as many threads.

    python benchmarks/simulation.py [--robots 64] [--threads 0] [--repeats 7] [--json FILE]

The PID controller keeps every robot standing on its own Perlin terrain, so that wheels and ground are in touch all the
time; only the physics is timed, five steps under each action. All contenders align the omniwheels' friction axes. They
take turns, so that a busy machine disturbs all alike, and the figures are medians over the rounds.
"""

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import mujoco
import numpy as np
from _table import report
from mujoco.rollout import Rollout

from poise.cores import available_cores
from poise.envs import observations
from poise.policies.pid import PidController
from poise.sim.contacts import set_contacts
from poise.sim.simulation import MAX_TORQUE, Simulation
from poise.sim.terrain import TerrainOptions

SUBSTEPS = 5
TIMESTEP = 0.002
WARM_UP = 100  # actions until every robot stands
ACTIONS = 60  # in each round

Advance = Callable[[np.ndarray], None]


@dataclass
class Contender:
    """A way to advance robots under actions (N, 3), with its own copy of the robots."""

    name: str
    own_terrain_contact: bool
    advance: Advance
    simulation: Simulation
    """Where positions and velocities are found after each `advance`."""

    def __post_init__(self) -> None:
        self._controller = PidController(self.simulation.num_robots, SUBSTEPS * TIMESTEP)
        self._before = self._pose()

    def run(self, actions: int) -> float:
        """Seconds spent in the physics over some actions."""
        set_contacts(omniwheels=True, terrain=self.own_terrain_contact)
        spent = 0.0
        for _ in range(actions):
            commands = self._controller.act(self._observe())
            start = time.perf_counter()
            self.advance(commands)
            spent += time.perf_counter() - start
        return spent

    def fallen(self) -> int:
        """How many robots lean by more than 20 degrees."""
        upright = observations.rotations.tilt_angle(self._pose()[:, 3:])
        return int((upright > np.radians(20.0)).sum())

    def _pose(self) -> np.ndarray:
        first = self.simulation.base_qpos
        return self.simulation.qpos[:, first : first + 7].copy()

    def _observe(self) -> dict[str, np.ndarray]:
        """What the controller needs of the environment's observation."""
        before, now = self._before, self._pose()
        self._before = now
        interval = SUBSTEPS * TIMESTEP
        return {
            "orientation": observations.orientation(now[:, 3:], None, "rotation_vector"),
            "angular_vel": observations.angular_velocity(before[:, 3:], now[:, 3:], interval),
            "vel": observations.base_velocity(before[:, :3], now[:, :3], interval),
        }


def batched(name: str, robots: int, threads: int, own: bool) -> Contender:
    """`Simulation.step`."""
    simulation = fresh(robots, threads, own)
    return Contender(name, own, lambda actions: simulation.step(actions, SUBSTEPS), simulation)


def bare_loop(name: str, robots: int, threads: int, own: bool) -> Contender:
    """`mj_step` over one `MjData` for each robot, each thread with its share; `mj_step` releases Python's lock."""
    simulation = fresh(robots, threads, own)
    models = simulation._models
    datas = [mujoco.MjData(model) for model in models]
    for data, qpos in zip(datas, simulation.qpos, strict=True):
        data.qpos[:] = qpos
    pool = ThreadPoolExecutor(threads)
    shares = np.array_split(np.arange(robots), threads)

    def advance_share(share: np.ndarray, controls: np.ndarray) -> None:
        for i in share:
            datas[i].ctrl[:] = controls[i]
            mujoco.mj_step(models[i], datas[i], SUBSTEPS)

    def advance(actions: np.ndarray) -> None:
        controls = -MAX_TORQUE * actions
        for done in [pool.submit(advance_share, share, controls) for share in shares]:
            done.result()
        for i, data in enumerate(datas):  # so that all contenders are observed alike
            simulation.qpos[i] = data.qpos
            simulation.qvel[i] = data.qvel

    return Contender(name, own, advance, simulation)


def rollout(name: str, robots: int, threads: int, own: bool) -> Contender:
    """`mujoco.rollout`, from state to state."""
    simulation = fresh(robots, threads, own)
    models = simulation._models
    datas = [mujoco.MjData(models[0]) for _ in range(threads)]
    roll = Rollout(nthread=threads)
    full = mujoco.mjtState.mjSTATE_FULLPHYSICS.value
    state = np.empty((robots, mujoco.mj_stateSize(models[0], full)))
    start = mujoco.MjData(models[0])
    for i in range(robots):
        start.qpos[:] = simulation.qpos[i]
        mujoco.mj_getState(models[0], start, state[i], full)
    nq, nv = models[0].nq, models[0].nv

    def advance(actions: np.ndarray) -> None:
        controls = np.repeat(-MAX_TORQUE * actions[:, None], SUBSTEPS, axis=1)
        states, _ = roll.rollout(models, datas, state, controls, nstep=SUBSTEPS)
        state[:] = states[:, -1]
        simulation.qpos[:] = state[:, 1 : 1 + nq]
        simulation.qvel[:] = state[:, 1 + nq : 1 + nq + nv]

    return Contender(name, own, advance, simulation)


def fresh(robots: int, threads: int, own: bool) -> Simulation:
    """Robots about to land on terrains of fixed seeds, which are as stiff with either contact."""
    simulation = Simulation(robots, TerrainOptions(), TIMESTEP, threads=threads)
    if not own:
        for model in simulation._models:
            model.geom("terrain").priority = 0  # MuJoCo's default stiffness, for each of five contacts
            model.geom("terrain").solimp = mujoco.MjSpec().default.geom.solimp
    simulation.reset(np.arange(robots), range(robots))
    return simulation


CONTENDERS = (
    ("loop of mj_step", bare_loop, False),
    ("loop of mj_step, own terrain contact", bare_loop, True),
    ("mujoco.rollout", rollout, False),
    ("poise, MuJoCo's terrain contact", batched, False),
    ("poise", batched, True),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--robots", type=int, default=64)
    parser.add_argument("--threads", type=int, default=0, help="0 for all cores")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    threads = options.threads or available_cores()

    contenders = [make(name, options.robots, threads, own) for name, make, own in CONTENDERS]
    for contender in contenders:
        contender.run(WARM_UP)
    seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for _ in range(options.repeats):
        for contender in contenders:
            seconds[contender.name].append(contender.run(ACTIONS))

    steps = options.robots * ACTIONS * SUBSTEPS
    baseline = seconds[CONTENDERS[0][0]]
    rows = []
    for contender in contenders:
        spent = seconds[contender.name]
        ratio = median(b / s for b, s in zip(baseline, spent, strict=True))
        rows.append((contender.name, steps / median(spent), 1e6 * median(spent) / steps, ratio, contender.fallen()))
    columns = ("simulation", "steps/s", "µs/step", "x loop", "fallen")
    report(
        f"{options.robots} standing robots, {threads} threads, medians of {options.repeats}",
        columns,
        [(name, f"{rate:,.0f}", cost, ratio, fallen) for name, rate, cost, ratio, fallen in rows],
        {"robots": options.robots, "threads": threads, "seconds": seconds}
        | {"table": [dict(zip(columns, row, strict=True)) for row in rows]},
        options.json,
    )


if __name__ == "__main__":
    main()
