"""Who is filmed, and from where: ballbots by a camera that travels along, others as they draw themselves."""

import math
import sys
from collections.abc import Mapping
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from poise.envs.ballbot import BallbotVectorEnv
from poise.errors import PoiseError
from poise.sim.insets import draw_depth
from poise.training.environments import control_step, make_vector_env, successes_of_step, tells_of_success
from poise.training.mp4 import Picture
from poise.training.overlay import draw_readouts

AnyEnv = VectorEnv[Any, Any, Any]


class Stage(Protocol):
    """An environment and how to draw it."""

    env: AnyEnv
    step_time: float
    longest: int
    """Steps of an episode at most."""

    def watch(self, info: Mapping[str, Any]) -> None:
        """A step has been taken."""
        ...

    def draw(self, info: Mapping[str, Any], time: float) -> Picture:
        """The present moment."""
        ...

    def verdict(self, info: Mapping[str, Any], time: float, ended: bool) -> str:
        """How the episode stands after a step, which may have ended it by more than a limit of time."""
        ...

    def travelled(self) -> float | None:
        """From the start to where it was seen last, m, as the crow flies."""
        ...


class BallbotStage:
    """A ballbot seen by a camera that travels along."""

    _SMOOTH = 0.25
    """Time constant of the speed that is shown, s: the true one trembles with every step."""
    _STRIDE = 0.03
    """Distance of the points of the line on the ground, m."""
    longest = sys.maxsize  # its limit is lifted

    def __init__(self, env: BallbotVectorEnv, width: int, height: int) -> None:
        from poise.sim.renderer import SceneView  # brings OpenGL with it, which few processes need

        self.env: AnyEnv = env
        self.step_time = control_step(env)
        self._task = env.task
        self._view = SceneView(env.task.simulation.model, width, height)
        self._position = np.zeros(2)
        self._path: list[NDArray[np.float64]] = []
        self._speed = 0.0

    def watch(self, info: Mapping[str, Any]) -> None:
        self._follow()
        share = 1.0 - math.exp(-self.step_time / self._SMOOTH)
        self._speed += share * (float(info["speed"][0]) - self._speed)

    def draw(self, info: Mapping[str, Any], time: float) -> Picture:
        task = self._task
        simulation = task.simulation
        self._follow()
        path = np.array([*self._path, self._position]) if len(self._path) > 1 else None
        picture = self._view.render(simulation.qpos[0], simulation.heights[0], task.goal(0), path)
        if task.vision is not None:
            picture = draw_depth(picture, list(task.vision.depth(0)), task.options.cameras.max_depth)
        return draw_readouts(
            picture,
            {
                "time": f"{time:.1f} s",
                "speed to goal": f"{round(self._speed, 2) + 0.0:.2f} m/s",
                "travelled": f"{self.travelled():.2f} m",
                "tilt": f"{float(info['tilt'][0]) if info else 0.0:.1f}°",
            },
        )

    def verdict(self, info: Mapping[str, Any], time: float, ended: bool) -> str:
        if not ended:
            return "did not fall"
        left_map = bool(info["final_info"]["off_map"][0])
        return f"{'left the map' if left_map else 'fell'} after {time:.1f} s"

    def travelled(self) -> float:
        return float(np.linalg.norm(self._position - self._path[0]))

    def _follow(self) -> None:
        """Remember where the robot is."""
        simulation = self._task.simulation
        self._position = simulation.qpos[0, simulation.base_qpos : simulation.base_qpos + 2].copy()
        if not self._path or np.linalg.norm(self._position - self._path[-1]) > self._STRIDE:
            self._path.append(self._position)


def drawn_by(env: AnyEnv) -> list[Picture]:
    """What each of several environments draws of itself.

    Raises:
        PoiseError: nothing, or it cannot.
    """
    try:
        pictures = env.render()
    except gym.error.Error as error:  # what it draws with is not installed, as a rule
        raise PoiseError(f"the environment cannot draw itself: {error}") from error
    if not pictures or not isinstance(pictures[0], np.ndarray):
        raise PoiseError("the environment returned no picture from render(), so there can be no video of it")
    return [np.asarray(picture, np.uint8)[..., :3] for picture in pictures]


def longest_episode(env: AnyEnv) -> int:
    """Steps after which an episode is over at the latest, as far as the environment tells."""
    limits = (getattr(getattr(env, "options", None), "max_steps", None), env.spec and env.spec.max_episode_steps)
    return min((int(limit) for limit in limits if limit), default=sys.maxsize)


def has_succeeded(info: Mapping[str, Any]) -> bool:
    """Whether the only environment says so of the step just made."""
    return bool(successes_of_step(info, np.zeros(1))[0])


class OtherStage:
    """An environment that draws itself."""

    def __init__(self, env: AnyEnv) -> None:
        self.env = env
        self.step_time = 1.0 / float(env.metadata.get("render_fps") or 30.0)
        self.longest = longest_episode(env)

    def watch(self, info: Mapping[str, Any]) -> None:
        """Nothing to remember."""

    def draw(self, info: Mapping[str, Any], time: float) -> Picture:
        return draw_readouts(drawn_by(self.env)[0], {"time": f"{time:.1f} s"})

    def verdict(self, info: Mapping[str, Any], time: float, ended: bool) -> str:
        succeeded = has_succeeded(info)
        if ended or succeeded:
            return f"{'succeeded' if succeeded else 'ended'} after {time:.1f} s"
        return "did not succeed" if tells_of_success(info) else "did not fail"

    def travelled(self) -> None:
        return None


def stage_for(env_id: str, options: Mapping[str, Any], seconds: float, width: int, height: int) -> Stage:
    """An environment to be filmed for so long, in pictures of so many pixels.

    Raises:
        PoiseError: it draws no pictures.
    """
    env = make_vector_env(env_id, 1, dict(options), threads=1)
    if isinstance(env, BallbotVectorEnv):
        needed = math.ceil(seconds / env.options.timestep) + 1
        if env.options.max_steps < needed:
            env.close()
            env = make_vector_env(env_id, 1, {**options, "max_steps": needed}, threads=1)
        assert isinstance(env, BallbotVectorEnv)
        return BallbotStage(env, width, height)
    modes = env.metadata.get("render_modes") or []
    env.close()
    if "rgb_array" not in modes:
        raise PoiseError(f"'{env_id}' has no render mode 'rgb_array': it draws no pictures a video could be made of")
    return OtherStage(make_vector_env(env_id, 1, {**options, "render_mode": "rgb_array"}))
