"""From a configuration to what learns: the one place that knows every algorithm."""

from typing import Any

from gymnasium import spaces

from poise.algorithms import PPO, AmpConfig, AmpPPO, Distillation, DistillationConfig, OnPolicyAlgorithm
from poise.policies import build_policy
from poise.policies.actor_critic import Shapes
from poise.training.assets import Assets
from poise.training.config import RunConfig


def build_algorithm(
    config: RunConfig, assets: Assets, shapes: Shapes, action_space: spaces.Space[Any]
) -> OnPolicyAlgorithm:
    """The algorithm that `config` describes, with a new policy.

    Args:
        config: of the run.
        assets: what it names by path.
        shapes: of the components of `sensed_in_training`, images already encoded.
        action_space: of one environment.
    """
    policy = build_policy(shapes, action_space, config.policy)
    if isinstance(config.algorithm, DistillationConfig):
        assert assets.teacher is not None
        teachers = {name: shapes[name] for name in assets.teacher.sensed}
        teacher = assets.teacher.policy(teachers, action_space)
        return Distillation(policy, config.algorithm, teacher, config.update_threads)
    if isinstance(config.algorithm, AmpConfig):
        assert assets.motion is not None
        return AmpPPO(policy, config.algorithm, assets.motion, config.update_threads)
    return PPO(policy, config.algorithm, config.update_threads)


def sensed_in_training(config: RunConfig, assets: Assets) -> tuple[str, ...] | None:
    """Components of the observation that somebody sees while training; None for all."""
    own = config.policy.sensed
    if own is None or assets.teacher is None:
        return own
    return tuple(dict.fromkeys(own + assets.teacher.sensed))
