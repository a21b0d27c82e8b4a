"""Actor-critics that encode, estimate and remember."""

from poise.policies.actor_critic import ActorCritic
from poise.policies.encoders import EncoderActorCriticMixin
from poise.policies.estimators import EstimatorMixin
from poise.policies.recurrent import ActorCriticRecurrent


class EncoderStateAc(EstimatorMixin, EncoderActorCriticMixin, ActorCritic):
    """Estimates, and encodes."""


class EncoderStateAcRecurrent(EstimatorMixin, EncoderActorCriticMixin, ActorCriticRecurrent):
    """Estimates, encodes and remembers."""
