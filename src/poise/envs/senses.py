"""Everything that robots sense but images: what they feel of themselves, and what they are told."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from poise.envs import observations, rotations
from poise.envs.disturbances import Disturbances
from poise.envs.history import History
from poise.envs.instructions import COMMAND, COMPASS, INSTRUCTION, Instructions
from poise.envs.options import ENGAGING_BLOCK, BallbotOptions
from poise.sim.simulation import Indices, Simulation

Array = NDArray[np.float64]
Sensed = dict[str, NDArray[Any]]


class LastStep(NamedTuple):
    """What robots sense of the last step and the physics does not hold, (N, 3) each."""

    actions: Array
    turn_rate: Array
    velocity: Array


class Senses:
    """What `simulation`'s robots sense.

    Args:
        options: of the task.
        simulation: where they are.
        disturbances: noise upon what they feel.
        instructions: that they are given, if any.
    """

    def __init__(
        self,
        options: BallbotOptions,
        simulation: Simulation,
        disturbances: Disturbances,
        instructions: Instructions | None,
    ) -> None:
        self._options = options
        self._simulation = simulation
        self._disturbances = disturbances
        self._instructions = instructions
        self._history = History(options.history, simulation.num_robots)

    def begin(self, robots: Indices, last: LastStep) -> None:
        """New episodes have begun."""
        if self._history.is_told:
            self._history.begin(robots, self._feel(last, *self._pose()))

    def pass_on(self, last: LastStep) -> None:
        """What is felt now is about to become the past."""
        if self._history.is_told:
            self._history.push(self._feel(last, *self._pose()))

    def observe(self, last: LastStep, goal: Array) -> Sensed:
        """All components by name; `goal` (N, 2) unit vectors, world frame."""
        options, simulation = self._options, self._simulation
        quaternion, frame = self._pose()
        sensed = self._feel(last, quaternion, frame)
        if options.goal.is_observed:
            sensed["goal"] = observations.goal(goal, frame)
        if self._instructions is not None:
            sensed[INSTRUCTION] = self._instructions.observe()
            if options.instruction.command:
                sensed[COMMAND] = observations.goal(self._instructions.velocities(), frame)
        if options.tells_compass:
            sensed[COMPASS] = observations.goal(np.tile(observations.NORTH, (simulation.num_robots, 1)), frame)
        if options.heights.enabled:
            sensed["heights"] = observations.heights(
                options.terrain,
                simulation.heights,
                simulation.ball_centres()[:, :2],
                rotations.heading(quaternion) if frame is None else frame,
                options.heights,
            )
        if options.field_ahead.enabled:
            sensed[ENGAGING_BLOCK] = observations.engaging_block(
                options.terrain.course,
                simulation.terrain_seeds,
                simulation.ball_centres()[:, 1] + options.field_ahead.distance,
                options.field_ahead.signed,
            )
        return sensed | self._history.observe()

    def state(self) -> dict[str, Any]:
        """The past that is told."""
        return self._history.state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from `state()`."""
        self._history.load_state(state)

    def _feel(self, last: LastStep, quaternion: Array, frame: Array | None) -> Sensed:
        """What robots feel of themselves, (N, 3) each, with the noise drawn last."""
        options, simulation = self._options, self._simulation
        felt: Sensed = {
            "orientation": observations.orientation(quaternion, frame, options.orientation),
            "angular_vel": last.turn_rate,
            "vel": observations.velocity(last.velocity, frame),
            "motor_state": observations.motor_state(simulation.qvel[:, simulation.wheel_qvel]),
            "actions": last.actions,
        }
        self._disturbances.blur(felt)
        return felt

    def _pose(self) -> tuple[Array, Array | None]:
        """(N, 4) quaternions of the bases, and the axes that components are given in; None for the world's."""
        first = self._simulation.base_qpos + 3
        quaternion = self._simulation.qpos[:, first : first + 4].copy()
        return quaternion, None if self._options.frame == "world" else rotations.heading(quaternion)
