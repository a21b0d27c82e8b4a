"""Policies assembled from finished runs: a configuration names them by path, and there is nothing to train."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gymnasium.vector import VectorEnv

from poise.cores import available_cores
from poise.envs import BallbotVectorEnv
from poise.envs.options import ENGAGING_BLOCK
from poise.errors import InvalidValueError
from poise.policies import ActorCritic, ActorCriticClimbMutex, ActorCriticFieldMutex, MutexConfig, PolicyAgent, Sensing
from poise.sim.course import FIELDS
from poise.training.compatibility import check_compatible, common_encoder, trained_options
from poise.training.config import RunConfig
from poise.training.environments import sensing_for
from poise.training.trained import TrainedPolicy, load_policy

_KINDS = {"field": ActorCriticFieldMutex, "climb": ActorCriticClimbMutex}


@dataclass(frozen=True)
class AssembledPolicy:
    """Finished policies that take turns.

    Attributes:
        config: of the whole, with the environment they act in.
        mutex: how they take turns.
        parts: the policies by their names.
    """

    config: RunConfig
    mutex: MutexConfig
    parts: dict[str, TrainedPolicy]

    @property
    def sensed(self) -> tuple[str, ...]:
        """Components of the observation that some part, or the choice among them, looks at."""
        mutex = self.mutex
        own = [name for name in (mutex.selector, mutex.command, mutex.last_action) if name]
        return tuple(dict.fromkeys([*(name for part in self.parts.values() for name in part.needed), *own]))

    def agent_for(self, env: VectorEnv[Any, Any, Any]) -> PolicyAgent:
        """The policy in charge of an environment.

        Raises:
            InvalidValueError: the parts do not go together, or not with this environment.
        """
        increments = isinstance(env, BallbotVectorEnv) and env.options.action_increment is not None
        if increments and self.mutex.last_action is not None:
            raise InvalidValueError(
                f"policy.mutex.last_action rescales '{self.mutex.last_action}', but with env.options.action_increment "
                "that is what the motors are told, which means the same to all; leave it away"
            )
        self._check_selector(env)
        given = Sensing.component_names(env.single_observation_space, self.config.policy.obs_segments)
        for name, part in self.parts.items():
            check_compatible(f"the sub-policy '{name}'", part, env)
            lacking = [component for component in part.needed if component not in given]
            if lacking:
                raise InvalidValueError(
                    f"the sub-policy '{name}' looks at '{lacking[0]}', which the environment does not give; it gives "
                    f"{', '.join(given)}"
                )
        encoder = common_encoder({f"the sub-policy '{name}'": part.seeing for name, part in self.parts.items()})
        sensing = sensing_for(env, self.config.policy, encoder, self.sensed, available_cores())
        policies: dict[str, ActorCritic] = {}
        for name, part in self.parts.items():
            policies[name] = part.policy(part.shapes(sensing.shapes), env.single_action_space)
        scales = _scales(self.parts, env)
        return PolicyAgent(_KINDS[self.mutex.kind](policies, sensing.shapes, self.mutex, *scales), sensing)

    def _check_selector(self, env: VectorEnv[Any, Any, Any]) -> None:
        """A ballbot's fields are told in their order, with the sign of a slope or each by its own number."""
        if not isinstance(env, BallbotVectorEnv) or self.mutex.selector != ENGAGING_BLOCK:
            return
        climbs = self.mutex.kind == "climb"
        if env.options.field_ahead.signed != climbs:
            raise InvalidValueError(
                f"policy.mutex.kind is '{self.mutex.kind}', which needs env.options.field_ahead.signed to be "
                f"{str(climbs).lower()}: with it slopes are one field, and the last number tells up from down"
            )
        if tuple(self.parts) != FIELDS:
            raise InvalidValueError(
                f"policy.mutex.sub_policies must name a policy for each field in this order, {', '.join(FIELDS)}; "
                f"got {', '.join(self.parts)}"
            )


def _scales(parts: Mapping[str, TrainedPolicy], env: VectorEnv[Any, Any, Any]) -> tuple[dict[str, float], float]:
    """What an action of 1 means to each policy, and to the environment; of others than ballbots' nothing is known."""
    if not isinstance(env, BallbotVectorEnv):
        return {}, 1.0
    scales = {name: trained_options(part).action_increment or 1.0 for name, part in parts.items()}
    return scales, env.options.action_increment or 1.0


def assemble(config: RunConfig) -> AssembledPolicy:
    """Read the policies that `policy.mutex` names.

    Raises:
        InvalidValueError: it names none.
        PoiseError: one is missing or damaged.
    """
    mutex = config.policy.mutex
    if mutex is None:
        raise InvalidValueError("policy.mutex must name the policies to assemble")
    return AssembledPolicy(config, mutex, {name: load_policy(Path(path)) for name, path in mutex.sub_policies.items()})
