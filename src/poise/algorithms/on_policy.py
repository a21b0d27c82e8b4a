"""What learns from rollouts: it decides for many environments at once, and updates its policy between rollouts."""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from poise.algorithms.optimization import REMEDY, OptimizationConfig, PolicyOptimizer
from poise.algorithms.parallel import Loss
from poise.errors import DivergedError
from poise.nn import ActionDistribution, forget
from poise.policies import ActorCritic, HiddenStates
from poise.storage import Rollout


class Decision(Protocol):
    """What an algorithm decided for one step."""

    @property
    def actions(self) -> Tensor:
        """(N, A) or (N,), for the environments."""
        ...

    def columns(self) -> dict[str, Tensor]:
        """What its update will need again, for `Rollout.add`."""
        ...


class OnPolicyAlgorithm(ABC):
    """Acts with a policy and trains it on what came of it.

    Args:
        policy: what is trained.
        config: of the optimisation; algorithms add to it.
        threads: that share each minibatch in an update.

    Attributes:
        hidden_states: what the policy remembers of the environments it is in charge of.
    """

    def __init__(self, policy: ActorCritic, config: OptimizationConfig, threads: int = 1) -> None:
        self.policy = policy
        self._optimization = config
        self.optimizer = PolicyOptimizer(policy, config, threads)
        self.hidden_states: HiddenStates = {}

    @property
    def acting_policy(self) -> ActorCritic:
        """The policy to evaluate and to ship: the averaged one, if there is one."""
        averaged = self.optimizer.averaged
        return averaged if averaged is not None else self.policy

    # --- acting ---------------------------------------------------------------------------------------------------

    def prepare(self, observation: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """What to act on and to keep of observations {name: (N, ...)}: themselves, and what acting on them draws."""
        return self.policy.prepare(observation)

    @abstractmethod
    def act(self, observation: Mapping[str, Tensor]) -> Decision:
        """Decide on the next observations {name: (N, ...)}."""

    def _step(self, observation: Mapping[str, Tensor]) -> tuple[ActionDistribution, Tensor]:
        """The policy's distribution of actions and its critic's outputs (N,); it remembers the step.

        Raises:
            DivergedError: the distribution is not finite.
        """
        distribution, outputs, self.hidden_states = self.policy.step(observation, self.hidden_states)
        if not torch.isfinite(distribution.parameters).all():
            raise DivergedError(f"the training diverged: the policy's outputs are not finite; {REMEDY}")
        return distribution, outputs

    @torch.no_grad()
    def evaluate(self, observation: Mapping[str, Tensor], robots: Tensor | None = None) -> Tensor:
        """Values in the rewards' units of what follows the observations acted on last; nothing is remembered of it.

        Args:
            observation: {name: (N, ...)}, or {name: (K, ...)} of some robots.
            robots: (K,) which; None for all.
        """
        states = self.hidden_states
        if robots is not None:
            states = {name: state[:, robots] for name, state in states.items()}
        return self._values(observation, states)

    @abstractmethod
    def _values(self, observation: Mapping[str, Tensor], states: HiddenStates) -> Tensor:
        """(N,) in the rewards' units; zeros for what has no critic."""

    def reset(self, dones: Tensor) -> None:
        """Forget the environments (N,) whose episode is over."""
        self.hidden_states = forget(self.hidden_states, dones)

    # --- learning -------------------------------------------------------------------------------------------------

    @abstractmethod
    def update(self, rollout: Rollout, last_values: Tensor, fraction: float) -> dict[str, float]:
        """Learn from a full rollout.

        Args:
            rollout: with what `act` decided, `rewards`, `dones` and `bootstraps`.
            last_values: (N,) of the observations after the last step.
            fraction: of the training that is done, for the schedules.

        Returns:
            Metrics, averaged over the optimiser steps.
        """

    def _learn(
        self,
        rollout: Rollout,
        columns: Sequence[str],
        loss: Loss,
        fraction: float,
        after_step: Callable[[dict[str, float]], bool] = lambda measured: False,
    ) -> dict[str, float]:
        """Go over a rollout in minibatches, then take its observations into the normalisers.

        Args:
            rollout: what is learned from.
            columns: of it that the loss reads.
            loss: of a minibatch.
            fraction: of the training that is done.
            after_step: told what each step reported; true ends the update.

        Returns:
            Means of what was reported.
        """
        config, recurrent = self._optimization, self.policy.is_recurrent
        metrics: dict[str, list[float]] = defaultdict(list)
        for minibatch in rollout.minibatches(columns, config.num_minibatches, config.num_epochs, recurrent):
            measured = self.optimizer.step(loss, minibatch, fraction)
            for name, value in measured.items():
                metrics[name].append(value)
            if after_step(measured):
                break
        self.policy.update_normalization(rollout.observations, rollout.sequences)
        self.optimizer.share_buffers()
        self.hidden_states = self.policy.states_after_learning(self.hidden_states)
        summary = {name: sum(values) / len(values) for name, values in metrics.items()}
        steps = len(metrics["gradient_norm"])
        return summary | {"learning_rate": self.optimizer.learning_rates[0], "optimizer_steps": float(steps)}

    # --- stopping and going on ------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything needed to continue bit for bit."""
        return self.optimizer.state() | {"hidden_states": dict(self.hidden_states)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from `state()` of the same algorithm on the same policy."""
        self.optimizer.load_state(state)
        self.hidden_states = state["hidden_states"]

    def close(self) -> None:
        """End the threads; there can be no more updates."""
        self.optimizer.close()
