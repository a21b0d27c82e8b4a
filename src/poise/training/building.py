"""From a configuration to what learns: which algorithm, and what is sensed for it."""

from typing import Any

from gymnasium.vector import VectorEnv

from poise.algorithms import (
    PPO,
    AmpConfig,
    AmpPPO,
    Distillation,
    DistillationConfig,
    OnPolicyAlgorithm,
    ReferenceMotion,
)
from poise.envs import BallbotVectorEnv
from poise.policies import Sensing, build_policy
from poise.policies.actor_critic import Shapes
from poise.training.assets import Assets
from poise.training.compatibility import check_compatible, common_encoder
from poise.training.config import RunConfig
from poise.training.environments import control_step, sensing_for


def build_algorithm(
    config: RunConfig, assets: Assets, shapes: Shapes, env: VectorEnv[Any, Any, Any]
) -> OnPolicyAlgorithm:
    """The algorithm that `config` describes, with a new policy.

    Args:
        config: of the run.
        assets: what it names by path.
        shapes: of the components that are sensed, images already encoded.
        env: what is trained on.

    Raises:
        InvalidValueError: an asset does not go with the environment or the policy.
    """
    policy = build_policy(shapes, env.single_action_space, config.policy)
    if assets.initial_policy is not None:
        check_compatible("the initial policy", assets.initial_policy, env)
        assets.initial_policy.load_into(policy)
    if isinstance(config.algorithm, DistillationConfig):
        assert assets.teacher is not None
        check_compatible("the teacher", assets.teacher, env, same_increment=True)
        teacher = assets.teacher.policy(assets.teacher.shapes(shapes), env.single_action_space)
        return Distillation(policy, config.algorithm, teacher, config.update_threads)
    if isinstance(config.algorithm, AmpConfig):
        assert assets.motion is not None
        _check_motion(assets.motion, env)
        return AmpPPO(policy, config.algorithm, assets.motion, config.update_threads)
    return PPO(policy, config.algorithm, config.update_threads)


def _check_motion(motion: ReferenceMotion, env: VectorEnv[Any, Any, Any]) -> None:
    """Refuse a motion that was told in another way than this environment tells."""
    if isinstance(env, BallbotVectorEnv):
        motion.check_compatible(control_step(env), env.options.frame, env.options.orientation)
    else:
        motion.check_compatible(control_step(env))


def training_sensing(config: RunConfig, assets: Assets, env: VectorEnv[Any, Any, Any], threads: int) -> Sensing:
    """What everybody senses who has a part in the training.

    Raises:
        InvalidValueError: somebody is to see what the environment does not give, or sees through another encoder.
    """
    names, encoder = config.policy.sensed, assets.encoder
    if assets.teacher is not None:
        own = names or Sensing.component_names(env.single_observation_space, config.policy.obs_segments)
        names = tuple(dict.fromkeys([*own, *assets.teacher.needed]))
        encoder = common_encoder({"the student": assets.encoder, "the teacher": assets.teacher.seeing})
    if assets.initial_policy is not None:
        common_encoder({"this policy": assets.encoder, "the initial policy": assets.initial_policy.seeing})
    return sensing_for(env, config.policy, encoder, names, threads)
