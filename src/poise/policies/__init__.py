"""Actor-critics: what acts, and what judges; and the agents that put them in charge of robots."""

from poise.policies.actor_critic import ActorCritic
from poise.policies.agents import Agent, PolicyAgent
from poise.policies.config import NetworkConfig, PolicyConfig
from poise.policies.sensing import Sensing

__all__ = ["ActorCritic", "Agent", "NetworkConfig", "PolicyAgent", "PolicyConfig", "Sensing"]
