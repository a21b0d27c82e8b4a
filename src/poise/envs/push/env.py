"""The push task as a gymnasium environment."""

from __future__ import annotations

from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from poise.config import parse
from poise.envs.processes import ProcessVectorEnv
from poise.envs.push.camera import PushCamera
from poise.envs.push.options import CONTROL_STEP, PushOptions
from poise.envs.push.world import PushWorld
from poise.errors import InvalidValueError

Observation = dict[str, NDArray[Any]]


class PushEnv(gym.Env[Observation, NDArray[Any]]):
    """A Franka arm pushes a cube over a table to its goal.

    Observation, a mapping:
        image      (3, height, width) uint8, what the camera sees
        state      (3,) m, where the gripper's tip is, world frame
        cube       (3,) m, the cube's centre: for experts, which a policy that sees has no need of
        goal       (3,) m, where it is to go: likewise

    Action: (3,) in [-1, 1], the displacement of the gripper asked for, of 5 cm.

    Reward: -1 for each step after which the cube is not within 5 cm of its goal. Then the episode ends, and
    `info["success"]` is true. `info["distance"]` is that of the cube from its goal, m, and `info["redrawn"]`, after a
    reset, tells how many starts were passed over because they were solved.

    Seeds determine episodes, whatever came before them.

    Args:
        render_mode: "rgb_array" or None.
        options: fields of `PushOptions`, e.g. `camera={"height": 64, "width": 64}`.

    Raises:
        InvalidValueError: an option is unknown or impossible.
        PoiseError: panda-gym is not installed.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": round(1 / CONTROL_STEP)}  # noqa: RUF012  (as gymnasium has it)

    def __init__(self, render_mode: str | None = None, **options: Any) -> None:
        if render_mode not in (None, "rgb_array"):
            raise InvalidValueError(f"render_mode must be 'rgb_array' or None, got {render_mode!r}")
        self.render_mode = render_mode
        self.options = _parsed(options)
        corruptions, camera = self.options.corruptions, self.options.camera
        self._world = PushWorld(self.options.colours, corruptions.distractor)
        self._camera = PushCamera(self._world, camera, corruptions)
        self._steps = 0
        place = spaces.Box(-np.inf, np.inf, (3,), np.float32)
        image = spaces.Box(0, 255, (3, camera.height, camera.width), np.uint8)
        seen: dict[str, spaces.Space[Any]] = {"image": image} if camera.enabled else {}
        space: Any = spaces.Dict({**seen, "state": place, "cube": place, "goal": place})
        self.observation_space = space
        self.action_space = spaces.Box(-1.0, 1.0, (3,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """A new episode; options are none."""
        super().reset(seed=seed)
        self._steps = 0
        redrawn = 0
        self._world.reset(self.np_random)
        while self._world.is_solved and not self.options.allow_solved:
            redrawn += 1
            self._world.reset(self.np_random)
        self._camera.reset(self.np_random)
        if self.options.corruptions.distractor:
            self._world.place_distractor(self.np_random)
        return self._observation(), self._info() | {"redrawn": redrawn}

    def step(self, action: NDArray[Any]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """One decision.

        Raises:
            InvalidValueError: the action is of another shape, or not finite.
        """
        action = np.asarray(action, np.float64)
        if action.shape != (3,) or not np.isfinite(action).all():
            raise InvalidValueError(f"an action must be 3 finite numbers in [-1, 1], got {action!r}")
        self._world.step(np.clip(action, -1.0, 1.0))
        self._steps += 1
        info = self._info()
        solved = bool(info["success"])
        return (
            self._observation(),
            -float(not solved),
            solved,
            not solved and self._steps >= self.options.max_steps,
            info,
        )

    def render(self) -> Any:
        """(480, 480, 3) uint8, with the whole arm; None without a render mode."""
        return self._camera.film(480) if self.render_mode else None

    def close(self) -> None:
        """Free the simulation."""
        self._world.close()

    def _observation(self) -> Observation:
        seen: Observation = {"image": self._camera.take()} if self.options.camera.enabled else {}
        world = self._world
        felt = {"state": world.gripper, "cube": world.cube, "goal": world.goal}
        return seen | {name: value.astype(np.float32) for name, value in felt.items()}

    def _info(self) -> dict[str, Any]:
        return {"success": self._world.is_solved, "distance": self._world.distance}


class PushVectorEnv(ProcessVectorEnv):
    """Many of them, in several processes.

    Attributes:
        most_side_by_side: as many as an evaluation makes at a time, each taking some 90 MB and half a second to make.

    Args:
        num_envs: how many.
        threads: processes, 0 for as many as there are cores; results do not depend on it.
        render_mode: "rgb_array" or None.
        options: fields of `PushOptions`.

    Raises:
        InvalidValueError, PoiseError: as `PushEnv`.
    """

    most_side_by_side = 16

    def __init__(self, num_envs: int = 1, threads: int = 0, render_mode: str | None = None, **options: Any) -> None:
        self.options = _parsed(options)
        super().__init__(partial(PushEnv, render_mode, **options), num_envs, threads)
        self.render_mode = render_mode


def _parsed(options: dict[str, Any]) -> PushOptions:
    return parse(PushOptions, options, "options of poise/Push-v0")
