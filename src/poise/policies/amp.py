"""Adversarial motion priors: what tells a policy's motion from a reference also rewards the policy for deceiving it.

    states at two moments that follow each other ─► normalizer ─► discriminator ─► d
    style reward = coef max(0, 1 - (d - 1)² / 4)        1 for what looks like the reference, 0 for what does not

Peng et al., "AMP: adversarial motion priors for stylized physics-based character control", arXiv 2104.02180,
equations 7 and 8. How it is trained is in `poise.algorithms.amp`.
"""

from typing import Any

import torch
from torch import Tensor, nn

from poise.errors import InvalidValueError
from poise.fusion import ObsSegments
from poise.nn import EmpiricalNormalization, MlpModel
from poise.policies.actor_critic import ActorCritic
from poise.policies.encoders import EncoderActorCriticMixin
from poise.policies.look import AnyObservation
from poise.policies.recurrent import ActorCriticRecurrent


class AMPDiscriminator(nn.Module):
    """Scores pairs of states: about 1 for the reference's, about -1 for the policy's.

    Args:
        input_dim: numbers in a pair.
        style_reward_coef: of the style reward.
        hidden_dims: widths of the hidden layers.
        task_reward_lerp: share of the task's reward in the sum, the rest being style's; between 0 and 1.
        discriminator_grad_pen: weight of the gradient penalty.
    """

    def __init__(
        self,
        input_dim: int,
        style_reward_coef: float,
        hidden_dims: tuple[int, ...],
        task_reward_lerp: float = 0.0,
        discriminator_grad_pen: float = 5.0,
    ) -> None:
        super().__init__()
        self.style_reward_coef = style_reward_coef
        self.task_reward_lerp = task_reward_lerp
        self.discriminator_grad_pen = discriminator_grad_pen
        self.trunk = MlpModel(input_dim, hidden_dims, None, "relu")
        self.head = nn.Linear(hidden_dims[-1], 1)

    def forward(self, x: Tensor) -> Tensor:
        """(..., input_dim) to scores (..., 1)."""
        score: Tensor = self.head(self.trunk(x))
        return score

    def compute_grad_pen(self, amp_obs: Tensor) -> Tensor:
        """Weight times E[|grad d|²] at the reference's pairs (B, input_dim), to keep the scores smooth there."""
        at = amp_obs.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(self(at).sum(), at, create_graph=True)
        return self.discriminator_grad_pen * gradient.square().sum(-1).mean()

    @torch.no_grad()
    def predict_style_reward(self, state: Tensor, task_reward: Tensor) -> tuple[Tensor, Tensor]:
        """Rewards (...) and the style's part of them before mixing, (...), for pairs (..., input_dim)."""
        score = self(state).squeeze(-1)
        style = self.style_reward_coef * (1.0 - 0.25 * (score - 1.0).square()).clamp(min=0.0)
        lerp = self.task_reward_lerp
        return (1.0 - lerp) * style + lerp * task_reward, style


class AmpMixin(ActorCritic):
    """Holds a discriminator and the normaliser that both streams of motion share. The actor and the critic ignore them.

    Configured by `PolicyConfig.amp_discriminator`.
    """

    section = "amp_discriminator"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        config = self.config.amp_discriminator
        assert config is not None
        shapes = {**self.segments["critic"].shapes, **self.segments["actor"].shapes}
        unknown = [name for name in config.observations if name not in shapes]
        if unknown:
            raise InvalidValueError(
                f"policy.amp_discriminator.observations names '{unknown[0]}', which neither the actor nor the critic "
                f"sees; they see {', '.join(shapes)}"
            )
        self.motion = ObsSegments({name: shapes[name] for name in config.observations})
        self.amp_normalizer = EmpiricalNormalization(self.motion.size, clip=10.0)
        self.discriminator = AMPDiscriminator(
            2 * self.motion.size,
            config.style_reward_coef,
            config.hidden_sizes,
            config.task_reward_lerp,
            config.discriminator_grad_pen,
        )

    def motion_states(self, observation: AnyObservation) -> Tensor:
        """What the discriminator looks at, {name: (..., *shape)} to (..., F), as it is."""
        return self.motion.join(self.named(observation)).float()

    def motion_pairs(self, states: Tensor, following: Tensor) -> Tensor:
        """Raw states (..., F) and what followed them, normalised and side by side, (..., 2 F)."""
        return torch.cat([self.amp_normalizer(states), self.amp_normalizer(following)], dim=-1)

    def parameter_groups(self, learning_rate: float, critic_learning_rate: float) -> list[dict[str, Any]]:
        """Without the discriminator's, which have an optimiser of their own."""
        apart = {id(parameter) for parameter in self.discriminator.parameters()}
        groups = super().parameter_groups(learning_rate, critic_learning_rate)
        return [group | {"params": [p for p in group["params"] if id(p) not in apart]} for group in groups]


class AmpActorCritic(AmpMixin, ActorCritic):
    """An actor-critic with a discriminator."""


class AmpActorCriticRecurrent(AmpMixin, ActorCriticRecurrent):
    """One that remembers, too."""


class EncoderAmpActorCriticRecurrent(EncoderActorCriticMixin, AmpActorCriticRecurrent):
    """One that encodes and remembers, too."""
