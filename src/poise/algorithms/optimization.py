"""How weights move: by clipped gradients, at scheduled rates, and averaged."""

import copy
from collections.abc import Mapping
from typing import Any, Literal

import torch
from pydantic import Field
from torch import nn

from poise.algorithms.parallel import Loss, ParallelGradients
from poise.algorithms.schedules import Scheduled, value_at
from poise.config import Config
from poise.errors import DivergedError
from poise.policies import ActorCritic
from poise.storage import Minibatch

REMEDY = "try a lower algorithm.learning_rate; checkpoints made before are as they were"


class EwmaConfig(Config):
    """Exponentially weighted average of the policy's weights (Hilton, Cobbe and Schulman, arXiv 2110.00641).

    What it begins with counts as one step: until there were many, the average is nearly that of all.
    """

    decay: float = Field(0.99, gt=0, lt=1, description="of the average, per optimiser step")
    role: Literal["evaluation", "proximal"] = Field(
        "evaluation", description="only evaluated and saved, or also what the clipping keeps the policy close to"
    )


class OptimizationConfig(Config):
    """What every algorithm needs that learns from rollouts by gradients."""

    num_steps: int = Field(32, ge=1, le=1_000_000, description="steps of each environment between updates")
    num_epochs: int = Field(5, ge=1, description="passes over the rollout")
    num_minibatches: int = Field(4, ge=1, description="parts of the rollout, one optimiser step each")
    learning_rate: Scheduled = Field(3e-4, description="of the actor and the shared features")
    critic_learning_rate: Scheduled | None = Field(
        None, description="of the critic; by default what learning_rate says"
    )
    max_grad_norm: float = Field(1.0, gt=0, description="clip of the gradient's norm")
    weight_decay: float = Field(0.0, ge=0, description="of AdamW")
    ewma: EwmaConfig | None = Field(None, description="average the policy's weights")


class PolicyOptimizer:
    """Moves the weights of a policy that acts, AdamW's way.

    Args:
        policy: what is trained.
        config: how.
        threads: that share each minibatch.

    Attributes:
        averaged: the policy with averaged weights, if there is to be one.
    """

    def __init__(self, policy: ActorCritic, config: OptimizationConfig, threads: int) -> None:
        self.policy = policy
        self.averaged = copy.deepcopy(policy).requires_grad_(False) if config.ewma else None
        self._config = config
        critic_rate = config.learning_rate if config.critic_learning_rate is None else config.critic_learning_rate
        self._rates = (config.learning_rate, critic_rate)
        groups = policy.parameter_groups(value_at(self._rates[0], 0.0), value_at(self._rates[1], 0.0))
        self._parameters = list(policy.parameters())
        self._optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay, fused=True)
        self._gradients = ParallelGradients(policy, threads)
        self._rate_scale = 1.0
        self._averaged_steps = 1.0

    @property
    def learning_rates(self) -> tuple[float, float]:
        """Of the actor and of the critic, at the last step."""
        actor, critic = self._optimizer.param_groups
        return actor["lr"], critic["lr"]

    def step(self, loss: Loss, batch: Minibatch, fraction: float) -> dict[str, float]:
        """Go down the gradient of a minibatch's loss; returns what the loss reports, averaged, and the gradient's norm.

        Args:
            loss: of some samples.
            batch: what it is computed from.
            fraction: of the training that is done, for the schedules.

        Raises:
            DivergedError: the gradient is not finite; the weights are as they were.
        """
        self._set_learning_rates(fraction)
        measured = self._gradients(loss, batch)
        norm = nn.utils.clip_grad_norm_(self._parameters, self._config.max_grad_norm)
        if not torch.isfinite(norm):
            raise DivergedError(f"the training diverged: a gradient's norm is {float(norm)}; {REMEDY}")
        self._optimizer.step()
        self._average()
        return measured | {"gradient_norm": float(norm)}

    def scale_learning_rate(self, factor: float, least: float, most: float, fraction: float) -> None:
        """Multiply the actor's rate by a factor from the next step on, within bounds; the critic's stays."""
        base = value_at(self._rates[0], fraction)
        if base > 0.0:  # a schedule may pass through 0
            self._rate_scale = min(max(factor * self._rate_scale, least / base), most / base)

    def share_buffers(self) -> None:
        """Give the averaged policy the statistics and bounds that the policy has now."""
        if self.averaged is not None:
            self.averaged.load_state_dict(dict(self.policy.named_buffers()), strict=False)

    def state(self) -> dict[str, Any]:
        """Everything needed to continue bit for bit."""
        return {
            "policy": self.policy.state_dict(),
            "averaged": self.averaged.state_dict() if self.averaged is not None else {},
            "optimizer": self._optimizer.state_dict(),
            "rate_scale": self._rate_scale,
            "averaged_steps": self._averaged_steps,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from `state()` of the same configuration on the same policy."""
        self.policy.load_state_dict(state["policy"])
        if self.averaged is not None:
            self.averaged.load_state_dict(state["averaged"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._rate_scale = state["rate_scale"]
        self._averaged_steps = state["averaged_steps"]

    def close(self) -> None:
        """End the threads; there can be no more steps."""
        self._gradients.close()

    @torch.no_grad()
    def _average(self) -> None:
        if self.averaged is None or self._config.ewma is None:
            return
        self._averaged_steps = 1.0 + self._config.ewma.decay * self._averaged_steps
        for average, current in zip(self.averaged.parameters(), self._parameters, strict=True):
            average.lerp_(current, 1.0 / self._averaged_steps)

    def _set_learning_rates(self, fraction: float) -> None:
        actor, critic = self._optimizer.param_groups
        actor["lr"] = self._rate_scale * value_at(self._rates[0], fraction)
        critic["lr"] = value_at(self._rates[1], fraction)
