"""The ballbot's task for many robots: reset some, step all. The environments add automatic resets."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from poise.config import parse
from poise.envs import observations, rewards, rotations
from poise.envs.disturbances import Disturbances
from poise.envs.instructions import Instructions
from poise.envs.options import BallbotOptions, RewardOptions
from poise.envs.retries import Retries
from poise.envs.senses import LastStep, Senses
from poise.envs.spaces import action_space, observation_space
from poise.envs.starts import spread_start
from poise.envs.vision import Vision
from poise.errors import InvalidValueError
from poise.sim.simulation import Indices, Simulation

if TYPE_CHECKING:
    from poise.sim.renderer import SceneView

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
Observation = dict[str, NDArray[np.float32]]


class Outcome(NamedTuple):
    """What a step brought each robot."""

    observation: Observation
    reward: Array
    terminated: Bools
    truncated: Bools
    info: dict[str, NDArray[Any]]


class BallbotTask:
    """`num_robots` robots at the same task.

    Args:
        num_robots: how many.
        options: of the task.
        threads: for the physics and the cameras; 0 for all cores. Results do not depend on it.

    Robot i's whole life is determined by the seed of its `reset` and its actions, whatever the other robots do.
    """

    def __init__(self, num_robots: int, options: BallbotOptions, threads: int = 0) -> None:
        self.num_robots = num_robots
        self.options = options
        self.simulation = Simulation(num_robots, options.terrain, options.timestep, options.integrator, threads)
        self.vision = Vision(self.simulation, options) if options.cameras.enabled else None
        self._instructions = Instructions(options.instruction, num_robots) if options.instruction.enabled else None
        self._disturbances = Disturbances(options, num_robots)
        self._senses = Senses(options, self.simulation, self._disturbances, self._instructions)
        self._generators = [np.random.default_rng() for _ in range(num_robots)]
        self._everyone = np.arange(num_robots)
        self._steps = np.zeros(num_robots, np.int64)
        self._episodes = np.zeros(num_robots, np.int64)
        self._goal = np.tile(_unit(np.array(options.goal.direction)), (num_robots, 1))
        self._actions = np.zeros((num_robots, 3))
        self._turn_rate = np.zeros((num_robots, 3))
        self._velocity = np.zeros((num_robots, 3))
        self._fallen = np.zeros(num_robots, np.bool_)
        self._retries = Retries(options.start.retry, num_robots, self._moments().shape[1], options.control_step)
        self._scene_view: SceneView | None = None
        self.diverged_episodes = 0
        self.observation_space = observation_space(options)
        self.action_space = action_space()

    # --- the life of an episode ---------------------------------------------------------------------------------

    def reset(self, robots: Indices, seeds: Sequence[int | None]) -> None:
        """Start a new episode for some robots; a seed of None goes on with the robot's generator.

        Raises:
            InvalidValueError: a seed is negative.
        """
        negative = [seed for seed in seeds if seed is not None and seed < 0]
        if negative:
            raise InvalidValueError(f"a seed must be a whole number of at least 0, got {negative[0]}")
        again = np.zeros(len(robots), np.bool_)
        for i, (robot, seed) in enumerate(zip(robots, seeds, strict=True)):
            if seed is None:
                again[i] = self._begin_again(robot)
            else:
                self._generators[robot] = np.random.default_rng(seed)
                self._episodes[robot] = 0
        self._begin(robots[~again])
        self._steps[robots] = 0
        self._fallen[robots] = False
        self._retries.forget(robots)
        self._disturbances.reset(robots, self._generators)
        self._disturbances.draw_noise(robots, self._generators)
        self._senses.begin(robots, self._last)
        if self._instructions is not None:
            self._instructions.vary(robots, self._generators)
        if self.vision is not None:
            self.vision.reset(robots, self._generators)

    def step(self, actions: NDArray[Any]) -> Outcome:
        """Advance every robot by one action (N, 3) in [-1, 1]; beyond is clipped.

        A robot that is given no numbers to act on counts as one whose simulation has diverged.

        Raises:
            InvalidValueError: the actions have another shape.
        """
        options, simulation = self.options, self.simulation
        given = self._checked(actions)
        self._senses.pass_on(self._last)
        self._actions = self._commanded(np.clip(np.nan_to_num(given, nan=0.0), -1.0, 1.0))
        self._disturbances.push(simulation, self._generators)
        before = self._base_pose()
        simulation.step(self._disturbances.delayed(self._actions), options.decimation)
        self._steps += options.decimation
        diverged = simulation.diverged() | np.isnan(given).any(axis=1)
        if diverged.any():
            self._hold_diverged(diverged, before)
        position, quaternion = self._base_pose()
        self._velocity = observations.base_velocity(before[0], position, options.control_step)
        self._turn_rate = observations.angular_velocity(before[1], quaternion, options.control_step)
        self._disturbances.draw_noise(self._everyone, self._generators)
        if self._instructions is not None:
            self._instructions.vary(self._everyone, self._generators)
        if self.vision is not None:
            self.vision.advance(self._generators)
        if self._retries.enabled:
            self._retries.record(self._moments())
        return self._judge(position, quaternion, diverged)

    def observe(self) -> Observation:
        """What the robots sense now; the same however often it is asked."""
        sensed = self._senses.observe(self._last, self._goal)
        result: Observation = {name: value.astype(np.float32) for name, value in sensed.items()}
        if self.vision is not None:
            result.update(self.vision.observe())
        return result

    def picture(self, robot: int) -> NDArray[np.uint8]:
        """(480, 640, 3) a robot seen from outside, its goal drawn on the ground and its depth images in a corner."""
        from poise.sim.insets import draw_depth  # this and OpenGL are what few processes need
        from poise.sim.renderer import SceneView

        if self._scene_view is None:
            self._scene_view = SceneView(self.simulation.model)
        qpos, heights = self.simulation.qpos[robot], self.simulation.heights[robot]
        picture = self._scene_view.render(qpos, heights, self.goal(robot))
        if self.vision is None:
            return picture
        return draw_depth(picture, list(self.vision.depth(robot)), self.options.cameras.max_depth)

    def goal(self, robot: int) -> tuple[float, float]:
        """Unit vector of where a robot is to go; x and y, world frame."""
        return float(self._goal[robot, 0]), float(self._goal[robot, 1])

    def set_goal(self, directions: NDArray[Any]) -> None:
        """Command every robot's goal: (2,) or (N, 2), any length but zero; x and y, world frame.

        Raises:
            InvalidValueError: the shape is another, or a direction has no length.
        """
        wanted = np.asarray(directions, np.float64)
        if wanted.shape not in ((2,), (self.num_robots, 2)):
            raise InvalidValueError(
                f"goal directions must have shape (2,) or ({self.num_robots}, 2), got {wanted.shape}"
            )
        if not (np.isfinite(wanted).all() and wanted.any(axis=-1).all()):
            raise InvalidValueError("goal directions must be finite and have a length; (0, 0) points nowhere")
        if self._instructions is not None:
            raise InvalidValueError("the goal is what the instruction says; use set_instruction")
        self._goal[:] = _unit(wanted)

    def instruction(self, robot: int) -> str:
        """The sentence that a robot is told; empty without `instruction.enabled`."""
        return "" if self._instructions is None else self._instructions.texts[robot]

    def set_instruction(self, texts: str | Sequence[str]) -> None:
        """Tell all robots the same, or each its own sentence, for the rest of the episode.

        Raises:
            InvalidValueError: instructions are not enabled, one is empty, or there are not as many as robots.
        """
        if self._instructions is None:
            raise InvalidValueError("robots take no instructions here; set instruction.enabled to true")
        self._instructions.tell(texts)
        self._goal[:] = self._instructions.headings

    def set_reward_weights(self, weights: Mapping[str, float]) -> None:
        """Change some of the reward's weights, by their names in `RewardOptions`, from the next step on.

        Raises:
            InvalidValueError: a name is unknown or a weight impossible.
        """
        given = self.options.rewards.model_dump() | dict(weights)
        rewards_now = parse(RewardOptions, given, "weights of the ballbot's reward")
        self.options = self.options.model_copy(update={"rewards": rewards_now})

    def close(self) -> None:
        """End the simulation's threads and release the renderer."""
        if self.vision is not None:
            self.vision.close()
        if self._scene_view is not None:
            self._scene_view.close()
            self._scene_view = None
        self.simulation.close()

    # --- state, to stop and go on -------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything needed to continue bit for bit."""
        return {
            "simulation": self.simulation.state(),
            "vision": self.vision.state() if self.vision is not None else {},
            "instructions": self._instructions.state() if self._instructions is not None else {},
            "disturbances": self._disturbances.state(),
            "senses": self._senses.state(),
            "retries": self._retries.state(),
            "generators": [generator.bit_generator.state for generator in self._generators],
            "diverged_episodes": self.diverged_episodes,
            "reward_weights": self.options.rewards.model_dump(),
            **{name: getattr(self, f"_{name}").copy() for name in _STATE},
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from `state()` of a task with the same options."""
        self.simulation.load_state(state["simulation"])
        if self._instructions is not None:
            self._instructions.load_state(state["instructions"])
        self._disturbances.load_state(state["disturbances"])
        self._senses.load_state(state["senses"])
        self._retries.load_state(state["retries"])
        for generator, saved in zip(self._generators, state["generators"], strict=True):
            generator.bit_generator.state = saved
        self.diverged_episodes = state["diverged_episodes"]
        self.set_reward_weights(state["reward_weights"])
        for name in _STATE:
            getattr(self, f"_{name}")[...] = state[name]
        if self.vision is not None:
            self.vision.load_state(state["vision"])

    # --- parts --------------------------------------------------------------------------------------------------

    def _commanded(self, actions: Array) -> Array:
        """What the motors are told: the actions themselves, or the last command changed by them."""
        increment = self.options.action_increment
        return actions if increment is None else np.clip(self._actions + increment * actions, -1.0, 1.0)

    def _checked(self, actions: NDArray[Any]) -> Array:
        """(N, 3) the caller's actions."""
        given = np.asarray(actions, np.float64)
        if given.shape != (self.num_robots, 3):
            raise InvalidValueError(f"actions must have shape ({self.num_robots}, 3), got {given.shape}")
        return given

    def _judge(self, position: Array, quaternion: Array, diverged: Bools) -> Outcome:
        """Reward the step and find out whose episode is over."""
        options = self.options
        tilt = np.degrees(rotations.tilt_angle(quaternion))
        count, weights = options.decimation, options.rewards
        speed = rewards.directional(self._velocity, self._goal)
        off_map = np.abs(position[:, :2]).max(axis=1) > options.terrain.half_size
        self._fallen = (tilt > options.max_tilt) & ~diverged
        terminated = self._fallen | off_map | diverged
        if self._instructions is None:
            paid_speed = rewards.directional(self._velocity, self._goal, weights.top_speed)
        else:
            paid_speed = rewards.following(self._velocity, self._instructions.velocities())
        terms = {
            "directional": count * weights.directional * paid_speed,
            "effort": -count * weights.effort * rewards.effort(self._actions),
            "survival": count * weights.survival * rewards.survival(tilt, options.max_tilt),
            "failure": -weights.failure * terminated.astype(np.float64),
        }
        arrived = ~terminated & self._arrived(position)
        truncated = arrived | (~terminated & (self._steps >= options.max_steps))
        info: dict[str, NDArray[Any]] = {f"reward_{name}": value for name, value in terms.items()}
        info |= {
            "tilt": tilt,
            "position": position,
            "speed": speed,
            "steps": self._steps.copy(),
            "success": truncated if options.goal.distance is None else arrived,
            "failure": terminated,
            "off_map": off_map,
            "diverged": diverged,
        }
        if self._instructions is not None:
            info["command"] = self._instructions.velocities()
        reward = sum(terms.values(), np.zeros(self.num_robots))
        return Outcome(self.observe(), reward, terminated, truncated, info)

    def _arrived(self, position: Array) -> Bools:
        """Who has come as far as the goal is."""
        distance = self.options.goal.distance
        if distance is None:
            return np.zeros(self.num_robots, np.bool_)
        along: Array = (position[:, :2] * self._goal).sum(axis=1)
        return along >= distance

    def _terrain_seed(self, robot: int) -> int:
        """A new terrain every `episodes_per_terrain` episodes, drawn from the robot's generator."""
        if self._episodes[robot] % self.options.terrain.episodes_per_terrain:
            return int(self.simulation.terrain_seeds[robot])
        return int(self._generators[robot].integers(2**31))

    def _begin(self, robots: Indices) -> None:
        """Put robots at the start of new episodes, on the terrains whose turn it is."""
        self.simulation.reset(robots, [self._terrain_seed(robot) for robot in robots])
        self._episodes[robots] += 1
        for robot in robots:
            self._start(robot, self._generators[robot])
        for quantity in self._last:
            quantity[robots] = 0.0

    def _begin_again(self, robot: int) -> bool:
        """Put a robot that has fallen where it was shortly before, if it is to have another try."""
        if not (self._retries.enabled and self._fallen[robot]):
            return False
        moment = self._retries.recall(robot, self._generators[robot])
        if moment is None:
            return False
        physics, *felt = np.split(moment, [-9, -6, -3])
        self.simulation.moments[robot] = physics
        for quantity, then in zip(self._last, felt, strict=True):
            quantity[robot] = then
        return True

    def _moments(self) -> Array:
        """(N, W) what to remember of every robot to begin again where it is now; actions under way are forgotten."""
        return np.concatenate([self.simulation.moments, *self._last], axis=1)

    @property
    def _last(self) -> LastStep:
        return LastStep(self._actions, self._turn_rate, self._velocity)

    def _start(self, robot: int, generator: np.random.Generator) -> None:
        """Draw the goal, or the instruction that sets it, and spread the start."""
        if self.options.goal.kind == "sampled":
            angle = generator.uniform(-np.pi, np.pi)
            self._goal[robot] = np.cos(angle), np.sin(angle)
        if self._instructions is not None:
            self._instructions.draw(robot, generator)
            self._goal[robot] = self._instructions.headings[robot]
        spread_start(self.simulation, robot, self.options.start, generator)

    def _base_pose(self) -> tuple[Array, Array]:
        """(N, 3) positions and (N, 4) quaternions of the bases; copies."""
        first = self.simulation.base_qpos
        pose = self.simulation.qpos[:, first : first + 7].copy()
        return pose[:, :3], pose[:, 3:]

    def _hold_diverged(self, diverged: Bools, before: tuple[Array, Array]) -> None:
        """Put robots whose state is not finite back where they were, so that nothing but numbers leaves the task."""
        self.diverged_episodes += int(diverged.sum())
        simulation = self.simulation
        simulation.reset(np.flatnonzero(diverged), simulation.terrain_seeds[diverged])
        pose = np.concatenate(before, axis=1)
        known = diverged & np.isfinite(pose).all(axis=1)
        simulation.qpos[known, simulation.base_qpos : simulation.base_qpos + 7] = pose[known]
        for pose_before, pose_now in zip(before, self._base_pose(), strict=True):
            pose_before[diverged] = pose_now[diverged]  # who was held has not moved


_STATE = ("steps", "episodes", "goal", "actions", "turn_rate", "velocity", "fallen")


def _unit(directions: Array) -> Array:
    """Directions (..., 2) scaled to length one."""
    return directions / np.linalg.norm(directions, axis=-1, keepdims=True)
