"""Learning from demonstrations: read them, learn from them epoch by epoch, report."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from gymnasium.vector import VectorEnv

from poise.cores import torch_threads
from poise.errors import InvalidValueError
from poise.imitation import Demonstrations
from poise.imitation.batches import Corpus, split_by_episode
from poise.imitation.building import build_imitation_policy
from poise.imitation.cloning import Cloning
from poise.imitation.policy import ImitationPolicy
from poise.policies import PolicyAgent
from poise.training.callbacks import Callback
from poise.training.cloning_config import CloningRunConfig, DemonstrationsConfig
from poise.training.dagger import Dagger
from poise.training.interface import Interface, Watching
from poise.training.loop import Loop
from poise.training.progress import ProgressBar

ASKED = "demonstrations"
"""Folder of a run for what an expert was asked."""


class Cloner(Loop):
    """Learns from demonstrations; a step is an epoch.

    Args:
        config: determines the run.
        folder: where everything is written.
        callbacks: what looks on, in order.

    Raises:
        PoiseError: the demonstrations are missing, too few, or all damaged.
        InvalidValueError: they lack what the policy sees.
    """

    config: CloningRunConfig
    unit = "epochs"
    headline: ClassVar = {
        "loss": "update/loss",
        "held out": "validation/loss",
        "rate": "update/learning_rate",
    }

    def __init__(self, config: CloningRunConfig, folder: Path, callbacks: list[Callback]) -> None:
        super().__init__(config, folder, callbacks)
        self.corpus, self.held_out = _read(config.demonstrations, config.policy.observations, config.seed)
        self._fingerprints = [self.corpus.fingerprint, self.held_out.fingerprint]
        self._interface = Interface(components=self.corpus.shapes, action_width=self.corpus.actions.shape[1])
        policy = build_imitation_policy(
            self._interface.components, self._interface.action_width, config.policy, self.corpus.scales()
        )
        self._learner = Cloning(policy, config.algorithm, config.seed)
        self._dagger = Dagger(config, config.dagger, folder / ASKED) if config.dagger is not None else None
        self._has_begun = False

    @property
    def acting_policy(self) -> ImitationPolicy:
        """What is evaluated, filmed and kept."""
        return self._learner.acting_policy

    def agent_for(self, env: VectorEnv[Any, Any, Any]) -> PolicyAgent:
        """The policy to be evaluated, in charge of an environment."""
        return PolicyAgent(self.acting_policy, Watching(env, self._interface))

    def keep(self) -> None:
        """What the policy sees and does; weights that cannot be begun with are told of before."""
        self.begin()
        if self._dagger is not None:
            self._dagger.check(self.agent_for, len(self.corpus))
        self._interface.save(self.folder)

    @property
    def whole(self) -> int:
        """The last epoch."""
        return self.config.last_step

    def begin(self) -> None:
        """With published weights, if some are named, which are read once."""
        if not self._has_begun:
            self._learner.load_published()
        self._has_begun = True

    def iterate(self) -> dict[str, float]:
        """One epoch, before which an expert may be asked."""
        if self._dagger is not None and self._dagger.is_due(self.step, len(self.corpus)):
            self.corpus = self.corpus.joined(self._dagger.ask(self.agent_for, len(self.corpus)))
            self.say(f"{self.place}: {self._dagger.told(len(self.corpus))}")
        with torch_threads(self.config.update_threads):
            metrics = self._learner.epoch(self.corpus, self.held_out)
        self.step += 1
        return metrics | {"update/decisions": len(self.corpus)}

    def close(self) -> None:
        """Nothing is open."""

    def settle(self) -> None:
        """Everything can be saved."""

    def learner_state(self) -> dict[str, Any]:
        """Weights, optimiser, schedule, and which demonstrations they are of."""
        rounds = [] if self._dagger is None else list(self._dagger.rounds)
        return {"algorithm": self._learner.state(), "demonstrations": self._fingerprints, "rounds": rounds}

    def load_learner(self, state: Mapping[str, Any]) -> None:
        """Continue from `learner_state()`.

        Raises:
            PoiseError: the demonstrations are others now, or what an expert was asked is.
        """
        if state["demonstrations"] != self._fingerprints:
            raise InvalidValueError(
                f"the demonstrations in {self.config.demonstrations.folder} have changed since this run began; "
                "start another run from them with '--out'"
            )
        if self._dagger is not None:
            self.corpus = self.corpus.joined(self._dagger.after(state["rounds"]))
        self._learner.load_state(state["algorithm"])


def _read(config: DemonstrationsConfig, components: tuple[str, ...], seed: int) -> tuple[Corpus, Corpus]:
    """Demonstrations to learn from, and those held out."""
    demonstrations = Demonstrations(config.folder, components, config.size)
    numbers = range(len(demonstrations) if config.episodes is None else config.episodes)
    if len(numbers) > len(demonstrations):
        raise InvalidValueError(
            f"demonstrations.episodes is {len(numbers)}, but {config.folder} holds {len(demonstrations)}; lower it, or "
            f"record more: poise demos CONFIG --out {shlex.quote(config.folder)} --episodes {len(numbers)}"
        )
    with ProgressBar(len(numbers), "read", unit="episodes") as bar:
        episodes = demonstrations.load(numbers, bar.update)
    learned, held_out = split_by_episode(episodes, config.validation, seed)
    return Corpus(learned), Corpus(held_out)
