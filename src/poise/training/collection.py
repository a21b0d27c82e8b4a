"""Depth images for the encoder to learn from: robots driven at random, and by the PID controller, episode by episode.

Random actions soon end in a fall, so their images show steep tilts; the controller stays up and travels, so its images
show ground. Both start from spread poses, and every episode has a terrain of its own. With the images goes what the
robot felt when they were taken (see `feeling`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray
from pydantic import Field, model_validator

from poise.config import Config, save_yaml
from poise.envs.options import CAMERAS, BallbotOptions, HeightScanOptions
from poise.envs.vision import AGE
from poise.perception import ImageDatasetWriter
from poise.perception.images import Driver
from poise.policies import Agent
from poise.policies.baselines import TRAVEL_SPEED
from poise.policies.pid import PidController
from poise.sim.terrain import TerrainOptions
from poise.training.environments import control_step, make_vector_env
from poise.training.feeling import FELT, in_heading
from poise.training.settings import check_made_alike

ENV_ID = "poise/Ballbot-v0"
SETTINGS = "config.yaml"
GROUND = "heights"
"""Name of the ground's heights, which no robot feels."""
_NEVER = 10**9
_CORRELATION = 0.1
"""Time constant of the random driver's course, s."""
_DISTURBANCE = 0.2
"""Of the PID controller's actions, relative to random actions."""
_SPREAD = {"tilt": 5.0, "yaw": 180.0}
"""Of the robots' first poses, degrees."""


class CollectConfig(Config):
    """Settings of `collect`; the defaults make about 6000 images."""

    episodes: int = Field(160, ge=2, description="how many, each on a terrain of its own")
    seed: int = Field(0, ge=0, description="determines every episode")
    robots: int = Field(64, ge=1, le=65536, description="episodes side by side; the images do not depend on it")
    driver: Literal["both", "random", "pid"] = Field("both", description="what acts; 'both' takes turns")
    seconds: float = Field(3.0, gt=0, description="longest episode, s")
    images_per_episode: int = Field(38, ge=2, description="most images kept of each camera, evenly spaced in time")
    rate: float = Field(25.0, gt=0, description="images a second that each camera takes")
    height: int = Field(64, ge=4, le=1024, multiple_of=4, description="of the images, pixels, a multiple of 4")
    width: int = Field(64, ge=4, le=1024, multiple_of=4, description="of the images, pixels, a multiple of 4")
    max_depth: float = Field(1.0, gt=0, le=1, description="clip, m")
    decimation: int = Field(5, ge=1, le=100, description="time steps of the physics for each action")
    ground_heights: bool = Field(
        False, description="keep the ground's heights around the robot, too, as 'heights': to ask what features know"
    )
    terrain: TerrainOptions = TerrainOptions()

    @property
    def components(self) -> dict[str, tuple[int, ...]]:
        """What is kept beside the images, and its shapes."""
        grid = HeightScanOptions().size
        return FELT | ({GROUND: (grid, grid)} if self.ground_heights else {})

    @model_validator(mode="after")
    def _time_to_act(self) -> Self:
        shortest = BallbotOptions(decimation=self.decimation).control_step
        if self.seconds < shortest:
            raise ValueError(f"seconds must be at least {shortest:g}, the time of one decision, got {self.seconds:g}")
        return self


class Collected(NamedTuple):
    """What a folder holds after `collect`. `skipped` episodes were there before."""

    episodes: int
    images: int
    skipped: int


Progress = Callable[[int], None]
Frame = Mapping[str, NDArray[np.float32]]


def collect(config: CollectConfig, out: Path, threads: int = 0, progress: Progress | None = None) -> Collected:
    """Fill the folder `out` with episodes of depth images; complete episodes that are there already are kept.

    Args:
        config: the settings; all but the number of episodes must be those of the images that are there.
        out: the folder of an `ImageDataset`.
        threads: for physics and cameras, 0 for all cores.
        progress: told now and then how many episodes are complete.

    Raises:
        InvalidValueError: the folder holds images made with other settings.
    """
    check_made_alike(out / SETTINGS, config, ("episodes", "robots"), "images")  # how many, and how many at once
    writer = ImageDatasetWriter(out, CAMERAS, config.height, config.width, config.max_depth, config.components)
    missing = [episode for episode in range(config.episodes) if not writer.has(episode)]
    save_yaml(out / SETTINGS, config)
    for driver, episodes in _rounds(config, missing):
        with _environment(config, len(episodes), threads) as env:
            recordings = _record(env, config, driver, episodes)
        for episode, recording in zip(episodes, recordings, strict=True):
            seen, felt = recording.stacked(CAMERAS), recording.stacked(config.components)
            writer.write(episode, seen, _env_seed(config, episode), driver, felt)
            if progress is not None:
                progress(sum(writer.has(wanted) for wanted in range(config.episodes)))
    frames = sum(info.frames for info in writer.info.episodes.values())
    return Collected(len(writer.info.episodes), frames * len(CAMERAS), config.episodes - len(missing))


class Recording:
    """The frames of one episode: at most `limit`, evenly spaced, however long it gets.

    When there are too many, every other one is forgotten, and from then on half as many are kept.
    """

    def __init__(self, limit: int) -> None:
        self.frames: list[Frame] = []
        self._limit = limit
        self._stride = 1
        self._seen = 0

    def add(self, frame: Frame) -> None:
        """The next frame: what each camera sees (height, width), and each component that is felt."""
        if self._seen % self._stride == 0 and len(self.frames) == self._limit:
            self.frames = self.frames[::2]
            self._stride *= 2
        if self._seen % self._stride == 0:
            self.frames.append(frame)
        self._seen += 1

    def stacked(self, names: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        """(T, ...) of cameras or components."""
        return {name: np.stack([frame[name] for frame in self.frames]) for name in names}


def _record(
    env: VectorEnv[Any, Any, Any], config: CollectConfig, driver: Driver, episodes: Sequence[int]
) -> list[Recording]:
    """One episode of each environment, until it ends or its time is up."""
    step = control_step(env)
    agent = driving(driver, [np.random.default_rng([config.seed, episode, 1]) for episode in episodes], step)
    recordings = [Recording(config.images_per_episode) for _ in episodes]
    running = np.ones(len(episodes), np.bool_)
    previous_age = np.full(len(episodes), np.inf)
    seeds: Any = [_env_seed(config, episode) for episode in episodes]  # VectorEnv is typed for one, and takes a list
    observation, _ = env.reset(seed=seeds)
    for _ in range(round(config.seconds / step)):
        age = observation[AGE][:, 0]
        new = age < previous_age + 0.5 * step  # the age of an image that stays grows by a whole step
        previous_age = age
        felt = observation | in_heading(observation)
        for robot in np.flatnonzero(running & new):
            seen = {camera: observation[camera][robot, -1].copy() for camera in CAMERAS}  # not a view of everyone's
            recordings[robot].add(seen | {name: felt[name][robot].copy() for name in config.components})
        observation, _, terminated, truncated, _ = env.step(agent.act(observation))
        agent.reset(terminated | truncated)
        running &= ~(terminated | truncated)  # what follows belongs to another episode
        if not running.any():
            break
    return recordings


@contextmanager
def _environment(config: CollectConfig, robots: int, threads: int) -> Iterator[VectorEnv[Any, Any, Any]]:
    options: dict[str, Any] = {
        "terrain": {**config.terrain.model_dump(), "episodes_per_terrain": _NEVER},
        "cameras": {name: getattr(config, name) for name in ("rate", "height", "width", "max_depth")},
        "heights": {"enabled": config.ground_heights},
        "start": _SPREAD,
        "decimation": config.decimation,
        "max_steps": _NEVER,
    }
    env = make_vector_env(ENV_ID, robots, options, threads)
    try:
        yield env
    finally:
        env.close()


def _rounds(config: CollectConfig, episodes: Sequence[int]) -> Iterator[tuple[Driver, Sequence[int]]]:
    """Episodes that run side by side: of one driver, so that those who fall soon do not wait for those who do not."""
    drivers: tuple[Driver, ...] = ("random", "pid") if config.driver == "both" else (config.driver,)
    for index, driver in enumerate(drivers):
        own = [episode for episode in episodes if episode % len(drivers) == index]
        for start in range(0, len(own), config.robots):
            yield driver, own[start : start + config.robots]


def _env_seed(config: CollectConfig, episode: int) -> int:
    return int(np.random.SeedSequence([config.seed, episode]).generate_state(1)[0])


# --- drivers ------------------------------------------------------------------------------------------------------


def driving(driver: Driver, generators: Sequence[np.random.Generator], step: float) -> Agent:
    """What is in charge of some robots: each draws from its own generator, so that none depends on the others.

    Args:
        driver: "random" or "pid".
        generators: one for each robot.
        step: time between actions, s.
    """
    return RandomDriver(generators, step) if driver == "random" else NoisyPid(generators, step)


class RandomDriver:
    """Random actions that keep their course for about a tenth of a second, of a strength drawn for each robot.

    a' = k a + sqrt(1 - k^2) n,    k = exp(-step / 0.1 s),    n ~ N(0, 1)
    """

    def __init__(self, generators: Sequence[np.random.Generator], step: float) -> None:
        self._generators = generators
        self._keep = float(np.exp(-step / _CORRELATION))
        self._strength = np.array([[generator.uniform(0.1, 1.0)] for generator in generators])
        self._course = _normal(generators)

    def act(self, observation: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """The next actions (N, 3), whatever the observation."""
        self._course = self._keep * self._course + (1.0 - self._keep**2) ** 0.5 * _normal(self._generators)
        return np.clip(self._strength * self._course, -1.0, 1.0)

    def reset(self, dones: NDArray[np.bool_]) -> None:
        """Nothing of an episode is remembered."""


class NoisyPid:
    """The PID controller, travelling in a direction and at a speed drawn for each robot.

    Weak random actions are added, so that the robot rocks as that of a learning policy does.
    """

    def __init__(self, generators: Sequence[np.random.Generator], step: float) -> None:
        course = np.array(
            [[generator.uniform(-np.pi, np.pi), generator.uniform(0.0, TRAVEL_SPEED)] for generator in generators]
        )
        direction = np.stack([np.cos(course[:, 0]), np.sin(course[:, 0])], axis=1)
        self._pid = PidController(len(generators), step, course[:, 1], direction)
        self._disturbance = RandomDriver(generators, step)

    def act(self, observation: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """The next actions (N, 3)."""
        disturbed = self._pid.act(observation) + _DISTURBANCE * self._disturbance.act(observation)
        return np.clip(disturbed, -1.0, 1.0)

    def reset(self, dones: NDArray[np.bool_]) -> None:
        """Forget what the controller remembers of finished episodes."""
        self._pid.reset(dones)


def _normal(generators: Sequence[np.random.Generator]) -> NDArray[np.float64]:
    """(N, 3) one draw from each generator."""
    return np.stack([generator.standard_normal(3) for generator in generators])
