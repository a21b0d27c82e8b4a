"""Videos of an agent at work: one episode, seen from outside, as an mp4 that plays everywhere.

`python -m poise.training.video SNAPSHOT FILE` makes the video of a policy that a training run has left there.
"""

import argparse
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from poise.envs.ballbot import BallbotVectorEnv
from poise.errors import InvalidValueError, PoiseError
from poise.policies import Agent
from poise.sim.insets import draw_depth
from poise.training.environments import (
    control_step,
    make_vector_env,
    successes_of_step,
    tells_of_success,
    within_bounds,
)
from poise.training.mp4 import Picture, mp4_writer
from poise.training.overlay import FAILURE, SUCCESS, draw_alert, draw_readouts
from poise.training.seeds import SELECTION_SEED

AnyEnv = VectorEnv[Any, Any, Any]

_HOLD = 1.0
"""How long the last picture stays of an episode that ended, s."""


class Filmed(NamedTuple):
    """A video, and how its episode went."""

    path: Path
    seconds: float
    total_return: float
    """Of the time that was filmed."""
    end: str
    """In words: `fell after 2.1 s`."""
    travelled: float | None
    """From the start to the end as the crow flies, m; None for what has no place."""

    def __str__(self) -> str:
        way = "" if self.travelled is None else f", {self.travelled:.2f} m from where it began"
        return f"return {self.total_return:.1f} in {self.seconds:.1f} s{way}: {self.end}"


def record_video(
    agent_for: Callable[[AnyEnv], Agent],
    env_id: str,
    options: Mapping[str, Any],
    path: Path | str,
    seconds: float = 8.0,
    seed: int = SELECTION_SEED,
    fps: float = 25.0,
    width: int = 640,
    height: int = 480,
    on_frame: Callable[[int, int], None] | None = None,
) -> Filmed:
    """Write the video of one episode in real time (H.264, yuv420p); it is whole when it appears at `path`.

    The ballbot is drawn from outside on the terrain of `seed`, with its goal, its depth images and what it does; any
    other environment as it draws itself, in its own size.

    Args:
        agent_for: makes the agent for an environment.
        env_id: gymnasium's id of the environment.
        options: keyword arguments of the environment.
        path: of the mp4 file.
        seconds: length of the video, unless the episode ends before; the ballbot's step limit is lifted to it.
        seed: of the episode.
        fps: pictures a second, at most one for each step of the environment.
        width, height: of the pictures of a ballbot, pixels.
        on_frame: told after every picture how many are done, and how many there will be if nothing goes wrong.

    Raises:
        InvalidValueError: a length, rate or size is impossible.
        PoiseError: the environment draws no pictures, or lacks something to draw with, or the disk refuses.
    """
    path = Path(path)
    check_video(path)
    _check(seconds, fps, width, height)
    stage = _stage(env_id, options, seconds, width, height)
    try:
        every = max(round(1.0 / (fps * stage.step_time)), 1)
        total = max(math.ceil(seconds / (stage.step_time * every)), 1)
        with mp4_writer(path, 1.0 / (stage.step_time * every)) as write:
            film = _Film(stage, every, total)
            total = min(total, math.ceil(stage.longest / every))
            for count, picture in enumerate(film.pictures(agent_for, seed), start=1):
                write(picture)
                if on_frame is not None:
                    on_frame(count, max(count, total))
            if on_frame is not None and count < total:  # the episode was over before
                on_frame(count, count)
    finally:
        stage.env.close()
    return Filmed(path, film.seconds, film.total_return, film.end, stage.travelled())


def check_video(path: Path) -> None:
    """Before any work: refuse a name that is no video's.

    Raises:
        InvalidValueError: it does not end in `.mp4`.
    """
    if path.suffix.lower() != ".mp4":
        raise InvalidValueError(f"{path} must end in .mp4, the only kind of video written")


class _Film:
    """One episode on a stage: a picture every so many steps, `total` at most, and what came out."""

    def __init__(self, stage: "_Stage", every: int, total: int) -> None:
        self._stage, self._every, self._total = stage, every, total
        self.seconds = 0.0
        self.total_return = 0.0
        self.end = ""

    def pictures(self, agent_for: Callable[[AnyEnv], Agent], seed: int) -> Iterator[Picture]:
        """Run the episode; the last picture of one that ended by itself stays for a while."""
        stage, every, env = self._stage, self._every, self._stage.env
        agent = agent_for(env)
        observation, _ = env.reset(seed=seed)
        picture = stage.draw({}, 0.0)
        yield picture
        for step in range(1, self._total * every + 1):
            observation, reward, terminated, truncated, info = env.step(within_bounds(agent.act(observation), env))
            agent.reset(terminated | truncated)
            self.seconds = step * stage.step_time
            self.total_return += float(reward[0])
            self.end = stage.verdict(info, self.seconds, bool(terminated[0]))
            if terminated[0] or truncated[0]:  # what would be drawn now belongs to the next episode
                if terminated[0]:
                    told = draw_alert(picture, self.end, SUCCESS if _has_succeeded(info) else FAILURE)
                    yield from [told] * math.ceil(_HOLD / (every * stage.step_time))
                return
            stage.watch(info)
            if step % every == 0 and step < self._total * every:
                picture = stage.draw(info, self.seconds)
                yield picture


class _Stage(Protocol):
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


class _BallbotStage:
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


def _has_succeeded(info: Mapping[str, Any]) -> bool:
    """Whether the only environment says so of the step just made."""
    return bool(successes_of_step(info, np.zeros(1))[0])


class _OtherStage:
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
        succeeded = _has_succeeded(info)
        if ended or succeeded:
            return f"{'succeeded' if succeeded else 'ended'} after {time:.1f} s"
        return "did not succeed" if tells_of_success(info) else "did not fail"

    def travelled(self) -> None:
        return None


def _stage(env_id: str, options: Mapping[str, Any], seconds: float, width: int, height: int) -> _Stage:
    env = make_vector_env(env_id, 1, dict(options), threads=1)
    if isinstance(env, BallbotVectorEnv):
        needed = math.ceil(seconds / env.options.timestep) + 1
        if env.options.max_steps < needed:
            env.close()
            env = make_vector_env(env_id, 1, {**options, "max_steps": needed}, threads=1)
        assert isinstance(env, BallbotVectorEnv)
        return _BallbotStage(env, width, height)
    modes = env.metadata.get("render_modes") or []
    env.close()
    if "rgb_array" not in modes:
        raise PoiseError(f"'{env_id}' has no render mode 'rgb_array': it draws no pictures a video could be made of")
    return _OtherStage(make_vector_env(env_id, 1, {**options, "render_mode": "rgb_array"}))


def _check(seconds: float, fps: float, width: int, height: int) -> None:
    if not (0 < seconds <= 3600 and 0 < fps <= 240):
        raise InvalidValueError(f"expected up to 3600 seconds and up to 240 pictures a second, got {seconds} and {fps}")
    if not (64 <= width <= 3840 and 64 <= height <= 2160) or width % 2 or height % 2:
        raise InvalidValueError(f"a video's size must be even and from 64x64 to 3840x2160, got {width}x{height}")


def main(arguments: list[str] | None = None) -> int:
    """Make the video of a snapshot and delete the snapshot; what training's background process runs."""
    from poise.training.trained import load_trained  # imported late: it leads back to the callback that starts this

    parser = argparse.ArgumentParser(prog="python -m poise.training.video", description=main.__doc__)
    parser.add_argument("snapshot", type=Path)
    parser.add_argument("path", type=Path)
    chosen = parser.parse_args(arguments)
    try:
        policy = load_trained(chosen.snapshot)
        shutil.rmtree(chosen.snapshot, ignore_errors=True)
        config = policy.config
        options = config.env.options | config.evaluation.options
        seconds, seed = config.video.seconds, config.evaluation.seed
        record_video(policy.agent_for, config.env.id, options, chosen.path, seconds=seconds, seed=seed)
    except PoiseError as error:
        sys.stderr.write(f"{chosen.path}: {error}{os.linesep}")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
