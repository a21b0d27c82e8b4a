"""From a configuration to a policy that imitates."""

from __future__ import annotations

import torch

from poise.imitation.act import ACTPolicy
from poise.imitation.config import ActPolicyConfig, AnyImitationPolicyConfig
from poise.imitation.eyes import Range, Scale, Scales
from poise.imitation.policy import ImitationPolicy, VisuomotorBCPolicy
from poise.policies.actor_critic import Shapes


def build_imitation_policy(
    shapes: Shapes, action_width: int, config: AnyImitationPolicyConfig, scales: Scales | None = None
) -> ImitationPolicy:
    """A new policy.

    Args:
        shapes: of the components that it sees.
        action_width: numbers in an action.
        config: what it is made of.
        scales: of the components and of actions; without them weights are to be loaded, which hold them.

    Raises:
        InvalidValueError: the parts do not fit together.
    """
    scales = scales or _placeholders(shapes, action_width)
    if isinstance(config, ActPolicyConfig):
        return ACTPolicy(shapes, action_width, config, scales)
    return VisuomotorBCPolicy(shapes, action_width, config, scales)


def _placeholders(shapes: Shapes, action_width: int) -> Scales:
    counts = {name: shape[0] if len(shape) == 3 else int(torch.Size(shape).numel()) for name, shape in shapes.items()}
    components = {name: Scale([0.0] * count, [1.0] * count) for name, count in counts.items()}
    return Scales(components, Range([0.0] * action_width, [1.0] * action_width))
