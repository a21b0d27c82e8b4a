"""Whether finished policies can act where they are to: what they were trained on must mean the same there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from gymnasium.vector import VectorEnv

from poise.config import parse
from poise.envs import BALLBOT_IDS, BallbotOptions, BallbotVectorEnv
from poise.errors import InvalidValueError
from poise.perception import FrozenDepthEncoder

if TYPE_CHECKING:
    from poise.training.trained import TrainedImitator, TrainedPolicy


def trained_options(policy: TrainedPolicy | TrainedImitator) -> BallbotOptions:
    """Of the ballbot's task that a policy was trained on."""
    return parse(BallbotOptions, policy.config.env.options, "env.options")


def check_compatible(
    who: str, policy: TrainedPolicy | TrainedImitator, env: VectorEnv[Any, Any, Any], same_increment: bool = False
) -> None:
    """Refuse a policy of ballbots that would misread those of this environment.

    Of other environments nothing is known, nor of what was learned in them, or in none: whether observations and
    actions fit is for others to see.

    Args:
        who: of it in the error, such as "the teacher".
        policy: trained elsewhere.
        env: where it is to act.
        same_increment: refuse another `action_increment`, too: the very numbers it gives will be used.

    Raises:
        InvalidValueError: the time between decisions, the frame of what is sensed or the meaning of an action differ.
    """
    if not isinstance(env, BallbotVectorEnv) or not _knows_ballbots(policy):
        return
    theirs, ours = trained_options(policy), env.options
    if abs(theirs.control_step - ours.control_step) > 1e-9:
        raise InvalidValueError(
            f"{who} decides every {1000 * theirs.control_step:g} ms, "
            f"but the environment wants a decision every {1000 * ours.control_step:g} ms"
        )
    for option in ("frame", "orientation"):
        if getattr(theirs, option) != getattr(ours, option):
            raise InvalidValueError(
                f"{who} was trained with env.options.{option} '{getattr(theirs, option)}', "
                f"but the environment has '{getattr(ours, option)}'"
            )
    if (theirs.action_increment is None) != (ours.action_increment is None):
        raise InvalidValueError(
            f"{who} and the environment differ in what actions do: change the motors' command, "
            "or set it (env.options.action_increment)"
        )
    if same_increment and theirs.action_increment != ours.action_increment:
        raise InvalidValueError(
            f"{who}'s env.options.action_increment is {theirs.action_increment}, "
            f"the environment's {ours.action_increment}"
        )


def _knows_ballbots(policy: TrainedPolicy | TrainedImitator) -> bool:
    return policy.config.env.id.rpartition(":")[2] in BALLBOT_IDS


def common_encoder(encoders: Mapping[str, FrozenDepthEncoder | None]) -> FrozenDepthEncoder | None:
    """The one encoder that all see through who have one, by whose it is; None if nobody has.

    Raises:
        InvalidValueError: they differ.
    """
    found = {who: encoder for who, encoder in encoders.items() if encoder is not None}
    if not found:
        return None
    first, encoder = next(iter(found.items()))
    for who, other in found.items():
        if other.precision != encoder.precision or not _equal(encoder, other):
            raise InvalidValueError(f"{first} and {who} see through different encoders; they must share one")
    return encoder


def _equal(one: FrozenDepthEncoder, other: FrozenDepthEncoder) -> bool:
    weights, theirs = one.encoder.state_dict(), other.encoder.state_dict()
    return one.spec == other.spec and all(torch.equal(value, theirs[name]) for name, value in weights.items())
