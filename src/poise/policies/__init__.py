"""Actor-critics: what acts, and what judges."""

from poise.policies.actor_critic import ActorCritic
from poise.policies.config import NetworkConfig, PolicyConfig

__all__ = ["ActorCritic", "NetworkConfig", "PolicyConfig"]
