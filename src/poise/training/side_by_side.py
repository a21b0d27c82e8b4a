"""Videos of several episodes at once, each framed by how it ended: what goes well and what does not, side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray
from PIL import Image

from poise.envs import BALLBOT_IDS
from poise.errors import InvalidValueError, PoiseError
from poise.policies import Agent
from poise.training.environments import make_vector_env, retire, successes_of_step, within_bounds
from poise.training.mp4 import Picture, mp4_writer
from poise.training.overlay import FAILURE, SUCCESS
from poise.training.stages import drawn_by, longest_episode
from poise.training.video import check_video

RUNNING = (90, 90, 90)
"""Colour of the frame of an episode that has not ended."""
_FRAME = 6
_HOLD = 1.5
"""How long the last picture stays, s."""


class SideBySide(NamedTuple):
    """A video, and how its episodes ended."""

    path: Path
    successes: NDArray[np.bool_]

    def __str__(self) -> str:
        return f"{int(self.successes.sum())} of {len(self.successes)} succeeded"


def record_side_by_side(
    agent_for: Callable[[VectorEnv[Any, Any, Any]], Agent],
    env_id: str,
    options: Mapping[str, Any],
    path: Path | str,
    episodes: int,
    seconds: float,
    seed: int,
    side: int = 240,
    on_frame: Callable[[int, int], None] | None = None,
) -> SideBySide:
    """Write the video of the episodes `seed ... seed + episodes - 1`, in real time; who is done waits for the rest.

    Args:
        agent_for: makes the agent for an environment.
        env_id: gymnasium's id of an environment that draws itself.
        options: keyword arguments of the environment.
        path: of the mp4 file.
        episodes: how many.
        seconds: length of the video, unless all end before.
        seed: of the first.
        side: of each picture's longer side, pixels.
        on_frame: told after every picture how many are done, and how many there will be at most.

    Raises:
        InvalidValueError: the file's name is no video's, or these are ballbots.
        PoiseError: the environment draws no pictures, or the disk refuses.
    """
    path = Path(path)
    check_video(path)
    env = _drawn(env_id, episodes, options)
    try:
        fps = float(env.metadata.get("render_fps") or 30.0)
        most = max(math.ceil(seconds * fps), 1)
        total = min(most, longest_episode(env))
        wall = _Wall(env, side)
        with mp4_writer(path, fps) as write:
            for count, picture in enumerate(_pictures(env, wall, agent_for, seed, most), start=1):
                write(picture)
                if on_frame is not None:
                    on_frame(count, max(count, total))
            if on_frame is not None and count < total:  # all were over before
                on_frame(count, count)
            for _ in range(math.ceil(_HOLD * fps)):
                write(wall.picture())
    finally:
        env.close()
    return SideBySide(path, wall.successes)


def _pictures(
    env: VectorEnv[Any, Any, Any],
    wall: _Wall,
    agent_for: Callable[[VectorEnv[Any, Any, Any]], Agent],
    seed: int,
    most: int,
) -> Iterator[Picture]:
    """One before each step, until all episodes are over or there are `most`."""
    observation, _ = env.reset(seed=seed)
    agent = agent_for(env)
    for _ in range(most):
        yield wall.picture()
        actions = within_bounds(agent.act(observation), env)
        observation, _, terminated, truncated, info = env.step(actions)
        over = terminated | truncated
        wall.end(over, successes_of_step(info, truncated))
        agent.reset(over)
        retire(env, ~wall.running)
        if not wall.running.any():
            return


class _Wall:
    """Pictures in rows, each that of its episode's last moment once it is over."""

    def __init__(self, env: VectorEnv[Any, Any, Any], side: int) -> None:
        self._env = env
        self._side = side
        self._pictures: list[Picture] = []
        self.running = np.ones(env.num_envs, np.bool_)
        self.successes = np.zeros(env.num_envs, np.bool_)

    def end(self, over: NDArray[np.bool_], succeeded: NDArray[np.bool_]) -> None:
        """Some episodes (N,) are over, and some of them were successes."""
        self.successes |= self.running & over & succeeded
        self.running &= ~over

    def picture(self) -> Picture:
        """All of them; on what is left of the last row there is nothing."""
        self._draw()
        tiles = [self._framed(number) for number in range(len(self._pictures))]
        columns = math.ceil(math.sqrt(len(tiles)))
        rows = -(-len(tiles) // columns)
        height, width, _ = tiles[0].shape
        wall = np.zeros((rows * height, columns * width, 3), np.uint8)
        for number, tile in enumerate(tiles):
            top, left = number // columns * height, number % columns * width
            wall[top : top + height, left : left + width] = tile
        return wall

    def _draw(self) -> None:
        if not self.running.any():
            return
        fresh = [self._small(picture) for picture in drawn_by(self._env)]
        kept = self._pictures or fresh
        self._pictures = [new if on else old for new, old, on in zip(fresh, kept, self.running, strict=True)]

    def _small(self, picture: Picture) -> Picture:
        scale = self._side / max(picture.shape[:2])
        size = [round(extent * scale) // 2 * 2 for extent in (picture.shape[1], picture.shape[0])]
        return np.array(Image.fromarray(picture).resize((size[0], size[1]), Image.Resampling.BILINEAR))

    def _framed(self, number: int) -> Picture:
        colour = RUNNING if self.running[number] else SUCCESS if self.successes[number] else FAILURE
        height, width, _ = self._pictures[number].shape
        tile = np.full((height + 2 * _FRAME, width + 2 * _FRAME, 3), colour, np.uint8)
        tile[_FRAME:-_FRAME, _FRAME:-_FRAME] = self._pictures[number]
        return tile


def _drawn(env_id: str, count: int, options: Mapping[str, Any]) -> VectorEnv[Any, Any, Any]:
    """Environments that draw themselves.

    Raises:
        InvalidValueError: they do not.
    """
    if env_id in BALLBOT_IDS:
        raise InvalidValueError("episodes of a ballbot are shown one at a time; leave --episodes away")
    try:
        return make_vector_env(env_id, count, {**options, "render_mode": "rgb_array"})
    except PoiseError as error:
        raise InvalidValueError(
            f"'{env_id}' does not draw itself, so its episodes cannot be shown side by side: {error}"
        ) from error
