"""From a configuration to a policy."""

from typing import Any

from gymnasium import spaces

from poise.policies.actor_critic import ActorCritic, Shapes
from poise.policies.config import PolicyConfig
from poise.policies.recurrent import ActorCriticRecurrent


def build_policy(shapes: Shapes, action_space: spaces.Space[Any], config: PolicyConfig) -> ActorCritic:
    """The policy that `config` describes, new.

    Args:
        shapes: name and shape of each component of an observation, images already encoded.
        action_space: Box (Gaussian actions) or Discrete (categorical ones).
        config: sizes and options.
    """
    kind = ActorCritic if config.memory is None else ActorCriticRecurrent
    return kind(shapes, action_space, config)
