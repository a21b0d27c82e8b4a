"""From a configuration to a policy."""

from collections.abc import Iterable
from functools import cache
from importlib import import_module
from typing import Any

from gymnasium import spaces

from poise.errors import InvalidValueError, did_you_mean
from poise.policies.actor_critic import ActorCritic, Shapes
from poise.policies.amp import AmpMixin
from poise.policies.config import PolicyConfig
from poise.policies.encoders import EncoderActorCriticMixin
from poise.policies.estimators import EstimatorMixin, PrivilegeEstimatorMixin
from poise.policies.fusing import FusionMixin
from poise.policies.recurrent import ActorCriticRecurrent
from poise.policies.remembering import ComponentMemoryMixin


def build_policy(shapes: Shapes, action_space: spaces.Space[Any], config: PolicyConfig) -> ActorCritic:
    """The policy that `config` describes, new.

    Args:
        shapes: name and shape of each component of an observation, images already encoded.
        action_space: Box (Gaussian actions) or Discrete (categorical ones).
        config: what it is made of.

    Raises:
        InvalidValueError: it is to be assembled of finished ones, or a mixin is not there.
    """
    if config.mutex is not None:
        raise InvalidValueError(
            "policy.mutex names finished policies, so there is nothing to train; measure them: 'poise evaluate CONFIG'"
        )
    mixins: list[type[ActorCritic]] = [PrivilegeEstimatorMixin] if config.adaptor else []
    mixins += [EstimatorMixin] if config.estimator else []
    mixins += _imported(config.mixins)  # they find estimates in place of what these stand for, and nothing encoded yet
    mixins += [EncoderActorCriticMixin] if config.encoders else []
    mixins += [ComponentMemoryMixin] if config.memories else []
    mixins += [FusionMixin] if config.fusion else []
    mixins += [AmpMixin] if config.amp_discriminator else []
    base = ActorCriticRecurrent if config.memory else ActorCritic
    return _mixed((*mixins, base))(shapes, action_space, config)


def _imported(places: Iterable[str]) -> list[type[ActorCritic]]:
    """Mixins of others, by module and class."""
    found = []
    for place in places:
        module, _, name = place.partition(":")
        try:
            within = import_module(module)
        except ImportError as error:
            raise InvalidValueError(f"policy.mixins: cannot import '{module}' of '{place}': {error}") from error
        mixin = getattr(within, name, None)
        if not (isinstance(mixin, type) and issubclass(mixin, ActorCritic)):
            known = [
                key for key, value in vars(within).items() if isinstance(value, type) and issubclass(value, ActorCritic)
            ]
            raise InvalidValueError(
                f"policy.mixins: {module} has no ActorCritic called '{name}'{did_you_mean(name, known)}; "
                f"it has {', '.join(known) or 'none'}"
            )
        found.append(mixin)
    return found


@cache
def _mixed(bases: tuple[type[ActorCritic], ...]) -> type[ActorCritic]:
    """A class of these, the first outermost."""
    return bases[0] if len(bases) == 1 else type(" with ".join(base.__name__ for base in bases), bases, {})
