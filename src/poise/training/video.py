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
from typing import Any, NamedTuple

from poise.errors import InvalidValueError, PoiseError
from poise.policies import Agent
from poise.training.environments import within_bounds
from poise.training.mp4 import Picture, mp4_writer
from poise.training.overlay import FAILURE, SUCCESS, draw_alert
from poise.training.seeds import SELECTION_SEED
from poise.training.stages import AnyEnv, Stage, has_succeeded, stage_for

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
    stage = stage_for(env_id, options, seconds, width, height)
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

    def __init__(self, stage: Stage, every: int, total: int) -> None:
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
                    told = draw_alert(picture, self.end, SUCCESS if has_succeeded(info) else FAILURE)
                    yield from [told] * math.ceil(_HOLD / (every * stage.step_time))
                return
            stage.watch(info)
            if step % every == 0 and step < self._total * every:
                picture = stage.draw(info, self.seconds)
                yield picture


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
