"""Actor-critics: what acts, and what judges; and the agents that put them in charge of robots."""

from poise.fusion import ObsSegments
from poise.policies.actor_critic import ActorCritic, Step
from poise.policies.agents import Agent, PolicyAgent
from poise.policies.amp import (
    AmpActorCritic,
    AmpActorCriticRecurrent,
    AMPDiscriminator,
    AmpMixin,
    EncoderAmpActorCriticRecurrent,
)
from poise.policies.building import build_policy
from poise.policies.config import (
    DiscriminatorConfig,
    EncoderConfig,
    EstimatorConfig,
    MemoryConfig,
    MutexConfig,
    NetworkConfig,
    PolicyConfig,
)
from poise.policies.encoders import EncoderActorCritic, EncoderActorCriticMixin, EncoderActorCriticRecurrent
from poise.policies.estimators import (
    EstimatorMixin,
    PrivilegeEstimatorMixin,
    PrivilegeStateAcRecurrent,
    StateAc,
    StateAcRecurrent,
)
from poise.policies.fusing import FusionActorCritic, FusionActorCriticRecurrent, FusionMixin
from poise.policies.look import HiddenStates, Sequences
from poise.policies.mixtures import EncoderStateAc, EncoderStateAcRecurrent
from poise.policies.mutex import ActorCriticClimbMutex, ActorCriticFieldMutex, ActorCriticMutex
from poise.policies.recurrent import ActorCriticRecurrent
from poise.policies.remembering import (
    ComponentMemoryActorCritic,
    ComponentMemoryActorCriticRecurrent,
    ComponentMemoryMixin,
)
from poise.policies.sensing import Sensing
from poise.policies.visual import (
    DeterministicPolicyMixin,
    VisualActorCriticMixin,
    VisualDeterministicAC,
    VisualDeterministicRecurrent,
)

__all__ = [
    "AMPDiscriminator",
    "ActorCritic",
    "ActorCriticClimbMutex",
    "ActorCriticFieldMutex",
    "ActorCriticMutex",
    "ActorCriticRecurrent",
    "Agent",
    "AmpActorCritic",
    "AmpActorCriticRecurrent",
    "AmpMixin",
    "ComponentMemoryActorCritic",
    "ComponentMemoryActorCriticRecurrent",
    "ComponentMemoryMixin",
    "DeterministicPolicyMixin",
    "DiscriminatorConfig",
    "EncoderActorCritic",
    "EncoderActorCriticMixin",
    "EncoderActorCriticRecurrent",
    "EncoderAmpActorCriticRecurrent",
    "EncoderConfig",
    "EncoderStateAc",
    "EncoderStateAcRecurrent",
    "EstimatorConfig",
    "EstimatorMixin",
    "FusionActorCritic",
    "FusionActorCriticRecurrent",
    "FusionMixin",
    "HiddenStates",
    "MemoryConfig",
    "MutexConfig",
    "NetworkConfig",
    "ObsSegments",
    "PolicyAgent",
    "PolicyConfig",
    "PrivilegeEstimatorMixin",
    "PrivilegeStateAcRecurrent",
    "Sensing",
    "Sequences",
    "StateAc",
    "StateAcRecurrent",
    "Step",
    "VisualActorCriticMixin",
    "VisualDeterministicAC",
    "VisualDeterministicRecurrent",
    "build_policy",
]
