"""Adversarial PPO: the task's reward, and one for moving in the style of a reference (AMP; arXiv 2104.02180).

    rollout ─► pairs of states ─► style rewards, mixed with the task's ─► PPO
                    │
                    └─► replay ─► discriminator <── pairs of the reference

The discriminator is trained by least squares, to +1 for the reference and -1 for the policy, half each, with a penalty
on its gradient at the reference:

    L = 1/2 E_ref[(d - 1)²] + 1/2 E_policy[(d + 1)²] + w E_ref[|grad d|²]
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from poise.algorithms.motion import ReferenceMotion
from poise.algorithms.ppo import PPO, PPOConfig
from poise.config import Config
from poise.errors import InvalidValueError
from poise.policies import ActorCritic
from poise.policies.amp import AmpMixin
from poise.storage import Rollout


class DiscriminatorTraining(Config):
    """How the discriminator learns."""

    learning_rate: float = Field(1e-4, gt=0, description="of AdamW")
    weight_decay: float = Field(1e-4, ge=0, description="of the hidden layers")
    head_weight_decay: float = Field(1e-2, ge=0, description="of the last layer")
    num_steps: int = Field(16, ge=1, description="optimiser steps for each rollout")
    batch_size: int = Field(512, ge=2, description="pairs of each stream in a step")
    noise: float = Field(
        0.0, ge=0, description="added to what it learns from, in standard deviations: it is not to judge by trembling"
    )
    replay_size: int = Field(200_000, ge=2, description="latest pairs of the policy's that it learns from")


class AmpConfig(PPOConfig):
    """Proximal policy optimisation of the task and of a style of motion."""

    name: Literal["amp"] = Field(description="adversarial PPO")  # type: ignore[assignment]
    motion: str = Field(description="file of the reference motion, as 'poise motion' writes it")
    discriminator: DiscriminatorTraining = DiscriminatorTraining()


class Pairs(NamedTuple):
    """States (P, F) and those after them, as they are."""

    states: Tensor
    next_states: Tensor


class AmpPPO(PPO):
    """PPO whose rewards are partly a discriminator's.

    Args:
        policy: with a discriminator.
        config: hyper-parameters.
        motion: the reference.
        threads: that share each minibatch in an update.
    """

    def __init__(self, policy: ActorCritic, config: AmpConfig, motion: ReferenceMotion, threads: int = 1) -> None:
        if not isinstance(policy, AmpMixin):
            raise InvalidValueError("algorithm.name is 'amp', so policy.amp_discriminator must be set")
        super().__init__(policy, config, threads)
        self._amp: AmpMixin = policy
        self._training = config.discriminator
        self._reference = _reference_pairs(policy, motion)
        self._replay = Pairs(*(torch.zeros(0, policy.motion.size) for _ in range(2)))
        self._discriminator_optimizer = torch.optim.AdamW(
            [
                {"params": policy.discriminator.trunk.parameters(), "weight_decay": self._training.weight_decay},
                {"params": policy.discriminator.head.parameters(), "weight_decay": self._training.head_weight_decay},
            ],
            lr=self._training.learning_rate,
        )

    def update(self, rollout: Rollout, last_values: Tensor, fraction: float) -> dict[str, float]:
        """Learn from a full rollout, and then what tells it from the reference."""
        pairs, followed = self._pairs(rollout)
        rewarded = self._reward(rollout, pairs, followed)
        metrics = super().update(rollout, last_values, fraction)
        self._remember(Pairs(*(part[followed] for part in pairs)))
        trained = self._train_discriminator() if len(self._replay.states) else {}
        return metrics | rewarded | trained

    def state(self) -> dict[str, Any]:
        """Everything needed to continue bit for bit; the reference stays as it is."""
        return super().state() | {
            "discriminator_optimizer": self._discriminator_optimizer.state_dict(),
            "replay": dict(self._replay._asdict()),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from `state()` with the same reference."""
        super().load_state(state)
        self._discriminator_optimizer.load_state_dict(state["discriminator_optimizer"])
        self._replay = Pairs(**state["replay"])

    # --- rewards --------------------------------------------------------------------------------------------------

    def _pairs(self, rollout: Rollout) -> tuple[Pairs, Tensor]:
        """States (T, N, F) and those after them, and (T, N) bool, whether these are of the same episode."""
        states = self._amp.motion_states(rollout.observations)
        last = self._amp.motion_states(rollout.next_observations)
        return Pairs(states, torch.cat([states[1:], last[None]])), ~rollout.dones

    def _reward(self, rollout: Rollout, pairs: Pairs, followed: Tensor) -> dict[str, float]:
        """Mix style into the rollout's rewards; what ended an episode has no style."""
        task = rollout.rewards
        lerp = self._amp.discriminator.task_reward_lerp
        mixed, style = self._amp.discriminator.predict_style_reward(self._amp.motion_pairs(*pairs), task)
        rollout.fill(rewards=torch.where(followed, mixed, lerp * task))
        return {"style_reward": float((style * followed).mean()), "task_reward": float(task.mean())}

    # --- the discriminator ----------------------------------------------------------------------------------------

    def _remember(self, pairs: Pairs) -> None:
        """The policy's latest pairs, in the order in which they came."""
        size = self._training.replay_size
        self._replay = Pairs(
            *(torch.cat([old, new])[-size:].clone() for old, new in zip(self._replay, pairs, strict=True))
        )

    def _train_discriminator(self) -> dict[str, float]:
        """Some optimiser steps; returns means over them."""
        sums: dict[str, float] = {}
        for _ in range(self._training.num_steps):
            loss, reported = self._discriminator_loss(self._draw(self._reference), self._draw(self._replay))
            self._discriminator_optimizer.zero_grad()
            loss.backward()
            self._discriminator_optimizer.step()
            for name, value in reported.items():
                sums[name] = sums.get(name, 0.0) + value / self._training.num_steps
        for stream in (self._reference, self._replay):
            self._amp.amp_normalizer.update(self._draw(stream).states)
        return sums

    def _discriminator_loss(self, reference: Pairs, own: Pairs) -> tuple[Tensor, dict[str, float]]:
        """The loss, and what to report of it."""
        discriminator = self._amp.discriminator
        right, wrong = (self._blurred(self._amp.motion_pairs(*pairs)) for pairs in (reference, own))
        at_reference, at_own = discriminator(right), discriminator(wrong)
        error = 0.5 * (at_reference - 1.0).square().mean() + 0.5 * (at_own + 1.0).square().mean()
        penalty = discriminator.compute_grad_pen(right)
        known = 0.5 * ((at_reference > 0).float().mean() + (at_own < 0).float().mean())
        return error + penalty, {
            "discriminator_loss": float(error.detach()),
            "discriminator_gradient_penalty": float(penalty.detach()),
            "discriminator_accuracy": float(known),
        }

    def _blurred(self, pairs: Tensor) -> Tensor:
        """Normalised pairs with instance noise (Sønderby et al., arXiv 1610.04490)."""
        noise = self._training.noise
        return pairs if noise == 0.0 else pairs + noise * torch.randn_like(pairs)

    def _draw(self, pairs: Pairs) -> Pairs:
        """Some pairs at random."""
        rows = torch.randint(len(pairs.states), (self._training.batch_size,))
        return Pairs(pairs.states[rows], pairs.next_states[rows])


def _reference_pairs(policy: AmpMixin, motion: ReferenceMotion) -> Pairs:
    missing = [name for name in policy.motion.shapes if name not in motion.states]
    if missing:
        raise InvalidValueError(
            f"policy.amp_discriminator looks at '{missing[0]}', which the reference motion does not hold; "
            f"it holds {', '.join(motion.states)}"
        )
    for name, shape in policy.motion.shapes.items():
        if (held := motion.states[name].shape[1:]) != shape:
            raise InvalidValueError(f"the reference motion's '{name}' is {held}, but the policy sees {shape}")
    return Pairs(*(policy.motion_states(moments) for moments in motion.pairs()))
