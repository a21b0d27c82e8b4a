"""Policies that fuse modalities: who sees what, and what is withheld."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import zoo
from gymnasium import spaces
from torch import Tensor
from torch.testing import assert_close

from poise.config import parse
from poise.errors import PoiseError
from poise.policies import ActorCritic, build_policy
from poise.policies.config import PolicyConfig

ATTENDS = zoo.ATTENDS | {"name": "cross_attention"}
MakePolicy = Callable[..., ActorCritic]
Observe = Callable[..., dict[str, Tensor]]


def test_each_sample_has_its_own_draw_and_the_body_is_spared(make_policy: MakePolicy, observe: Observe) -> None:
    policy, seen = make_policy(fusion=ATTENDS | {"dropout": {"prob": 0.3, "spare": ["body"]}}), observe(4000)
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
        policy = make_policy(
            fusion=ATTENDS | {"dropout": {"prob": 0.9, "spare": ["body"]}}, critic_encoders=critic
        ).requires_grad_(False)
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


EYES = {"position": (3,), "rgbd_0": (4,), "rgbd_1": (1, 8, 8)}
SEEING = {
    "name": "weighted_sum",
    "width": 4,
    "images": {"channels": [2], "kernel_sizes": [4], "strides": [4]},
    "dropout": {"prob": 0.5},
}


def seeing(**settings: Any) -> ActorCritic:
    """A policy with two eyes, one of which has been encoded already."""
    torch.manual_seed(0)
    config = parse(PolicyConfig, {"actor": zoo.SMALL, "critic": zoo.SMALL, "fusion": SEEING, **settings})
    policy = build_policy(EYES, spaces.Box(-1.0, 1.0, (2,)), config).requires_grad_(False)
    for value in policy.fusion.modalities.missing.values():  # type: ignore[union-attr]
        torch.nn.init.normal_(value)  # type: ignore[arg-type]
    return policy


def with_eyes(*lead: int, missing: Tensor | None = None) -> dict[str, Tensor]:
    seen = {name: torch.randn(*lead, *shape) for name, shape in EYES.items()}
    return seen if missing is None else seen | {"missing_cameras": missing.expand(*lead, 2)}


@pytest.mark.parametrize("critic", ["own", "shared"])
def test_what_a_missing_camera_gives_is_not_looked_at(critic: str) -> None:
    policy, seen = seeing(critic_encoders=critic), with_eyes(5)
    told = seen | {"missing_cameras": torch.tensor([0.0, 1.0]).expand(5, 2)}
    other = told | {"rgbd_1": torch.full((5, 1, 8, 8), torch.nan)}
    assert torch.equal(policy.act_inference(told), policy.act_inference(other))
    assert torch.equal(policy.evaluate(told), policy.evaluate(other))
    assert not torch.allclose(policy.act_inference(told), policy.act_inference(seen))
    withheld = torch.tensor([False, False, True]).expand(5, 3)  # body, rgbd_0, rgbd_1
    assert torch.equal(policy.act_inference(told), policy.act_inference(seen | {"fusion.missing": withheld}))


def test_cameras_alone_are_withheld_by_default_whatever_the_others_are_called() -> None:
    groups = {"proprioception": ["position"], "left": ["rgbd_0"], "right": ["rgbd_1"]}
    drawn = seeing(fusion=SEEING | {"modalities": groups}).prepare(with_eyes(4000))["fusion.missing"]
    assert_close(drawn.float().mean(0), torch.tensor([0.5, 0.0, 0.5]), atol=0.04, rtol=0)  # in the order of names
    with pytest.raises(
        PoiseError, match="withholds cameras and images, and there is none; name what .* of air, body in"
    ):
        build_policy({"position": (3,), "wind": (2,)}, spaces.Box(-1.0, 1.0, (2,)), parse(PolicyConfig, BLIND))


BLIND = {
    "fusion": {
        "name": "concat",
        "modalities": {"body": ["position"], "air": ["wind"]},
        "dropout": {"prob": 0.5},
    }
}


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        (
            "fusion.missing",
            (5, 1),
            r"'fusion.missing' must be of shape \(5, 3\), for body, rgbd_0, rgbd_1, got \(5, 1\)",
        ),
        ("fusion.missing", (5, 2), r"'fusion.missing' must be of shape \(5, 3\)"),
        ("missing_cameras", (5, 3), r"'missing_cameras' must be of shape \(..., 2\), for rgbd_0, rgbd_1, got \(5, 3\)"),
    ],
)
def test_masks_of_other_shapes_are_refused(name: str, shape: tuple[int, ...], words: str) -> None:
    seen = with_eyes(5, missing=torch.tensor([0.0, 1.0])) | {name: torch.zeros(shape, dtype=torch.bool)}
    with pytest.raises(PoiseError, match=words):
        seeing().act_inference(seen)


def test_what_is_told_and_what_is_withheld_add_up() -> None:
    policy, seen = seeing(), with_eyes(5)
    told = {"missing_cameras": torch.tensor([1.0, 0.0]).expand(5, 2)}
    withheld = {"fusion.missing": torch.tensor([False, False, True]).expand(5, 3)}
    both = {"fusion.missing": torch.tensor([False, True, True]).expand(5, 3)}
    assert torch.equal(policy.act_inference(seen | told | withheld), policy.act_inference(seen | both))


def test_dead_cameras_leave_the_statistics_alone() -> None:
    missing = (torch.arange(40) % 4 == 0).float()
    seen = with_eyes(40)
    dark = seen | {name: torch.where(missing.view(-1, *[1] * len(EYES[name])) > 0, 0.0, seen[name]) for name in EYES}
    dark["position"] = seen["position"]
    policy = seeing()
    policy.update_normalization(dark | {"missing_cameras": missing[:, None].expand(-1, 2)})
    normalizer, segments = policy.extractor.normalizer, policy.segments["actor"]
    assert normalizer is not None
    for name in EYES:
        counted = seen[name] if name == "position" else seen[name][missing == 0]
        assert_close(normalizer.mean[segments.slice(name)], counted.mean(0).flatten())
        assert_close(normalizer.var[segments.slice(name)], counted.var(0, correction=0).flatten())
    before = normalizer.mean.clone()
    policy.update_normalization(with_eyes(9, missing=torch.ones(2)))
    assert torch.equal(normalizer.mean[segments.slice("rgbd_1")], before[segments.slice("rgbd_1")])
    assert not torch.equal(normalizer.mean[segments.slice("position")], before[segments.slice("position")])


def test_settings_that_do_not_go_together(make_policy: MakePolicy) -> None:
    with pytest.raises(PoiseError, match="fusion.dropout does not go with memory.changes"):
        make_policy(fusion=ATTENDS | {"dropout": {}}, memory={"changes": True})
    with pytest.raises(
        PoiseError, match="fusion.name must be one of 'concat', .*'vision_language_action', and is missing"
    ):
        make_policy(fusion={"width": 8})
