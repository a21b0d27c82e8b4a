"""DAgger: the expert says what it would have done where the learner got to (Ross et al., arXiv 1011.0686).

A policy that errs gets to where no demonstration has been, and errs more. Here it acts, the expert labels every state
that it visits, and all that is labelled is learned from. What is asked is kept in the run's folder as demonstrations.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from poise.errors import InvalidValueError, PoiseError
from poise.imitation import Demonstration, Demonstrations
from poise.imitation.batches import Corpus
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
        rounds: fingerprints of what was asked in each.

    Raises:
        MissingFileError: there is no such expert.
    """

    def __init__(self, config: CloningRunConfig, dagger: DaggerConfig, folder: Path) -> None:
        self._config = config
        self._dagger = dagger
        self._folder = folder
        self._expert = contender(dagger.expert)
        self.rounds: list[str] = []

    def check(self, learner_for: AgentFor, decisions: int) -> None:
        """Before any work.

        Args:
            learner_for: makes the learner that acts.
            decisions: that are labelled already.

        Raises:
            InvalidValueError: the expert would never be asked, or it or the learner cannot act in the environment.
        """
        self._check_occasion(decisions)
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

        Raises:
            PoiseError: those in the folder are damaged.
        """
        number = len(self.rounds) + 1
        if number not in self._round_of().values():
            env = self._make(min(most_side_by_side(self._config.env.id), self._dagger.episodes))
            try:
                asked = _at_most(self._dagger.decisions - decisions, self._asked(number, learner_for, env))
                writer_for(env, self._folder, self._config.env.id).write(asked)
            finally:
                env.close()
        return self._read(number)

    def told(self, decisions: int) -> str:
        """What the latest round brought, so many decisions being labelled now."""
        most = self._dagger.decisions
        return f"asked the expert, round {len(self.rounds)}: {decisions:,} of {most:,} decisions are labelled"

    def after(self, rounds: Sequence[str]) -> list[LoadedEpisode]:
        """Go on after these rounds, told by their fingerprints: the episodes of all.

        Raises:
            PoiseError: they are damaged, or others now.
        """
        self.rounds = []
        return [episode for number, known in enumerate(rounds, start=1) for episode in self._read(number, known)]

    def _check_occasion(self, decisions: int) -> None:
        asks, epochs = self._dagger, self._config.total_steps
        if decisions >= asks.decisions:
            raise InvalidValueError(
                f"dagger.decisions is {asks.decisions}, but the demonstrations to learn from have {decisions} already, "
                "so that the expert would never be asked; choose more decisions, fewer demonstrations, or no dagger"
            )
        if asks.every >= epochs:
            raise InvalidValueError(
                f"dagger.every is {asks.every}, but there are {epochs} epochs (total_steps), so that the expert would "
                "never be asked; choose fewer between rounds, or no dagger"
            )

    def _asked(self, number: int, learner_for: AgentFor, env: VectorEnv[Any, Any, Any]) -> list[Demonstration]:
        """Episodes in which the learner acts, and the expert with probability beta = mixing^number."""
        sequence = np.random.SeedSequence([self._config.seed, number])
        generator, first = np.random.default_rng(sequence), int(sequence.generate_state(1)[0])
        found: list[Recording] = []
        while len(found) < self._dagger.episodes:
            driver = Mixed(learner_for(env), self._dagger.mixing**number, generator)
            found += record(env, self._expert.agent_for(env), driver, first + len(found))
        return [one.demonstration({"round": number}) for one in found[: self._dagger.episodes]]

    def _make(self, count: int) -> VectorEnv[Any, Any, Any]:
        return make_vector_env(self._config.env.id, count, self._config.env.options, self._config.threads)

    # --- what is kept -------------------------------------------------------------------------------------------------

    def _read(self, number: int, known: str | None = None) -> list[LoadedEpisode]:
        """The episodes of the next round, all of them: with fewer it would be another run that goes on.

        Args:
            number: of the round.
            known: its fingerprint, if it was learned from before.

        Raises:
            PoiseError: they are damaged, or others now.
        """
        try:
            episodes = self._whole(number)
            found = Corpus(episodes).fingerprint
            if known not in (None, found):
                raise PoiseError("its episodes are others now")
        except PoiseError as error:
            raise PoiseError(
                f"what the expert was asked in round {number} is damaged or has changed ({error}), and without it this "
                "run cannot go on as it began; start another run with '--out'"
            ) from error
        self.rounds.append(found)
        return episodes

    def _whole(self, number: int) -> list[LoadedEpisode]:
        """A round's episodes; where others leave out and warn of one that is damaged, it is refused."""
        with warnings.catch_warnings(action="ignore"):
            kept = self._kept()
            episodes = kept.load([episode for episode, its_round in self._round_of().items() if its_round == number])
        if kept.damaged:
            raise PoiseError("; ".join(f"episode {episode}: {why}" for episode, why in kept.damaged.items()))
        return episodes

    def _round_of(self) -> dict[int, int]:
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
