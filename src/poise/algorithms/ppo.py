"""Proximal policy optimisation (Schulman et al., arXiv 1707.06347)."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from poise.algorithms.exploration import AutoregressiveNoise
from poise.algorithms.gae import generalized_advantage_estimation
from poise.algorithms.losses import (
    approximate_kl,
    clipped_surrogate_loss,
    decoupled_surrogate_loss,
    explained_variance,
    value_loss,
)
from poise.algorithms.on_policy import OnPolicyAlgorithm
from poise.algorithms.optimization import OptimizationConfig
from poise.algorithms.schedules import PositiveScheduled, Scheduled, ScheduledShare, still_rises, value_at
from poise.config import Config
from poise.errors import InvalidValueError
from poise.nn import ActionDistribution, DiagonalGaussian, GaussianHead
from poise.policies import ActorCritic, HiddenStates
from poise.storage import Minibatch, Rollout

COLUMNS = ("actions", "log_probs", "values", "advantages", "returns", "distributions")
"""What the loss reads of a rollout beside the observations."""


class AdaptiveKlConfig(Config):
    """The actor's learning rate, steered from update to update so that the mean KL of each is about `desired_kl`.

    Within an update the rate stays: steered at every step (Rudin et al., arXiv 2109.11978) it would rise while the
    policy has hardly moved yet, and fall again at the end, often to its lower bound.
    """

    desired_kl: PositiveScheduled = Field(
        0.01, description="mean over an update's steps of the KL divergence from the policy before it, nats"
    )
    factor: float = Field(1.5, gt=1, description="by which the rate changes when the KL is off by more than twofold")
    min_learning_rate: float = Field(1e-5, gt=0, description="the least it is brought down to")
    max_learning_rate: float = Field(1e-2, gt=0, description="the most it is raised to")


class PPOConfig(OptimizationConfig):
    """Proximal policy optimisation."""

    name: Literal["ppo"] = Field(
        "ppo", description="the algorithm: ppo, amp (with policy.amp_discriminator) or distillation"
    )
    adaptive_kl: AdaptiveKlConfig | None = Field(
        None,
        description="steer the actor's learning rate by the KL divergence, which says nothing about the critic's; "
        "target_kl beside it guards single updates",
    )
    gamma: float = Field(0.99, gt=0, le=1, description="discount factor")
    gae_lambda: float = Field(0.95, ge=0, le=1, description="bias-variance trade of the advantages")
    clip_range: Scheduled = Field(0.2, description="of the probability ratio")
    value_clip_range: float | None = Field(None, gt=0, description="of the values, in the critic's units")
    value_coef: float = Field(1.0, ge=0, description="weight of the value loss")
    entropy_coef: Scheduled = Field(0.0, description="weight of the entropy bonus")
    max_std: PositiveScheduled | None = Field(
        None, description="bound of the actions' standard deviation, to calm exploration down"
    )
    noise_correlation: ScheduledShare | None = Field(
        None, description="of the exploration noise of one step with the next one's; continuous actions only"
    )
    normalize_advantages: bool = Field(True, description="to zero mean and unit variance, over the rollout")
    normalize_values: bool = Field(True, description="train the critic on returns of unit scale (Pop-Art)")
    target_kl: float | None = Field(None, gt=0, description="stop an update when the KL exceeds 1.5 times this, nats")

    @model_validator(mode="after")
    def _steps_to_steer_by(self) -> Self:
        if self.adaptive_kl is not None and self.num_epochs * self.num_minibatches < 2:
            raise ValueError("adaptive_kl needs at least 2 steps an update (num_epochs times num_minibatches)")
        return self


class PPODecision(NamedTuple):
    """What the policy drew, and what the update compares with it."""

    actions: Tensor
    values: Tensor
    log_probs: Tensor
    distributions: Tensor

    def columns(self) -> dict[str, Tensor]:
        """For `Rollout.add`."""
        return self._asdict()


class PPO(OnPolicyAlgorithm):
    """Trains an actor-critic on rollouts.

    Args:
        policy: what is trained.
        config: hyper-parameters.
        threads: that share each minibatch in an update.
    """

    def __init__(self, policy: ActorCritic, config: PPOConfig, threads: int = 1) -> None:
        super().__init__(policy, config, threads)
        self.config = config
        self._noise = AutoregressiveNoise()
        self._correlation = None if config.noise_correlation is None else value_at(config.noise_correlation, 0.0)
        if self._correlation is not None and not isinstance(policy.head, GaussianHead):
            raise InvalidValueError("algorithm.noise_correlation is for continuous actions, and these are discrete")

    @torch.no_grad()
    def act(self, observation: Mapping[str, Tensor]) -> PPODecision:
        """Sample actions for the next observations {name: (N, ...)}."""
        distribution, outputs = self._step(observation)
        actions = self._sample(distribution)
        values = self.policy.value_scale.denormalize(outputs)
        return PPODecision(actions, values, distribution.log_prob(actions), distribution.parameters)

    def update(self, rollout: Rollout, last_values: Tensor, fraction: float) -> dict[str, float]:
        """Learn from a full rollout."""
        config = self.config
        self._prepare(rollout, last_values)
        summary = self._learn(
            rollout,
            COLUMNS,
            lambda policy, part: self._loss(policy, part, fraction),
            fraction,
            self._goes_too_far,
        )
        self._adapt(summary["kl"], fraction)
        summary["explained_variance"] = explained_variance(rollout.values, rollout.returns)
        if config.max_std is not None:
            self.policy.limit_std(value_at(config.max_std, fraction))
        if config.noise_correlation is not None:
            self._correlation = value_at(config.noise_correlation, fraction)
        return summary

    def state(self) -> dict[str, Any]:
        """Everything needed to continue bit for bit."""
        return super().state() | {
            "noise": self._noise.state(),
            "noise_correlation": self._correlation,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from `state()` of the same algorithm on the same policy."""
        super().load_state(state)
        self._noise.load_state(state["noise"])
        self._correlation = state["noise_correlation"]

    def _goes_too_far(self, measured: Mapping[str, float]) -> bool:
        """Whether the update is to end with the step that reported this."""
        target = self.config.target_kl
        return target is not None and measured["approximate_kl"] > 1.5 * target

    def _adapt(self, kl: float, fraction: float) -> None:
        """Slower from now on when the policy moved too far, faster when hardly at all."""
        adaptive = self.config.adaptive_kl
        if adaptive is None:
            return
        desired = value_at(adaptive.desired_kl, fraction)
        factor = 1.0 / adaptive.factor if kl > 2.0 * desired else adaptive.factor if kl < 0.5 * desired else 1.0
        if factor > 1.0 and still_rises(self.config.learning_rate, fraction):
            return  # a rate that is warmed up is to be low
        self.optimizer.scale_learning_rate(factor, adaptive.min_learning_rate, adaptive.max_learning_rate, fraction)

    def _sample(self, distribution: ActionDistribution) -> Tensor:
        """Actions to explore with."""
        if self._correlation is None:
            return distribution.sample()
        assert isinstance(distribution, DiagonalGaussian)
        return distribution.sample(self._noise.draw(distribution.mean, self._correlation))

    def _values(self, observation: Mapping[str, Tensor], states: HiddenStates) -> Tensor:
        return self.policy.value_scale.denormalize(self.policy.value_of(observation, states))

    # --- one update -----------------------------------------------------------------------------------------------

    @torch.no_grad()
    def _prepare(self, rollout: Rollout, last_values: Tensor) -> None:
        """Compute advantages and returns, and bring values to the critic's scale."""
        config, scale = self.config, self.policy.value_scale
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
            averaged = self.optimizer.averaged
            critics = [self.policy] if averaged is None else [self.policy, averaged]
            scale.update(returns, [policy.critic_output for policy in critics])
        if config.normalize_advantages:
            advantages = (advantages - advantages.mean()) / (advantages.std(correction=0) + 1e-8)
        rollout.fill(
            advantages=advantages,
            returns=scale.normalize(returns),
            values=scale.normalize(rollout.values),
        )

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
        averaged, ewma = self.optimizer.averaged, self.config.ewma
        if averaged is None or ewma is None or ewma.role == "evaluation":
            return clipped_surrogate_loss(log_probs, batch.log_probs, batch.advantages, clip_range)
        with torch.no_grad():
            proximal = averaged.judge(batch.observations, batch.actions, batch.sequences).log_probs
        return decoupled_surrogate_loss(log_probs, proximal, batch.log_probs, batch.advantages, clip_range)
