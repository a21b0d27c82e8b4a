"""Actor-critics: what acts, and what judges; and the agents that put them in charge of robots."""

from poise.policies.actor_critic import ActorCritic, Step
from poise.policies.agents import Agent, PolicyAgent
from poise.policies.building import build_policy
from poise.policies.config import MemoryConfig, NetworkConfig, PolicyConfig
from poise.policies.look import HiddenStates, Sequences
from poise.policies.recurrent import ActorCriticRecurrent
from poise.policies.sensing import Sensing

__all__ = [
    "ActorCritic",
    "ActorCriticRecurrent",
    "Agent",
    "HiddenStates",
    "MemoryConfig",
    "NetworkConfig",
    "PolicyAgent",
    "PolicyConfig",
    "Sensing",
    "Sequences",
    "Step",
    "build_policy",
]
