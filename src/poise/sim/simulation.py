"""Many ballbots at once, each on its own terrain, stepped by MuJoCo on all cores."""

import copy
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import mujoco
import numpy as np
from mujoco.batch import Batch, SimulationError
from numpy.typing import NDArray

from poise.cores import available_cores
from poise.sim.depth import DepthCameras
from poise.sim.model import Integrator, ballbot_model
from poise.sim.terrain import TerrainOptions

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

MAX_TORQUE = 10.0
"""Torque of a motor at full action, N m; the data sheet's sign: joint torque = -10 * action."""

SPAWN_CLEARANCE = 0.01
"""A robot is lifted by the height of the highest node below the ball and this, m; so its ball hangs 4 cm above that."""

_DIVERGENCE = [
    int(mujoco.mjtWarning.mjWARN_INERTIA),
    int(mujoco.mjtWarning.mjWARN_BADQPOS),
    int(mujoco.mjtWarning.mjWARN_BADQVEL),
    int(mujoco.mjtWarning.mjWARN_BADQACC),
]
"""What MuJoCo warns of when a robot diverges."""

_BLOWN_UP = 1e3
"""A robot with a position (m) or velocity (m/s, rad/s) beyond this has diverged."""


class Simulation:
    """`num_robots` ballbots. All that changes is in `state` and the terrains; nothing is read from derived fields.

    Args:
        num_robots: how many.
        terrain: the ground; every robot has one of its own.
        timestep: of the physics, s.
        integrator: `implicitfast`, or `rk4` at 3-4 times the cost.
        threads: to spread the robots over; 0 for all cores. Results do not depend on it.

    Attributes:
        qpos: (N, nq) live view of the configurations; m, unit quaternions, rad.
        qvel: (N, nv) live view of the velocities; m/s, rad/s.
        heights: (N, nodes, nodes) float32 terrain nodes in [0, 1].
        terrain_seeds: (N,) seed of each terrain, -1 before the first reset.
    """

    def __init__(
        self,
        num_robots: int,
        terrain: TerrainOptions,
        timestep: float = 0.002,
        integrator: Integrator = "implicitfast",
        threads: int = 0,
    ) -> None:
        self.num_robots = num_robots
        self.terrain = terrain
        self.timestep = timestep
        self.threads = threads or available_cores()
        self.model = ballbot_model(terrain, timestep, integrator)
        # Accelerometer and gyro would cost a twentieth of every step, and what robots feel comes from the state.
        self.model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_SENSOR)
        self._models = [copy.copy(self.model) for _ in range(num_robots)]
        self._batch = Batch(self.model, nsim=num_robots, nthread=self.threads)
        self._batch.set_models(self._models)
        self._expect_divergence()
        self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="poise-sim")
        self.qpos: Array = self._batch.bind("qpos")
        self.qvel: Array = self._batch.bind("qvel")
        self._ctrl: Array = self._batch.bind("ctrl")
        self.heights = np.zeros((num_robots, terrain.nodes, terrain.nodes), np.float32)
        self.terrain_seeds = np.full(num_robots, -1, np.int64)
        self.base_qpos = int(self.model.joint("base").qposadr[0])
        self.ball_qpos = int(self.model.joint("ball").qposadr[0])
        self.base_qvel = int(self.model.joint("base").dofadr[0])
        self.ball_qvel = int(self.model.joint("ball").dofadr[0])
        self.wheel_qvel = np.array([self.model.joint(f"wheel_{i}").dofadr[0] for i in range(3)], np.int64)
        self._ball_radius = float(self.model.geom("ball").size[0])

    def cameras(self, names: Sequence[str], height: int, width: int, max_depth: float = 1.0) -> DepthCameras:
        """Depth cameras of these robots, sharing their threads."""
        return DepthCameras(self.model, tuple(names), height, width, max_depth, self._pool, self.threads)

    def reset(self, robots: Indices, seeds: Iterable[int]) -> None:
        """Put robots upright and at rest onto terrains generated from `seeds`, lifted clear of the ground."""
        wanted = np.fromiter(seeds, np.int64)
        changed = self.terrain_seeds[robots] != wanted
        list(self._pool.map(self._set_terrain, robots[changed], wanted[changed]))
        self._batch.reset(robots.astype(np.int32), stage=mujoco.mjtStage.mjSTAGE_NONE.value)
        self._expect_divergence()
        lift = self._ground_below_ball(robots) + SPAWN_CLEARANCE
        self.qpos[robots, self.base_qpos + 2] += lift
        self.qpos[robots, self.ball_qpos + 2] += lift

    def step(self, actions: Array, substeps: int = 1) -> None:
        """Advance every robot by `substeps` time steps under constant actions (N, 3) in [-1, 1].

        A robot whose simulation raises keeps its last state; `diverged` reports it.
        """
        self._ctrl[:] = -MAX_TORQUE * actions
        try:
            self._batch.step(nstep=substeps)
        except SimulationError as error:
            self.qvel[error.ids] = np.nan

    def ball_centres(self) -> Array:
        """(N, 3) centres of the balls, m; the ball's own frame, which turns with it, is above its centre."""
        first, offset = self.ball_qpos, self.model.geom("ball").pos[2]
        w, x, y, z = self.qpos[:, first + 3 : first + 7].T
        axis = np.stack([2.0 * (x * z + w * y), 2.0 * (y * z - w * x), 1.0 - 2.0 * (x * x + y * y)], axis=1)
        centres: Array = self.qpos[:, first : first + 3] + offset * axis
        return centres

    def diverged(self) -> NDArray[np.bool_]:
        """(N,) which robots' states are not finite or beyond reason."""
        extreme = np.maximum(np.abs(self.qpos).max(axis=1), np.abs(self.qvel).max(axis=1))
        return ~(extreme < _BLOWN_UP)

    @property
    def moments(self) -> Array:
        """(N, W) live view of the integrator's state of every robot: all but the terrains that a step depends on."""
        states: Array = self._batch.state
        return states

    def state(self) -> dict[str, Any]:
        """Everything needed to continue: the integrator's states and the terrains' seeds."""
        return {"physics": self.moments.copy(), "terrain_seeds": self.terrain_seeds.copy()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from `state()` of a simulation with the same options, bit for bit."""
        wanted = state["terrain_seeds"]
        changed = np.flatnonzero((wanted != self.terrain_seeds) & (wanted >= 0))
        list(self._pool.map(self._set_terrain, changed, wanted[changed]))
        self.moments[:] = state["physics"]

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def _expect_divergence(self) -> None:
        """Let MuJoCo neither print warnings of it nor write MUJOCO_LOG.TXT: it tells but the first of each kind."""
        self._batch.warning[:, _DIVERGENCE, 1] = 1

    def _set_terrain(self, robot: int, seed: int) -> None:
        heights = self.terrain.generate(int(seed))
        self.heights[robot] = heights
        self._models[robot].hfield_data[:] = heights.ravel()
        self.terrain_seeds[robot] = seed

    def _ground_below_ball(self, robots: Indices) -> Array:
        """(K,) m: the highest node within the ball's bounding box, the ball standing at the centre of the map."""
        middle = self.terrain.nodes // 2
        reach = int(np.ceil(self._ball_radius / self.terrain.cell))
        around = slice(max(middle - reach, 0), middle + reach + 1)
        highest: Array = self.heights[robots, around, around].max(axis=(1, 2)).astype(np.float64)
        return highest * self.terrain.height
