"""Demonstrations: an expert acts, and whole episodes that succeed are kept in LeRobot's format.

Episodes are those of consecutive seeds. Noise on what is done, not on what is noted, leads the expert where a learner
will get to by its own mistakes (DART: Laskey et al., arXiv 1703.09327).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from gymnasium.vector import VectorEnv
from pydantic import Field

from poise.config import Config, save_yaml
from poise.errors import InvalidValueError, PoiseError
from poise.imitation import Demonstration, Demonstrations, DemonstrationWriter
from poise.imitation.layout import INFO, read_info
from poise.training.comparison import Contender
from poise.training.environments import make_vector_env
from poise.training.recording import Disturbed, record, writer_for
from poise.training.settings import check_made_alike

SETTINGS = "demos.yaml"
"""File of a data set that tells how it was made."""
_SUCCESS_UNTOLD = (
    "'{env}' does not say whether an episode succeeded (info['success'], or info['is_success']), so those are "
    "kept that last until their time is up"
)
_HOPELESS = 20
"""Tries for each success after which nobody believes in the expert any more, with the first hundred."""


class DemosConfig(Config):
    """How demonstrations are made."""

    episodes: int = Field(500, ge=1, description="that succeed, to be kept")
    seed: int = Field(0, ge=0, description="of the first episode; the others follow")
    noise: float = Field(0.0, ge=0, description="standard deviation of noise on what is done, not on what is noted")
    side_by_side: int = Field(16, ge=1, le=4096, description="episodes at a time; they do not depend on it")
    task: str = Field("", description="what is demonstrated, in words; by default the environment's name")


class Demonstrated(NamedTuple):
    """What a folder holds: episodes kept, frames in them, seeds tried for them, and starts passed over as solved."""

    episodes: int
    frames: int
    tried: int
    redrawn: int


def demonstrate(
    config: DemosConfig,
    expert: Contender,
    out: Path,
    threads: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Demonstrated:
    """Fill the folder `out` with demonstrations; those that are there already are kept, and damage is warned of.

    Args:
        config: the settings; all but the number of episodes must be those of what is there.
        expert: who acts, and in which environment.
        out: the data set's folder.
        threads: for the environments, 0 for all cores.
        progress: told at first and now and then how many episodes are kept.

    Raises:
        InvalidValueError: the folder holds demonstrations made otherwise, or something else, or is a file.
        PoiseError: the expert hardly ever succeeds.
    """
    _check_folder(out)
    settings = _Settings.of(config, expert)
    check_made_alike(out / SETTINGS, settings, ("episodes", "side_by_side"), "demonstrations")
    count = min(config.side_by_side, config.episodes)
    env = make_vector_env(settings.env, count, expert.env_options, threads)
    try:
        writer = writer_for(env, out, settings.task or settings.env)
        _warn_of_damage(out)
        return _fill(writer, settings, env, expert, progress or (lambda kept: None))
    finally:
        env.close()


def kept_in(folder: Path) -> int:
    """Episodes of a data set, which may not have been begun."""
    return read_info(folder).total_episodes if (folder / INFO).exists() else 0


class _Settings(DemosConfig):
    """What made a data set."""

    expert: str
    env: str
    options: dict[str, Any]

    @classmethod
    def of(cls, config: DemosConfig, expert: Contender) -> Self:
        """Of demonstrations that are asked for."""
        return cls(**config.model_dump(), expert=expert.name, env=expert.config.env.id, options=expert.env_options)


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InvalidValueError(f"{folder} is a file, expected a folder for demonstrations; choose another '--out'")
    begun = (folder / INFO).exists() or (folder / SETTINGS).exists()  # these are there before the first are told of
    if folder.is_dir() and not begun and any(folder.iterdir()):
        raise InvalidValueError(f"{folder} is not empty, and holds no demonstrations; choose another '--out'")


def _warn_of_damage(folder: Path) -> None:
    """As who reads them would, but for pictures: to decode them all takes long."""
    if not kept_in(folder):
        return
    info = read_info(folder)
    numbers = [name for name in info.components if name not in info.pictures]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            Demonstrations(folder, numbers).load()
            told = [str(warning.message) for warning in caught]
        except PoiseError as error:  # all of them
            told = [str(error)]
    for sentence in told:
        warnings.warn(f"damaged data are added to: when they are read, {sentence}", stacklevel=3)


def _fill(
    writer: DemonstrationWriter,
    config: _Settings,
    env: VectorEnv[Any, Any, Any],
    expert: Contender,
    progress: Callable[[int], None],
) -> Demonstrated:
    """Go on from the seed after the last that is kept until there are enough."""
    notes = writer.notes
    if notes and not {"seed", "redrawn"} <= notes[-1].keys():
        raise InvalidValueError(
            f"{writer.folder} holds demonstrations that 'poise demos' did not make: it cannot tell which seeds are "
            "there; choose another '--out'"
        )
    tried = notes[-1]["seed"] + 1 - config.seed if notes else 0
    redrawn = notes[-1]["redrawn"] if notes else 0
    progress(writer.info.total_episodes)
    while writer.info.total_episodes < config.episodes:
        kept: list[Demonstration] = []
        generators = [
            np.random.default_rng([config.seed, config.seed + tried + robot]) for robot in range(env.num_envs)
        ]
        driver = Disturbed(config.noise, generators)
        for recording in record(env, expert.agent_for(env), driver, config.seed + tried):
            if writer.info.total_episodes + len(kept) == config.episodes:
                break
            if not (tried or recording.told_of_success):
                warnings.warn(_SUCCESS_UNTOLD.format(env=config.env), stacklevel=3)
            tried, redrawn = tried + 1, redrawn + recording.redrawn
            if recording.succeeded:
                kept.append(recording.demonstration({"seed": recording.seed, "redrawn": redrawn}))
        if kept:
            save_yaml(writer.folder / SETTINGS, config)  # not before: a folder that is empty binds nobody
        writer.write(kept)
        progress(writer.info.total_episodes)
        _check_hope(writer.info.total_episodes, tried, expert.name)
    return Demonstrated(writer.info.total_episodes, writer.info.total_frames, tried, redrawn)


def _check_hope(kept: int, tried: int, name: str) -> None:
    if tried >= 100 and kept * _HOPELESS < tried:
        raise PoiseError(f"{name} succeeded in {kept} of {tried} episodes only; find out why before collecting more")
