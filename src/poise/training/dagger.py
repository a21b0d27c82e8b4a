"""DAgger: the expert says what it would have done where the learner got to (Ross et al., arXiv 1011.0686).

A policy that errs gets to where no demonstration has been, and errs more. Here it acts, the expert labels every state
that it visits, and all that is labelled is learned from. What is asked is kept in the run's folder as demonstrations.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from poise.imitation import Demonstration, Demonstrations
from poise.imitation.layout import INFO, NOTE
from poise.imitation.reader import LoadedEpisode
from poise.policies import Agent
from poise.training.cloning_config import CloningRunConfig, DaggerConfig
from poise.training.comparison import contender
from poise.training.environments import make_vector_env, most_side_by_side
from poise.training.recording import Mixed, Recording, record, writer_for

AgentFor = Callable[[VectorEnv[Any, Any, Any]], Agent]


class Dagger:
    """Asks an expert, round by round.

    Args:
        config: of the run.
        dagger: how it asks.
        folder: for what is asked.

    Attributes:
        round: how many there have been.

    Raises:
        MissingFileError: there is no such expert.
    """

    def __init__(self, config: CloningRunConfig, dagger: DaggerConfig, folder: Path) -> None:
        self._config = config
        self._dagger = dagger
        self._folder = folder
        self._expert = contender(dagger.expert)
        self.round = 0

    def check(self, learner_for: AgentFor) -> None:
        """Before any work.

        Raises:
            InvalidValueError: the expert or the learner cannot act in the environment.
        """
        env = self._make(1)
        try:
            self._expert.agent_for(env)
            learner_for(env)
        finally:
            env.close()

    def is_due(self, epoch: int, decisions: int) -> bool:
        """Whether it is time to ask, after so many epochs, so many decisions being labelled already."""
        return epoch > 0 and epoch % self._dagger.every == 0 and decisions < self._dagger.decisions

    def ask(self, learner_for: AgentFor, decisions: int) -> list[LoadedEpisode]:
        """The next round's episodes; where the run was there before, they are in its folder.

        Args:
            learner_for: makes the learner that acts.
            decisions: that are labelled already.
        """
        self.round += 1
        if self.round not in self._rounds().values():
            env = self._make(min(most_side_by_side(self._config.env.id), self._dagger.episodes))
            try:
                asked = _at_most(self._dagger.decisions - decisions, self._asked(learner_for, env))
                writer_for(env, self._folder, self._config.env.id).write(asked)
            finally:
                env.close()
        return self._read(lambda number: number == self.round)

    def after(self, number: int) -> list[LoadedEpisode]:
        """Go on after a round: the episodes of all up to it."""
        self.round = number
        return self._read(lambda each: each <= number)

    def _asked(self, learner_for: AgentFor, env: VectorEnv[Any, Any, Any]) -> list[Demonstration]:
        """Episodes in which the learner acts, and the expert with probability beta = mixing^round."""
        sequence = np.random.SeedSequence([self._config.seed, self.round])
        generator, first = np.random.default_rng(sequence), int(sequence.generate_state(1)[0])
        found: list[Recording] = []
        while len(found) < self._dagger.episodes:
            driver = Mixed(learner_for(env), self._dagger.mixing**self.round, generator)
            found += record(env, self._expert.agent_for(env), driver, first + len(found))
        return [one.demonstration({"round": self.round}) for one in found[: self._dagger.episodes]]

    def _make(self, count: int) -> VectorEnv[Any, Any, Any]:
        return make_vector_env(self._config.env.id, count, self._config.env.options, self._config.threads)

    # --- what is kept -------------------------------------------------------------------------------------------------

    def _read(self, wanted: Callable[[int], bool]) -> list[LoadedEpisode]:
        """Episodes of the rounds that are wanted."""
        numbers = [episode for episode, number in self._rounds().items() if wanted(number)]
        return self._kept().load(numbers) if numbers else []

    def _rounds(self) -> dict[int, int]:
        """By an episode's number, the round that it is of."""
        if not (self._folder / INFO).exists():
            return {}
        return {episode.number: int(episode.row[NOTE + "round"]) for episode in self._kept().episodes}

    def _kept(self) -> Demonstrations:
        return Demonstrations(self._folder, self._config.policy.observations, self._config.demonstrations.size)


def _at_most(decisions: int, demonstrations: list[Demonstration]) -> list[Demonstration]:
    """The first so many decisions."""
    kept: list[Demonstration] = []
    for one in demonstrations:
        if decisions > 0:
            kept.append(one.beginning(decisions))
        decisions -= len(one)
    return kept
