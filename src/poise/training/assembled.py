"""Policies assembled from finished runs: a configuration names them by path, and there is nothing to train."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from gymnasium.vector import VectorEnv

from poise.config import parse
from poise.cores import available_cores
from poise.envs.options import BallbotOptions
from poise.errors import InvalidValueError
from poise.perception import FrozenDepthEncoder
from poise.policies import ActorCritic, ActorCriticClimbMutex, ActorCriticFieldMutex, MutexConfig, PolicyAgent, Sensing
from poise.training.config import RunConfig
from poise.training.environments import control_step
from poise.training.trained import TrainedPolicy, load_policy

KINDS = {"field": ActorCriticFieldMutex, "climb": ActorCriticClimbMutex}


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
        return tuple(dict.fromkeys([*(name for part in self.parts.values() for name in part.sensed), *own]))

    def agent_for(self, env: VectorEnv[Any, Any, Any]) -> PolicyAgent:
        """The policy in charge of an environment.

        Raises:
            InvalidValueError: the parts do not go together, or not with this environment.
        """
        for name, part in self.parts.items():
            _check_pace(name, part, env)
        space, encoder = env.single_observation_space, self._encoder()
        sensing = Sensing(space, encoder, env.num_envs, control_step(env), self.sensed, available_cores())
        policies: dict[str, ActorCritic] = {}
        for name, part in self.parts.items():
            shapes = {component: sensing.shapes[component] for component in part.sensed}
            policies[name] = part.policy(shapes, env.single_action_space)
        scales = {name: _increment(part.config.env.options) for name, part in self.parts.items()}
        own = _increment(self.config.env.options)
        absolute = [name for name, scale in scales.items() if (scale is None) != (own is None)]
        if absolute:
            raise InvalidValueError(
                f"the sub-policy '{absolute[0]}' and the environment differ in what actions do: change the motors' "
                "command, or set it (env.options.action_increment)"
            )
        kind = KINDS[self.mutex.kind]
        given = {name: scale or 1.0 for name, scale in scales.items()}
        return PolicyAgent(kind(policies, sensing.shapes, self.mutex, given, own or 1.0), sensing)

    def _encoder(self) -> FrozenDepthEncoder | None:
        """The one encoder that all parts with cameras see through."""
        found = {name: part.encoder for name, part in self.parts.items() if part.encoder is not None}
        if not found:
            return None
        first, encoder = next(iter(found.items()))
        weights = encoder.encoder.state_dict()
        for name, other in found.items():
            theirs = other.encoder.state_dict()
            if other.spec != encoder.spec or any(not torch.equal(value, theirs[key]) for key, value in weights.items()):
                raise InvalidValueError(f"the sub-policies '{first}' and '{name}' see through different encoders")
        return encoder


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


def _increment(options: dict[str, Any]) -> float | None:
    return parse(BallbotOptions, options, "env.options").action_increment


def _check_pace(name: str, part: TrainedPolicy, env: VectorEnv[Any, Any, Any]) -> None:
    trained = parse(BallbotOptions, part.config.env.options, f"env.options of the sub-policy '{name}'").control_step
    if abs(trained - control_step(env)) > 1e-9:
        raise InvalidValueError(
            f"the sub-policy '{name}' decides every {1000 * trained:g} ms, "
            f"but the environment wants a decision every {1000 * control_step(env):g} ms"
        )
