"""Proximal policy optimisation (Schulman et al., arXiv 1707.06347)."""

import copy
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from poise.algorithms.gae import generalized_advantage_estimation
from poise.algorithms.losses import (
    approximate_kl,
    clipped_surrogate_loss,
    decoupled_surrogate_loss,
    explained_variance,
    value_loss,
)
from poise.algorithms.parallel import ParallelGradients
from poise.algorithms.schedules import PositiveScheduled, Scheduled, value_at
from poise.algorithms.value_scale import ValueScale
from poise.config import Config
from poise.nn import forget
from poise.policies import ActorCritic, HiddenStates
from poise.storage import Minibatch, Rollout


class AdaptiveKlConfig(Config):
    """The actor's learning rate, steered so that each update changes the policy by about `desired_kl`."""

    desired_kl: PositiveScheduled = Field(0.01, description="KL divergence an update should cause, nats")
    factor: float = Field(1.5, gt=1, description="by which the rate changes when the KL is off by more than twofold")
    min_learning_rate: float = Field(1e-5, gt=0)
    max_learning_rate: float = Field(1e-2, gt=0)


class EwmaConfig(Config):
    """Exponentially weighted average of the policy's weights (Hilton, Cobbe and Schulman, arXiv 2110.00641)."""

    decay: float = Field(0.99, gt=0, lt=1, description="of the average, per optimiser step")
    role: Literal["evaluation", "proximal"] = Field(
        "evaluation", description="only evaluated and saved, or also what the clipping keeps the policy close to"
    )


class PPOConfig(Config):
    """Proximal policy optimisation."""

    num_steps: int = Field(32, ge=1, description="steps of each environment between updates")
    num_epochs: int = Field(5, ge=1, description="passes over the rollout")
    num_minibatches: int = Field(4, ge=1, description="parts of the rollout, one optimiser step each")
    gamma: float = Field(0.99, gt=0, le=1, description="discount factor")
    gae_lambda: float = Field(0.95, ge=0, le=1, description="bias-variance trade of the advantages")
    learning_rate: Scheduled = Field(3e-4, description="of the actor and the shared features")
    critic_learning_rate: Scheduled | None = Field(
        None, description="of the critic; by default what learning_rate says, and never steered"
    )
    adaptive_kl: AdaptiveKlConfig | None = Field(
        None, description="steer the actor's learning rate by the KL divergence"
    )
    clip_range: Scheduled = Field(0.2, description="of the probability ratio")
    value_clip_range: float | None = Field(None, gt=0, description="of the values, in the critic's units")
    value_coef: float = Field(1.0, ge=0, description="weight of the value loss")
    entropy_coef: Scheduled = Field(0.0, description="weight of the entropy bonus")
    max_std: PositiveScheduled | None = Field(
        None, description="bound of the actions' standard deviation, to calm exploration down"
    )
    normalize_advantages: bool = Field(True, description="to zero mean and unit variance, over the rollout")
    normalize_values: bool = Field(True, description="train the critic on returns of unit scale (Pop-Art)")
    target_kl: float | None = Field(None, gt=0, description="stop an update when the KL exceeds 1.5 times this, nats")
    max_grad_norm: float = Field(1.0, gt=0, description="clip of the gradient's norm")
    weight_decay: float = Field(0.0, ge=0, description="of AdamW")
    ewma: EwmaConfig | None = Field(None, description="average the policy's weights")


class Decision(NamedTuple):
    """What the algorithm decided for one step, and what its update will need again."""

    actions: Tensor
    values: Tensor
    log_probs: Tensor
    distributions: Tensor

    def columns(self) -> dict[str, Tensor]:
        """For `Rollout.add`."""
        return self._asdict()


class PPO:
    """Trains an actor-critic on rollouts.

    Args:
        policy: what is trained.
        config: hyper-parameters.
        threads: that share each minibatch in an update.
    """

    def __init__(self, policy: ActorCritic, config: PPOConfig, threads: int = 1) -> None:
        self.policy = policy
        self.config = config
        self.averaged = copy.deepcopy(policy).requires_grad_(False) if config.ewma else None
        self.values = ValueScale()
        critic_rate = config.learning_rate if config.critic_learning_rate is None else config.critic_learning_rate
        self._rates = (config.learning_rate, critic_rate)
        groups = policy.parameter_groups(value_at(self._rates[0], 0.0), value_at(self._rates[1], 0.0))
        self._parameters = list(policy.parameters())
        self.optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay, fused=True)
        self._gradients = ParallelGradients(policy, threads)
        self._rate_scale = 1.0
        self.hidden_states: HiddenStates = {}

    @property
    def acting_policy(self) -> ActorCritic:
        """The policy to evaluate and to ship: the averaged one, if there is one."""
        return self.averaged if self.averaged is not None else self.policy

    def prepare(self, observation: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """What to act on and to keep of observations {name: (N, ...)}: themselves, and what acting on them draws."""
        return self.policy.prepare(observation)

    @torch.no_grad()
    def act(self, observation: Mapping[str, Tensor]) -> Decision:
        """Sample actions for the next observations {name: (N, ...)}."""
        distribution, outputs, self.hidden_states = self.policy.step(observation, self.hidden_states)
        actions = distribution.sample()
        values = self.values.denormalize(outputs)
        return Decision(actions, values, distribution.log_prob(actions), distribution.parameters)

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
        return self.values.denormalize(self.policy.value_of(observation, states))

    def reset(self, dones: Tensor) -> None:
        """Forget the environments (N,) whose episode is over."""
        self.hidden_states = forget(self.hidden_states, dones)

    def update(self, rollout: Rollout, last_values: Tensor, fraction: float) -> dict[str, float]:
        """Learn from a full rollout.

        Args:
            rollout: with what `act` decided, `rewards`, `dones` and `bootstraps`.
            last_values: (N,) of the observations after the last step.
            fraction: of the training that is done, for the schedules.

        Returns:
            Metrics, averaged over the optimiser steps.
        """
        config = self.config
        self._prepare(rollout, last_values)
        metrics: dict[str, list[float]] = defaultdict(list)
        for minibatch in rollout.minibatches(config.num_minibatches, config.num_epochs, self.policy.is_recurrent):
            self._set_learning_rates(fraction)
            measured = self._step(minibatch, fraction)
            for name, value in measured.items():
                metrics[name].append(value)
            self._adapt(measured["kl"], fraction)
            if config.target_kl is not None and measured["approximate_kl"] > 1.5 * config.target_kl:
                break
        summary = {name: sum(values) / len(values) for name, values in metrics.items()}
        summary["explained_variance"] = explained_variance(rollout.values, rollout.returns)
        summary["learning_rate"] = self.optimizer.param_groups[0]["lr"]
        summary["optimizer_steps"] = float(len(metrics["kl"]))
        self.policy.update_normalization(rollout.observations)
        if config.max_std is not None:
            self.policy.limit_std(value_at(config.max_std, fraction))
        if self.averaged is not None:
            self.averaged.load_state_dict(dict(self.policy.named_buffers()), strict=False)
        return summary

    def state(self) -> dict[str, Any]:
        """Everything needed to continue bit for bit."""
        return {
            "policy": self.policy.state_dict(),
            "averaged": self.averaged.state_dict() if self.averaged is not None else {},
            "optimizer": self.optimizer.state_dict(),
            "values": self.values.state(),
            "rate_scale": self._rate_scale,
            "hidden_states": dict(self.hidden_states),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from `state()` of the same algorithm on the same policy."""
        self.policy.load_state_dict(state["policy"])
        if self.averaged is not None:
            self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.values.load_state(state["values"])
        self._rate_scale = state["rate_scale"]
        self.hidden_states = state["hidden_states"]

    def close(self) -> None:
        """End the threads; there can be no more updates."""
        self._gradients.close()

    # --- one update -----------------------------------------------------------------------------------------------

    @torch.no_grad()
    def _prepare(self, rollout: Rollout, last_values: Tensor) -> None:
        """Compute advantages and returns, and bring values to the critic's scale."""
        config = self.config
        advantages, returns = generalized_advantage_estimation(
            rollout.rewards,
            rollout.values,
            last_values,
            rollout.dones,
            rollout.bootstraps,
            config.gamma,
            config.gae_lambda,
        )
        if config.normalize_values:
            self.values.update(returns, self.policy.critic_output)
        if config.normalize_advantages:
            advantages = (advantages - advantages.mean()) / (advantages.std(correction=0) + 1e-8)
        rollout.fill(
            advantages=advantages,
            returns=self.values.normalize(returns),
            values=self.values.normalize(rollout.values),
        )

    def _step(self, batch: Minibatch, fraction: float) -> dict[str, float]:
        """One optimiser step."""
        measured = self._gradients(lambda policy, part: self._loss(policy, part, fraction), batch)
        norm = nn.utils.clip_grad_norm_(self._parameters, self.config.max_grad_norm)
        self.optimizer.step()
        self._average()
        return measured | {"gradient_norm": float(norm)}

    def _loss(self, policy: ActorCritic, batch: Minibatch, fraction: float) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of some samples, and what to report of them: all means over the samples."""
        config = self.config
        clip_range = value_at(config.clip_range, fraction)
        judged = policy.judge(batch.observations, batch.actions, batch.sequences)
        log_probs, auxiliary = judged.log_probs, judged.auxiliary_losses
        policy_loss = self._policy_loss(batch, log_probs, clip_range)
        critic_loss = value_loss(judged.values, batch.values, batch.returns, config.value_clip_range)
        entropy_bonus = judged.entropies.mean()
        loss = policy_loss + config.value_coef * critic_loss - value_at(config.entropy_coef, fraction) * entropy_bonus
        for extra in auxiliary.values():
            loss = loss + extra
        with torch.no_grad():
            ratio = torch.exp(log_probs - batch.log_probs)
            return loss, {
                "policy_loss": policy_loss,
                "value_loss": critic_loss,
                "entropy": entropy_bonus,
                "kl": judged.distribution.kl_from(batch.distributions).mean(),
                "approximate_kl": approximate_kl(log_probs, batch.log_probs),
                "clip_fraction": ((ratio - 1.0).abs() > clip_range).float().mean(),
                **auxiliary,
            }

    def _policy_loss(self, batch: Minibatch, log_probs: Tensor, clip_range: float) -> Tensor:
        if self.averaged is None or self.config.ewma is None or self.config.ewma.role == "evaluation":
            return clipped_surrogate_loss(log_probs, batch.log_probs, batch.advantages, clip_range)
        with torch.no_grad():
            proximal = self.averaged.judge(batch.observations, batch.actions, batch.sequences).log_probs
        return decoupled_surrogate_loss(log_probs, proximal, batch.log_probs, batch.advantages, clip_range)

    @torch.no_grad()
    def _average(self) -> None:
        if self.averaged is None or self.config.ewma is None:
            return
        weight = 1.0 - self.config.ewma.decay
        for average, current in zip(self.averaged.parameters(), self._parameters, strict=True):
            average.lerp_(current, weight)

    # --- learning rates -------------------------------------------------------------------------------------------

    def _set_learning_rates(self, fraction: float) -> None:
        actor, critic = self.optimizer.param_groups
        actor["lr"] = self._rate_scale * value_at(self._rates[0], fraction)
        critic["lr"] = value_at(self._rates[1], fraction)  # its errors say nothing about the KL divergence

    def _adapt(self, kl: float, fraction: float) -> None:
        """Slower when the policy moved too far, faster when hardly at all."""
        adaptive = self.config.adaptive_kl
        base = value_at(self._rates[0], fraction)
        if adaptive is None or base == 0.0:  # a schedule may pass through 0
            return
        desired = value_at(adaptive.desired_kl, fraction)
        if kl > 2.0 * desired:
            self._rate_scale /= adaptive.factor
        elif kl < 0.5 * desired:
            self._rate_scale *= adaptive.factor
        bounds = adaptive.min_learning_rate / base, adaptive.max_learning_rate / base
        self._rate_scale = min(max(self._rate_scale, bounds[0]), bounds[1])
