"""Episodes with what an expert would do at each moment, whoever acts: the expert, disturbed, or one who learns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from poise.imitation import Demonstration, DemonstrationWriter
from poise.policies import Agent
from poise.training.environments import (
    decisions_per_second,
    retire,
    successes_of_step,
    tells_of_success,
    within_bounds,
)
from poise.training.interface import ChannelsFirst, Interface, depths_among

Array = NDArray[Any]


class Driver(Protocol):
    """Decides what is done in N environments while the expert says what it would do."""

    def drive(self, observation: Mapping[str, Array], labels: Array) -> Array:
        """Actions (N, A) for observations (N, ...), of which the expert's are `labels` (N, A)."""
        ...

    def reset(self, dones: NDArray[np.bool_]) -> None:
        """Forget the environments (N,) whose episode is over."""
        ...


class Disturbed:
    """The expert, with noise on what it does (DART: Laskey et al., arXiv 1703.09327).

    Args:
        noise: its standard deviation.
        generators: one for each environment.
    """

    def __init__(self, noise: float, generators: list[np.random.Generator]) -> None:
        self._noise = noise
        self._generators = generators

    def drive(self, observation: Mapping[str, Array], labels: Array) -> Array:
        """(N, A)."""
        return labels + self._noise * np.stack([one.standard_normal(labels.shape[1:]) for one in self._generators])

    def reset(self, dones: NDArray[np.bool_]) -> None:
        """Nothing is remembered."""


class Mixed:
    """A learner, in whose place the expert makes some of the decisions (DAgger: Ross et al., arXiv 1011.0686).

    Args:
        learner: in charge of the environments.
        share: beta, of decisions that are the expert's.
        generator: chooses which.
    """

    def __init__(self, learner: Agent, share: float, generator: np.random.Generator) -> None:
        self._learner = learner
        self._share = share
        self._generator = generator

    def drive(self, observation: Mapping[str, Array], labels: Array) -> Array:
        """(N, A); the learner follows what happens at all times."""
        own = self._learner.act(observation)
        return np.where(self._generator.random((len(labels), 1)) < self._share, labels, own)

    def reset(self, dones: NDArray[np.bool_]) -> None:
        """Forget the environments whose episode is over."""
        self._learner.reset(dones)


class Recording:
    """One episode as it goes."""

    def __init__(self, seed: int, redrawn: int) -> None:
        self.seed = seed
        self.redrawn = redrawn
        self.succeeded = False
        self.told_of_success = True
        self._observations: list[dict[str, Array]] = []
        self._actions: list[Array] = []

    def add(self, observation: Mapping[str, Array], robot: int, action: Array) -> None:
        """A decision of one of the robots."""
        self._observations.append({name: values[robot].copy() for name, values in observation.items()})
        self._actions.append(action)

    def demonstration(self, notes: Mapping[str, int]) -> Demonstration:
        """All of it."""
        names = self._observations[0]
        stacked = {name: np.stack([moment[name] for moment in self._observations]) for name in names}
        return Demonstration(stacked, np.stack(self._actions), notes)


def writer_for(env: VectorEnv[Any, Any, Any], folder: Path, task: str) -> DemonstrationWriter:
    """Of what is recorded in an environment.

    Args:
        env: which.
        folder: of the data set, new or to go on with.
        task: what is demonstrated, in words.

    Raises:
        InvalidValueError: the folder holds demonstrations of something else, or the environment is none to imitate in.
    """
    interface, rate = Interface.of(env), decisions_per_second(env)
    fps = round(rate) if abs(rate - round(rate)) < 1e-6 else rate
    robot = env.spec.id if env.spec is not None else None
    depths = depths_among(env.single_observation_space)
    return DemonstrationWriter(folder, interface.components, interface.action_width, fps, task, robot, depths)


def record(env: VectorEnv[Any, Any, Any], expert: Agent, driver: Driver, seed: int) -> list[Recording]:
    """One episode of each environment, those of `seed` and the seeds that follow it."""
    count, turn = env.num_envs, ChannelsFirst(env.single_observation_space)
    observation, info = env.reset(seed=seed)
    redrawn = np.asarray(info.get("redrawn", np.zeros(count)), np.int64)
    recordings = [Recording(seed + robot, int(redrawn[robot])) for robot in range(count)]
    running = np.ones(count, np.bool_)
    while running.any():
        labels = within_bounds(expert.act(observation), env)
        done = driver.drive(observation, labels)
        seen = turn(observation)
        for robot in np.flatnonzero(running).tolist():
            recordings[robot].add(seen, robot, labels[robot])
        observation, _, terminated, truncated, info = env.step(within_bounds(done, env))
        over = terminated | truncated
        succeeded = successes_of_step(info, truncated)
        for robot in np.flatnonzero(running & over).tolist():
            recordings[robot].succeeded = bool(succeeded[robot])
            recordings[robot].told_of_success = tells_of_success(info)
        running &= ~over
        expert.reset(over)
        driver.reset(over)
        retire(env, ~running)
    return recordings
