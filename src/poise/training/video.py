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
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from poise.envs.ballbot import BallbotVectorEnv
from poise.errors import InvalidValueError, PoiseError
from poise.policies import Agent
from poise.sim.insets import draw_depth
from poise.training.environments import control_step, make_vector_env, within_bounds
from poise.training.mp4 import Picture, mp4_writer
from poise.training.overlay import draw_alert, draw_readouts
from poise.training.seeds import SELECTION_SEED

AnyEnv = VectorEnv[Any, Any, Any]

_HOLD = 1.0
"""How long the last picture stays after a failure, s."""


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
) -> Path:
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
    _check(path, seconds, fps, width, height)
    stage = _stage(env_id, options, seconds, width, height)
    try:
        every = max(round(1.0 / (fps * stage.step_time)), 1)
        total = max(math.ceil(seconds / (stage.step_time * every)), 1)
        with mp4_writer(path, 1.0 / (stage.step_time * every)) as write:
            for count, picture in enumerate(_episode(agent_for, stage, seed, every, total), start=1):
                write(picture)
                if on_frame is not None:
                    on_frame(count, total)
    finally:
        stage.env.close()
    return path


def _episode(
    agent_for: Callable[[AnyEnv], Agent], stage: "_Stage", seed: int, every: int, total: int
) -> Iterator[Picture]:
    """Pictures of an episode, one every so many steps; a failure's last one stays for a while."""
    env = stage.env
    agent = agent_for(env)
    observation, _ = env.reset(seed=seed)
    picture = stage.draw({}, 0.0)
    yield picture
    for step in range(1, (total - 1) * every + 1):
        observation, _, terminated, truncated, info = env.step(within_bounds(agent.act(observation), env))
        agent.reset(terminated | truncated)
        if terminated[0] or truncated[0]:  # what would be drawn now belongs to the next episode
            if terminated[0]:
                picture = draw_alert(picture, stage.verdict(info, step * stage.step_time))
                yield from [picture] * math.ceil(_HOLD / (every * stage.step_time))
            return
        stage.watch(info)
        if step % every == 0:
            picture = stage.draw(info, step * stage.step_time)
            yield picture


class _Stage(Protocol):
    """An environment and how to draw it."""

    env: AnyEnv
    step_time: float

    def watch(self, info: Mapping[str, Any]) -> None:
        """A step has been taken."""
        ...

    def draw(self, info: Mapping[str, Any], time: float) -> Picture:
        """The present moment."""
        ...

    def verdict(self, info: Mapping[str, Any], time: float) -> str:
        """How the episode failed."""
        ...


class _BallbotStage:
    """A ballbot seen by a camera that travels along."""

    _SMOOTH = 0.25
    """Time constant of the speed that is shown, s: the true one trembles with every step."""

    def __init__(self, env: BallbotVectorEnv, width: int, height: int) -> None:
        from poise.sim.renderer import SceneView  # brings OpenGL with it, which few processes need

        self.env: AnyEnv = env
        self.step_time = control_step(env)
        self._task = env.task
        self._view = SceneView(env.task.simulation.model, width, height)
        self._start: NDArray[np.float64] | None = None
        self._speed = 0.0

    def watch(self, info: Mapping[str, Any]) -> None:
        share = 1.0 - math.exp(-self.step_time / self._SMOOTH)
        self._speed += share * (float(info["speed"][0]) - self._speed)

    def draw(self, info: Mapping[str, Any], time: float) -> Picture:
        task = self._task
        simulation = task.simulation
        position = simulation.qpos[0, simulation.base_qpos : simulation.base_qpos + 2].copy()
        if self._start is None:
            self._start = position
        picture = self._view.render(simulation.qpos[0], simulation.heights[0], task.goal(0))
        if task.vision is not None:
            picture = draw_depth(picture, list(task.vision.depth(0)), task.options.cameras.max_depth)
        return draw_readouts(
            picture,
            {
                "time": f"{time:.1f} s",
                "speed to goal": f"{round(self._speed, 2) + 0.0:.2f} m/s",
                "distance": f"{np.linalg.norm(position - self._start):.2f} m",
                "tilt": f"{float(info['tilt'][0]) if info else 0.0:.1f}°",
            },
        )

    def verdict(self, info: Mapping[str, Any], time: float) -> str:
        left_map = bool(info["final_info"]["off_map"][0])
        return f"{'left the map' if left_map else 'fell'} after {time:.1f} s"


class _OtherStage:
    """An environment that draws itself."""

    def __init__(self, env: AnyEnv) -> None:
        self.env = env
        self.step_time = 1.0 / float(env.metadata.get("render_fps") or 30.0)

    def watch(self, info: Mapping[str, Any]) -> None:
        """Nothing to remember."""

    def draw(self, info: Mapping[str, Any], time: float) -> Picture:
        try:
            pictures = self.env.render()
        except gym.error.Error as error:  # what it draws with is not installed, as a rule
            raise PoiseError(f"the environment cannot draw itself: {error}") from error
        if not pictures or not isinstance(pictures[0], np.ndarray):
            raise PoiseError("the environment returned no picture from render(), so there can be no video of it")
        return draw_readouts(np.asarray(pictures[0], np.uint8)[..., :3], {"time": f"{time:.1f} s"})

    def verdict(self, info: Mapping[str, Any], time: float) -> str:
        return f"ended after {time:.1f} s"


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


def _check(path: Path, seconds: float, fps: float, width: int, height: int) -> None:
    if path.suffix.lower() != ".mp4":
        raise InvalidValueError(f"{path} must end in .mp4, the only kind of video written")
    if not (0 < seconds <= 3600 and 0 < fps <= 240):
        raise InvalidValueError(f"expected up to 3600 seconds and up to 240 pictures a second, got {seconds} and {fps}")
    if not (64 <= width <= 3840 and 64 <= height <= 2160) or width % 2 or height % 2:
        raise InvalidValueError(f"a video's size must be even and from 64x64 to 3840x2160, got {width}x{height}")


def main(arguments: list[str] | None = None) -> int:
    """Make the video of a snapshot and delete the snapshot; what training's background process runs."""
    from poise.training.trained import load_policy  # imported late: it leads back to the callback that starts this

    parser = argparse.ArgumentParser(prog="python -m poise.training.video", description=main.__doc__)
    parser.add_argument("snapshot", type=Path)
    parser.add_argument("path", type=Path)
    chosen = parser.parse_args(arguments)
    try:
        policy = load_policy(chosen.snapshot)
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
