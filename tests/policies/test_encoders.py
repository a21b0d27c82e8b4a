from collections.abc import Callable
from typing import Any

import pytest
import torch
from gymnasium import spaces
from torch import Tensor
from torch.testing import assert_close

from poise.config import parse
from poise.errors import PoiseError
from poise.policies import ActorCritic, EncoderActorCritic, ObsSegments, PolicyConfig, build_policy
from poise.policies.actor_critic import Shapes
from poise.policies.sharing import Role

MakePolicy = Callable[..., ActorCritic]
Observe = Callable[..., dict[str, Tensor]]
HEIGHTS = {"encoders": {"heights": {"latent_size": 4, "hidden_sizes": [6]}}}


def made(make_policy: MakePolicy, **config: Any) -> EncoderActorCritic:
    policy = make_policy(**config)
    policy.__class__ = EncoderActorCritic  # the same hooks under the published name
    assert isinstance(policy, EncoderActorCritic)
    return policy


def test_the_latent_stands_where_the_component_stood(make_policy: MakePolicy, observe: Observe) -> None:
    policy, seen = made(make_policy, **HEIGHTS), observe(5)
    read: list[Tensor] = []
    policy.actor.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    policy.infer(seen, {})
    latent = policy.get_encoder_latent(seen, "heights")
    # position (2), speed (1), heights (12, now 4), wind (2)
    assert_close(read[0][:, 3:7], latent)
    whole = policy.extractor(seen)
    assert_close(read[0][:, :3], whole[:, :3])
    assert_close(read[0][:, 7:], whole[:, 15:])


def test_latents_pass_through_the_nonlinearity(make_policy: MakePolicy, observe: Observe) -> None:
    policy = made(make_policy, encoders={"heights": {"latent_size": 8, "activation": "relu"}})
    assert policy.get_encoder_latent(observe(50), "heights").min() == 0.0


@pytest.mark.parametrize(("critic", "own"), [("own", 1), ("shared", 0), ("none", 0)])
def test_whose_encoders_the_critic_uses(make_policy: MakePolicy, observe: Observe, critic: str, own: int) -> None:
    policy, seen = made(make_policy, **HEIGHTS, critic_encoders=critic), observe(3)
    assert len(policy.critic_encoders) == own
    gradient = torch.autograd.grad(
        policy.value_of(seen, {}).sum(), list(policy.encoders.parameters()), allow_unused=True
    )
    assert all((part is not None) == (critic == "shared") for part in gradient)
    if critic == "none":
        with pytest.raises(PoiseError, match="the critic does not encode 'heights'"):
            policy.get_encoder_latent(seen, "heights", critic=True)


def test_wrong_use(make_policy: MakePolicy) -> None:
    with pytest.raises(PoiseError, match="one for 'height'.*did you mean 'heights'.*position, speed"):
        make_policy(encoders={"height": {}})
    with pytest.raises(PoiseError, match="'heights' is .3, 4. to the critic and not there to the actor"):
        make_policy(**HEIGHTS, critic_encoders="shared", observations=["speed"], critic_observations=["heights"])
    with pytest.raises(PoiseError, match="has channels, but 'wind' of shape .2,. is no image"):
        make_policy(encoders={"wind": {"channels": [2], "kernel_sizes": [1], "strides": [1]}})
    with pytest.raises(PoiseError, match="channels, kernel_sizes and strides must .* got 1, 0 and 0 of them"):
        make_policy(encoders={"heights": {"channels": [2]}})
    with pytest.raises(PoiseError, match="policy.encoders.heights: nothing is left of an image"):
        make_policy(encoders={"heights": {"channels": [2], "kernel_sizes": [9], "strides": [1]}})


def test_a_picture_may_have_its_channels_last() -> None:
    sees = {"channels": [2], "kernel_sizes": [3], "strides": [1]}
    for shape, channels in (((9, 8, 3), 3), ((3, 9, 8), 3), ((9, 8), 1), ((4, 4, 4), 4)):
        policy = build_policy(
            {"picture": shape}, spaces.Box(-1, 1, (2,)), parse(PolicyConfig, {"encoders": {"picture": sees}})
        )
        first = next(module for module in policy.modules() if isinstance(module, torch.nn.Conv2d))
        assert first.in_channels == channels
        assert policy.act_inference({"picture": torch.rand(5, *shape)}).shape == (5, 2)


def test_both_can_share_no_encoder_of_what_only_one_reads_otherwise() -> None:
    class ShortMixin(ActorCritic):
        """Shows the actor half of the wind."""

        def build_transform(self, segments: ObsSegments, role: Role) -> Shapes:
            if role == "actor":
                segments = ObsSegments(segments.shapes | {"wind": (1,)})
            return super().build_transform(segments, role)

    class Short(ShortMixin, EncoderActorCritic):
        """And encodes it."""

    config = {"encoders": {"wind": {"latent_size": 2}}, "critic_encoders": "shared"}
    with pytest.raises(PoiseError, match="'wind' is .2,. to the critic and .1,. to the actor; set it to 'own'"):
        Short({"wind": (2,)}, spaces.Box(-1, 1, (2,)), parse(PolicyConfig, config))


@pytest.mark.parametrize("wrong", [{"strides": [0]}, {"kernel_sizes": [-1]}, {"kernel_sizes": [0]}])
def test_impossible_convolutions(make_policy: MakePolicy, wrong: dict[str, Any]) -> None:
    with pytest.raises(PoiseError, match=f"encoders.heights.{next(iter(wrong))} must be positive"):
        make_policy(encoders={"heights": {"channels": [2], "kernel_sizes": [1], "strides": [1], **wrong}})
