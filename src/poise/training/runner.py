"""Learning by reinforcement: collect experience, learn from it, report."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from torch import nn

from poise.algorithms import Schedule
from poise.algorithms.schedules import value_at
from poise.policies import PolicyAgent
from poise.training.assets import Assets
from poise.training.building import build_algorithm, training_sensing
from poise.training.callbacks import Callback
from poise.training.collector import Collector
from poise.training.config import RunConfig
from poise.training.environments import make_vector_env, sensing_for, set_reward_weights
from poise.training.loop import Loop


class Runner(Loop):
    """Learns from its own experience.

    Args:
        config: determines the run.
        folder: where everything is written.
        assets: what the configuration names by its path.
        callbacks: what looks on, in order.
    """

    config: RunConfig
    headline: ClassVar = {  # returns of training's own rewards and starts are not those of an evaluation
        "training return": "episode/return",
        "length": "episode/length",
        "speed": "rollout/speed",
        "kl": "update/kl",
    }

    def __init__(self, config: RunConfig, folder: Path, assets: Assets, callbacks: list[Callback]) -> None:
        super().__init__(config, folder, callbacks)
        self.assets = assets
        self.env = make_vector_env(config.env.id, config.env.num_envs, config.env.options, self.threads)
        sensing = training_sensing(config, assets, self.env, self.threads)
        self.algorithm = build_algorithm(config, assets, sensing.shapes, self.env)
        self.collector = Collector(self.env, sensing, self.algorithm, config.algorithm.num_steps)
        self._check_reward_weights()

    @property
    def acting_policy(self) -> nn.Module:
        """What is evaluated, filmed and kept."""
        return self.algorithm.acting_policy

    def agent_for(self, env: VectorEnv[Any, Any, Any]) -> PolicyAgent:
        """The policy to be evaluated, in charge of another environment."""
        policy = self.config.policy
        sensing = sensing_for(env, policy, self.assets.encoder, policy.sensed, self.threads)
        return PolicyAgent(self.algorithm.acting_policy, sensing)

    def keep(self) -> None:
        """Copies of what the configuration names by its path, if there is memory for its rollouts."""
        self._check_memory()
        self.assets.keep(self.config, self.folder)

    # --- the loop -----------------------------------------------------------------------------------------------------

    @property
    def whole(self) -> int:
        """The step at which training ends: rollouts are whole."""
        return -(-self.config.last_step // self._rollout) * self._rollout

    def begin(self) -> None:
        """New episodes, and statistics of the first observations."""
        self.collector.start(self._seeds())
        if self.assets.initial_policy is None:
            self.collector.warm_up_normalization()

    def iterate(self) -> dict[str, float]:
        """One rollout and one update."""
        weights = self._set_reward_weights()
        last_values = self.collector.collect()
        metrics = self.algorithm.update(self.collector.rollout, last_values, self._fraction)
        self.step += self._rollout
        metrics = {f"update/{name}": value for name, value in metrics.items()} | self.collector.metrics()
        return metrics | {f"reward_weight/{name}": value for name, value in weights.items()}

    def close(self) -> None:
        """Training is over."""
        self.algorithm.close()
        self.env.close()

    @property
    def _rollout(self) -> int:
        """Steps of an iteration."""
        return self.env.num_envs * self.config.algorithm.num_steps

    @property
    def _fraction(self) -> float:
        """How much of the training is done."""
        return self.step / self.config.total_steps

    def _set_reward_weights(self) -> dict[str, float]:
        weights = {name: value_at(weight, self._fraction) for name, weight in self.config.reward_weights.items()}
        set_reward_weights(self.env, weights)
        return weights

    def _check_memory(self) -> None:
        """Ask for what a rollout's observations take and give it back, so that no run is begun that cannot have it.

        How many steps an image will last, where each is held once, nobody knows: one for each environment is asked for.
        """
        sensing, steps = self.collector.sensing, self.config.algorithm.num_steps
        sizes = {name: math.prod(shape) for name, shape in sensing.shapes.items()}
        torch.empty(
            self.env.num_envs, sum(size * (1 if name in sensing.frames else steps) for name, size in sizes.items())
        )

    def _check_reward_weights(self) -> None:
        """Let the environment refuse now what it would refuse in the middle of the training."""
        for name, weight in self.config.reward_weights.items():
            for value in weight.values if isinstance(weight, Schedule) else (weight,):
                set_reward_weights(self.env, {name: value})

    # --- stopping and going on ----------------------------------------------------------------------------------------

    def settle(self) -> None:
        """New episodes where environments cannot be saved."""
        if not hasattr(self.env, "state"):
            self.collector.start(self._seeds())

    def learner_state(self) -> dict[str, Any]:
        """Weights, optimiser, normalisers and environments."""
        return {
            "algorithm": self.algorithm.state(),
            "collector": self.collector.state(),
            "env": self.env.state() if hasattr(self.env, "state") else None,
        }

    def load_learner(self, state: Mapping[str, Any]) -> None:
        """Continue from `learner_state()`."""
        self.collector.load_state(state["collector"])
        if state["env"] is not None:
            self.env.load_state(state["env"])  # type: ignore[attr-defined]
        else:
            self.collector.start(self._seeds())  # as it did when it was saved, and before the algorithm is as it was
        self.algorithm.load_state(state["algorithm"])

    def _seeds(self) -> list[int]:
        """A seed for each environment, from the run's seed and the step."""
        sequence = np.random.SeedSequence([self.config.seed, self.step])
        return [int(seed) for seed in sequence.generate_state(self.env.num_envs)]
