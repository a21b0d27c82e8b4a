from collections.abc import Callable
from typing import Any

import pytest
import torch
from gymnasium import spaces
from torch import Tensor
from torch.testing import assert_close

from poise.config import parse
from poise.errors import PoiseError
from poise.policies import (
    ActorCritic,
    EncoderActorCritic,
    EstimatorMixin,
    PolicyConfig,
    VisualActorCriticMixin,
    VisualDeterministicAC,
    VisualDeterministicRecurrent,
)

SHAPES = {"vel": (3,), "forward_depth": (1, 12, 12), "goal": (2,)}
SIGHT = {"latent_size": 5, "linear": True, "channels": [4], "kernel_sizes": [3], "strides": [2], "hidden_sizes": [8]}
Kind = Callable[..., Any]


class Estimating(EstimatorMixin, VisualActorCriticMixin, ActorCritic):
    """Estimates the velocity from the image itself."""


def make(kind: Kind, **changes: Any) -> Any:
    torch.manual_seed(0)
    config = parse(PolicyConfig, {"encoders": {"forward_depth": SIGHT | changes}})
    return kind(SHAPES, spaces.Box(-1, 1, (2,)), config)


def observe(count: int) -> dict[str, Tensor]:
    return {name: torch.randn(count, *shape) for name, shape in SHAPES.items()}


kinds = pytest.mark.parametrize("kind", [VisualDeterministicAC, VisualDeterministicRecurrent])


@kinds
def test_it_acts_by_the_mean(kind: Kind) -> None:
    one, other = make(kind), make(kind)
    for _ in range(3):
        seen = observe(4)
        assert_close(one.act(seen), other.act_inference(seen))
        assert_close(one.action_mean, one.last_distribution.mode)
        assert one.action_std.min() > 0.5  # it could explore


@kinds
def test_embedded_latents_are_not_encoded_again(kind: Kind) -> None:
    eye, whole, brain = make(kind), make(kind), make(kind)
    brain.encoders.forward_depth.register_forward_hook(lambda *_: pytest.fail("encoded again"))
    for _ in range(3):
        seen = observe(4)
        embedded = eye.embed_visual_latent(seen)
        assert embedded["forward_depth"].shape == (4, 5)
        assert_close(brain.act_with_embedded_latent(embedded), whole.act(seen))
        assert seen["forward_depth"].shape == (4, 1, 12, 12)


def test_latents_are_linear() -> None:
    policy = make(VisualDeterministicAC)
    assert policy.embed_visual_latent(observe(200))["forward_depth"].min() < -0.05
    last = list(policy.encoders.forward_depth.modules())[-1]
    assert isinstance(last, torch.nn.Linear)


def test_wrong_use() -> None:
    with pytest.raises(PoiseError, match=r"leaves latents as they are; set policy.encoders.forward_depth.linear"):
        make(VisualDeterministicAC, linear=False)
    with pytest.raises(PoiseError, match=r"VisualDeterministicAC needs policy.encoders"):
        VisualDeterministicAC(SHAPES, spaces.Box(-1, 1, (2,)), PolicyConfig())
    reads = {"observations": ["forward_depth"], "targets": ["vel"]}
    estimating = {"estimator": reads, "encoders": {"forward_depth": SIGHT}}
    policy = Estimating(SHAPES, spaces.Box(-1, 1, (2,)), parse(PolicyConfig, estimating))
    embedded = policy.embed_visual_latent(observe(2))
    with pytest.raises(PoiseError, match="an estimator looks at 'forward_depth' itself"):
        policy.act_with_embedded_latent(embedded)
    for name in ("type", "a.b"):
        with pytest.raises(PoiseError, match=f"torch can keep no network called '{name}'"):
            EncoderActorCritic({name: (3,)}, spaces.Box(-1, 1, (2,)), parse(PolicyConfig, {"encoders": {name: {}}}))


def test_acting_without_the_latent() -> None:
    policy = make(VisualDeterministicAC)
    with pytest.raises(PoiseError, match="no component 'forward_depth'"):
        policy.act_with_embedded_latent({"vel": torch.zeros(2, 3), "goal": torch.zeros(2, 2)})
    with pytest.raises(PoiseError, match=r"'forward_depth' must be of shape \(..., 5\)"):
        policy.act_with_embedded_latent(observe(2))
