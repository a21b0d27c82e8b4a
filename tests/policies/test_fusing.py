"""Policies that fuse modalities: who sees what, and what is withheld."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import zoo
from torch import Tensor
from torch.testing import assert_close

from poise.errors import PoiseError
from poise.policies import ActorCritic

ATTENDS = zoo.ATTENDS | {"name": "cross_attention"}
MakePolicy = Callable[..., ActorCritic]
Observe = Callable[..., dict[str, Tensor]]


def test_each_sample_has_its_own_draw_and_the_body_is_spared(make_policy: MakePolicy, observe: Observe) -> None:
    policy, seen = make_policy(fusion=ATTENDS | {"dropout": {"prob": 0.3}}), observe(4000)
    drawn = policy.prepare(seen)["fusion.missing"]
    assert drawn.shape == (4000, 3)  # air, body, ground
    assert_close(drawn.float().mean(0), torch.tensor([0.3, 0.0, 0.3]), atol=0.03, rtol=0)
    both = (drawn[:, 0] & drawn[:, 2]).float().mean()
    assert_close(both, torch.tensor(0.09), atol=0.02, rtol=0)  # drawn apart
    assert policy.prepare(seen | {"fusion.missing": drawn})["fusion.missing"] is drawn


@pytest.mark.parametrize(
    ("dropout", "probs"),
    [({"prob": 0.5, "spare": []}, [0.5, 0.5, 0.5]), ({"prob": 0.5, "spare": ["air"]}, [0.0, 0.5, 0.5])],
)
def test_who_is_spared_can_be_chosen(
    make_policy: MakePolicy, observe: Observe, dropout: dict[str, Any], probs: list[float]
) -> None:
    drawn = make_policy(fusion=ATTENDS | {"dropout": dropout}).prepare(observe(4000))["fusion.missing"]
    assert_close(drawn.float().mean(0), torch.tensor(probs), atol=0.04, rtol=0)


def test_nothing_is_withheld_from_who_acts_in_earnest_or_judges(make_policy: MakePolicy, observe: Observe) -> None:
    for critic in ("own", "shared", "none"):
        policy = make_policy(fusion=ATTENDS | {"dropout": {"prob": 0.9}}, critic_encoders=critic).requires_grad_(False)
        other = make_policy(fusion=ATTENDS, critic_encoders=critic).requires_grad_(False)
        other.load_state_dict(policy.state_dict(), strict=False)
        seen = observe(20)
        assert_close(policy.act_inference(seen), other.act_inference(seen))
        assert_close(policy.evaluate(policy.prepare(seen)), other.evaluate(seen))


def test_a_critic_may_see_what_is_in_no_modality(make_policy: MakePolicy, observe: Observe) -> None:
    fusion = ATTENDS | {"modalities": {"body": ["position"], "ground": ["heights"]}}
    sees = {"observations": ["position", "heights"], "critic_observations": ["position", "heights", "wind"]}
    policy, seen = make_policy(fusion=fusion, **sees), observe(3)
    before = policy.evaluate(seen)
    assert not torch.allclose(policy.evaluate(seen | {"wind": seen["wind"] + 1.0}), before)
    assert_close(policy.act_inference(seen | {"wind": seen["wind"] + 1.0}), policy.act_inference(seen))
    with pytest.raises(
        PoiseError, match=r"critic .* cannot be fused: .*no other modality to ask; set policy.critic_enc"
    ):
        make_policy(fusion=fusion, observations=["position", "heights"], critic_observations=["wind", "speed"])
    with pytest.raises(PoiseError, match="is 'shared', but the critic sees other components"):
        make_policy(fusion=fusion, **sees, critic_encoders="shared")


def test_weights_are_taken_over_of_the_same_components_only(make_policy: MakePolicy) -> None:
    policy = make_policy(fusion=ATTENDS)
    shapes = policy.segments["actor"].shapes
    with pytest.raises(PoiseError, match="only of one that saw the same components; the actor sees position, speed"):
        policy.load_misaligned_state_dict(policy.state_dict(), dict(shapes) | {"smell": (2,)})
    policy.load_misaligned_state_dict(policy.state_dict(), dict(shapes))


def test_settings_that_do_not_go_together(make_policy: MakePolicy) -> None:
    with pytest.raises(PoiseError, match="fusion.dropout does not go with memory.changes"):
        make_policy(fusion=ATTENDS | {"dropout": {}}, memory={"changes": True})
    with pytest.raises(PoiseError, match="fusion.name must be one of 'concat', .*'transformer', and is missing"):
        make_policy(fusion={"width": 8})
