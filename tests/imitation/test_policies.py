"""Policies that imitate: what they are made of, that they can learn, and that they act as they learned."""

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from poise.config import parse
from poise.errors import InvalidValueError
from poise.imitation import backbones, spherical
from poise.imitation.act import ACTPolicy, Style, positions
from poise.imitation.batches import Batch, Corpus
from poise.imitation.building import build_imitation_policy
from poise.imitation.config import ActPolicyConfig, CloningConfig, CloningPolicyConfig
from poise.imitation.eyes import Body, Range, Scale, Scales
from poise.imitation.policy import ImitationPolicy, VisuomotorBCPolicy
from poise.imitation.reader import LoadedEpisode
from poise.nn import forget

SHAPES: dict[str, tuple[int, ...]] = {"image": (3, 32, 32), "state": (3,)}
SCALES = Scales(
    {"image": Scale([0.4] * 3, [0.3] * 3), "state": Scale([0.1, 0.0, -0.1], [0.5, 1.0, 2.0])},
    Range([0.0] * 3, [1.0] * 3),
)
SMALL: dict[str, Any] = {"precision": "float32", "observations": ["image", "state"]}
NOTHING: Mapping[str, Tensor] = {}


def build(name: str = "bc", scales: Scales = SCALES, **settings: Any) -> ImitationPolicy:
    torch.manual_seed(0)
    if name == "bc":
        return VisuomotorBCPolicy(SHAPES, 3, parse(CloningPolicyConfig, SMALL | settings), scales)
    small = {"width": 32, "num_heads": 2, "feedforward": 64, "head": [64], "chunk": 4, "horizon": 2, "name": "act"}
    return ACTPolicy(SHAPES, 3, parse(ActPolicyConfig, SMALL | small | settings), scales)


def trajectory(length: int = 12) -> LoadedEpisode:
    """A square that wanders over the picture, and a push towards where it is going."""
    time = np.linspace(0, 2 * np.pi, length)
    place = np.stack([16 + 10 * np.cos(time), 16 + 10 * np.sin(time)], axis=1).astype(int)
    image = np.zeros((length, 3, 32, 32), np.uint8)
    for step, (row, column) in enumerate(place):
        image[step, step % 3, row - 3 : row + 3, column - 3 : column + 3] = 255
    state = np.stack([np.cos(time), np.sin(time), time / 6], axis=1).astype(np.float32)
    actions = 0.9 * np.stack([-np.sin(time), np.cos(time), np.cos(2 * time)], axis=1).astype(np.float32)
    return LoadedEpisode(0, {"image": image, "state": state}, actions)


ONE = Corpus([trajectory()])


def batch_for(policy: ImitationPolicy, corpus: Corpus = ONE) -> Batch:
    """The whole trajectory, as the policy learns from it."""
    if isinstance(policy, ACTPolicy):
        return corpus.chunk_at(torch.arange(len(corpus)), policy.config.history, policy.config.chunk)
    if isinstance(policy, VisuomotorBCPolicy) and policy.memory is not None:
        return next(corpus.streams(1, 100, torch.Generator()))
    return corpus.chunk_at(torch.arange(len(corpus)))


def played(policy: ImitationPolicy, corpus: Corpus = ONE) -> Tensor:
    """(F, A) what it does when it is shown the trajectory, open loop."""
    policy.eval()
    states, done = dict(NOTHING), []
    for frame in range(len(corpus)):
        action, states = policy.infer({name: value[[frame]] for name, value in corpus.observation.items()}, states)
        done.append(action[0])
    return torch.stack(done)


ARCHITECTURES: dict[str, dict[str, Any]] = {
    "cnn": {},
    "cnn, average": {"backbone": {"pooling": "summary"}},
    "cnn, spherical": {"coordinates": "spherical"},
    "cnn, gru": {"memory": {"type": "gru", "hidden_size": 64}},
    "cnn, without state": {"observations": ["image"]},
    "resnet18": {"backbone": {"name": "resnet18", "pooling": "summary"}},
    "vit": {"backbone": {"name": "vit_b_16", "pooling": "summary"}},
    "act": {"name": "act"},
    "act, history, chunk by chunk": {"name": "act", "history": 3, "execution": "chunk"},
    "act, receding, spherical": {"name": "act", "execution": "receding", "horizon": 2, "coordinates": "spherical"},
    "act, latent": {"name": "act", "latent": {"size": 4, "weight": 0.1}},
}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_one_trajectory_is_reproduced_open_loop(architecture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbones, "VitB16", partial(backbones.VitB16, size=(64, 2, 4, 128)))
    large = architecture == "resnet18"
    policy = build(**{"dropout": 0.0} | ARCHITECTURES[architecture])
    corpus = Corpus([trajectory(3 if large else 6)])
    batch = batch_for(policy, corpus)
    optimizer = torch.optim.Adam(policy.parameters(), 3e-4 if large else 2e-3, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 700, 2e-5)
    policy.train()
    for _ in range(700):
        loss, _ = policy.loss(batch, NOTHING, CloningConfig())
        if loss < 2e-6:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    assert (played(policy, corpus) - corpus.actions).abs().max() < 1e-2


@pytest.mark.parametrize(("name", "coordinates"), [("bc", "cartesian"), ("bc", "spherical"), ("act", "cartesian")])
def test_actions_of_any_range_are_reproduced(name: str, coordinates: str) -> None:
    """Those of a robot's joints in degrees beside those of its gripper in metres."""
    one = trajectory(4)
    spread = np.float32([90.0, 20.0, 1.0 if coordinates == "spherical" else 0.02])
    corpus = Corpus([one._replace(actions=one.actions * spread + np.float32([30.0, 0.0, 0.0]))])
    scales = corpus.scales()
    policy = build(name, scales, dropout=0.0, coordinates=coordinates)
    optimizer = torch.optim.Adam(policy.parameters(), 2e-3)
    for _ in range(300):
        loss, _ = policy.loss(batch_for(policy, corpus), NOTHING, CloningConfig())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    errors = (played(policy, corpus) - corpus.actions).abs().amax(dim=0)
    allowed = torch.full((3,), 3.0) if coordinates == "spherical" else 0.03 * torch.from_numpy(spread)
    assert (errors < allowed).all()


def test_actions_are_learned_in_the_range_that_is_demonstrated() -> None:
    one = trajectory(4)
    actions = np.float32([[-90.0, 0.01, 0.5], [30.0, 0.05, 0.5], [10.0, 0.02, 0.5], [0.0, 0.03, 0.5]])
    middle, reach = Corpus([one._replace(actions=actions)]).scales().actions
    assert middle == pytest.approx([-30.0, 0.03, 0.5])
    assert reach == pytest.approx([60.0, 0.02, 1.0])  # what never changes is learned as it is


@pytest.mark.parametrize("name", ["bc", "act"])
def test_cameras_may_have_lerobots_names(name: str) -> None:
    shapes = {"images.laptop": (3, 32, 32), "images.wrist": (3, 24, 40)}
    scales = Scales({key: Scale([0.4] * 3, [0.3] * 3) for key in shapes}, Range([0.0] * 2, [1.0] * 2))
    config = parse(ActPolicyConfig if name == "act" else CloningPolicyConfig, {"name": name, "observations": [*shapes]})
    policy = build_imitation_policy(shapes, 2, config, scales).eval()
    seen = {key: torch.randint(256, (3, *shape), dtype=torch.uint8) for key, shape in shapes.items()}
    actions, _ = policy.infer(seen, NOTHING)
    assert actions.shape == (3, 2)
    dark = policy.infer(seen | {"images.wrist": torch.zeros(3, 3, 24, 40)}, NOTHING)[0]
    assert not torch.allclose(actions, dark)


def test_a_place_and_a_moment_are_not_taken_for_others() -> None:
    policy = build("act", history=3, dropout=0.0).eval()
    assert isinstance(policy, ACTPolicy)
    tokens = torch.randn(1, 3, 7, 32)
    swapped = tokens.clone()
    swapped[0, 1, 2], swapped[0, 2, 1] = tokens[0, 2, 1], tokens[0, 1, 2]
    places = next(iter(policy.places.values()))
    tokens[:, :, :4] += places[:4]
    swapped[:, :, :4] += places[:4]
    assert (policy._decoded(tokens, None) - policy._decoded(swapped, None)).abs().max() > 1e-4


def test_the_head_is_the_documents() -> None:
    policy = VisuomotorBCPolicy(
        {"image": (3, 84, 84), "state": (3,)},
        3,
        parse(CloningPolicyConfig, {"backbone": {"pooling": "summary"}}),
        SCALES,
    )
    assert sum(parameter.numel() for parameter in policy.head.parameters()) == 299_011
    assert [layer.p for layer in policy.head.model if isinstance(layer, torch.nn.Dropout)] == [0.3, 0.3]


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_a_memory_learns_over_windows_what_it_does_step_by_step(kind: str) -> None:
    policy = build(memory={"type": kind, "hidden_size": 16, "num_layers": 2})
    assert isinstance(policy, VisuomotorBCPolicy)
    corpus = Corpus([trajectory(5), trajectory(9), trajectory(7)])
    policy.eval()
    states, outputs, targets = dict(NOTHING), [], []
    for batch in corpus.streams(2, 4, torch.Generator().manual_seed(1)):
        features = policy._features(batch.observation, 2)
        found, states = policy._remembered(features, states, batch.starts)
        outputs.append(policy.actions(policy.head(found)).detach()[batch.valid])
        targets.append(batch.observation["state"][batch.valid])
    alone = []
    for length in (5, 9, 7):
        one = Corpus([trajectory(length)])
        alone += list(zip(one.observation["state"], played(policy, one), strict=True))
    for state, action in zip(torch.cat(targets), torch.cat(outputs), strict=True):
        nearest = min(alone, key=lambda pair: float((pair[0] - state).abs().sum() + (pair[1] - action).abs().sum()))
        assert nearest[1] == pytest.approx(action.numpy(), abs=1e-5)


@pytest.mark.parametrize(
    "architecture", ["cnn", "cnn, gru", "act", "act, history, chunk by chunk", "act, receding, spherical"]
)
def test_robots_are_independent_and_forget_what_is_over(architecture: str) -> None:
    """Two robots, the second of which begins anew after three steps, act as each would alone."""
    policy = build(**ARCHITECTURES[architecture]).eval()
    order = torch.tensor([[0, 1, 2, 3, 4, 5, 6], [8, 9, 10, 2, 3, 4, 5]])
    states, together = dict(NOTHING), []
    for step in range(7):
        shown = {name: value[order[:, step]] for name, value in ONE.observation.items()}
        action, states = policy.infer(shown, states)
        together.append(action)
        if step == 2:
            states = forget(states, torch.tensor([False, True]))
    for robot, part in ((0, slice(0, 7)), (1, slice(0, 3)), (1, slice(3, 7))):
        states, alone = dict(NOTHING), []
        for frame in order[robot, part].tolist():
            action, states = policy.infer({name: value[[frame]] for name, value in ONE.observation.items()}, states)
            alone.append(action[0])
        found = torch.stack(together)[part, robot]
        assert found == pytest.approx(torch.stack(alone).numpy(), abs=1e-5)


def test_chunks_are_carried_out_as_asked() -> None:
    """Of predictions that are known, here the number of the decision and of the action within its chunk."""
    expected = {
        "chunk": [(0, 0), (0, 1), (0, 2), (0, 3), (4, 0), (4, 1)],
        "receding": [(0, 0), (0, 1), (2, 0), (2, 1), (4, 0), (4, 1)],
    }
    for execution, order in expected.items():
        policy = build("act", execution=execution, horizon=2)
        assert isinstance(policy, ACTPolicy)
        states, done = dict(NOTHING), []
        for step in range(6):
            said = torch.tensor([[[step / 10, action / 10, 0.0] for action in range(4)]])
            policy._decoded = lambda tokens, latent, said=said: torch.atanh(said)  # type: ignore[method-assign]
            action, states = policy.infer({name: value[[step]] for name, value in ONE.observation.items()}, states)
            done.append(tuple(round(10 * float(value)) for value in action[0, :2]))
        assert done == order


def test_an_ensemble_averages_cartesian_actions() -> None:
    """Of directions on both sides of the seam of the azimuth; averaged as angles they would point the other way."""
    policy = build("act", execution="ensemble", decay=0.0, coordinates="spherical", chunk=2)
    assert isinstance(policy, ACTPolicy)
    states = dict(NOTHING)
    for azimuth in (math.pi - 0.1, -math.pi + 0.1):
        one = torch.tensor([0.0, 0.0, math.cos(azimuth), math.sin(azimuth)])
        policy._decoded = lambda tokens, latent, one=one: one.expand(1, 2, 4)  # type: ignore[method-assign]
        action, states = policy.infer({name: value[[0]] for name, value in ONE.observation.items()}, states)
    assert action[0].tolist() == pytest.approx([-spherical.LONGEST / 2 * math.cos(0.1), 0.0, 0.0], abs=1e-5)


def test_the_divergence_of_a_style_by_hand() -> None:
    config = parse(ActPolicyConfig, SMALL | {"name": "act", "width": 16, "num_heads": 2, "latent": {"size": 2}})
    style = Style(3, config)
    with torch.no_grad():
        style.said.weight.zero_()
        style.said.bias.copy_(torch.tensor([1.0, -2.0, math.log(4.0), 0.0]))  # means 1 and -2, variances 4 and 1
    _, divergence = style(torch.randn(5, 4, 3), torch.ones(5, 4, dtype=torch.bool))
    assert divergence.item() == pytest.approx(0.5 * ((1 + 4 - math.log(4) - 1) + (4 + 1 - 0 - 1)))


def test_what_pads_a_chunk_says_nothing() -> None:
    policy = build("act", latent={"size": 4}, dropout=0.0)
    policy.train()
    batch = ONE.chunk_at(torch.tensor([10, 11]), 1, 4)
    other = Batch(
        batch.observation, torch.where(batch.valid[..., None], batch.actions, 0.77), batch.valid, batch.starts
    )
    losses = []
    for one in (batch, other):
        torch.manual_seed(3)
        losses.append(policy.loss(one, NOTHING, CloningConfig())[0].item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_actions_further_on_count_less_where_asked() -> None:
    policy = build("act", discount=0.5, dropout=0.0)
    batch = batch_for(policy)
    only = [replace(batch, valid=batch.valid & (torch.arange(4) == k)[:, None]) for k in range(4)]
    alone = torch.stack([policy.loss(one, NOTHING, CloningConfig())[0] for one in only])
    share = torch.tensor([1.0 * 12, 0.5 * 11, 0.25 * 10, 0.125 * 9])  # the last of 12 have nothing after
    together, _ = policy.loss(batch, NOTHING, CloningConfig())
    assert together.item() == pytest.approx(((alone * share).sum() / share.sum()).item(), rel=1e-5)


def test_positions_by_hand() -> None:
    found = positions(3, 4, torch.device("cpu"))
    for place in range(3):
        slow = place / 100.0
        assert found[place].tolist() == pytest.approx(
            [math.sin(place), math.cos(place), math.sin(slow), math.cos(slow)]
        )


def test_half_precision_learns_the_same_within_its_rounding() -> None:
    losses = {}
    for precision in ("float32", "bfloat16"):
        policy = build(precision=precision, dropout=0.0).train()
        losses[precision] = policy.loss(batch_for(policy), NOTHING, CloningConfig())[0].item()
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.05)
    assert losses["bfloat16"] != losses["float32"]


IMAGE, STATE = torch.rand(1, 3, 32, 32), torch.zeros(1, 3)
MISFITS: dict[str, tuple[dict[str, Any], str]] = {
    "missing": ({"state": STATE}, r"sees 'image', a tensor \(N, 3, 32, 32\), .*, got 'state'$"),
    "misspelt": ({"imag": IMAGE, "state": STATE}, r"got 'imag', 'state'; did you mean 'imag'\?"),
    "nothing": ({}, "got nothing"),
    "one robot, unbatched": ({"image": IMAGE[0], "state": STATE[0]}, r"\(N, 3, 32, 32\), .*, got \(3, 32, 32\)"),
    "unbatched numbers": ({"image": IMAGE, "state": STATE[0]}, r"'state' must be a tensor \(N, 3\), .*, got \(3,\)"),
    "fewer numbers": ({"image": IMAGE, "state": STATE[:, :2]}, r"'state' must be a tensor \(N, 3\), .*, got \(1, 2\)"),
    "smaller pictures": ({"image": IMAGE[:, :, 12:], "state": STATE}, r"'image' must be .*, got \(1, 3, 20, 32\)"),
    "other robots": ({"image": IMAGE, "state": STATE.expand(2, 3)}, r"'state' must be a tensor \(N, 3\), .* \(2, 3\)"),
    "a number": ({"image": IMAGE, "state": torch.tensor(1.0)}, r"'state' must be .*, got \(\)"),
    "no tensor": ({"image": IMAGE.numpy(), "state": STATE}, "'image' must be a tensor .*, got ndarray"),
    "double": ({"image": IMAGE, "state": STATE.double()}, "'state' must be float32, got float64"),
    "0 to 255": ({"image": IMAGE / IMAGE.max() * 255.0, "state": STATE}, r"in \[0, 1\], got numbers from .* to 255$"),
    "centred": ({"image": IMAGE - 0.5, "state": STATE}, r"'image' must be uint8, or floating in \[0, 1\]"),
    "not a number": ({"image": IMAGE * math.nan, "state": STATE}, "got numbers from nan to nan"),
    "whole numbers": ({"image": (IMAGE * 255).long(), "state": STATE}, r"or floating in \[0, 1\], got int64"),
}


@pytest.mark.parametrize("name", ["bc", "act"])
@pytest.mark.parametrize("misfit", MISFITS)
def test_what_a_policy_does_not_see_is_refused_by_its_name(misfit: str, name: str) -> None:
    shown, words = MISFITS[misfit]
    with pytest.raises(InvalidValueError, match=words):
        build(name).eval().infer(shown, NOTHING)


@pytest.mark.parametrize("name", ["bc", "act"])
def test_pictures_may_be_bytes_or_in_the_unit_range_and_more_may_be_shown(name: str) -> None:
    policy = build(name).eval()
    image = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8)
    seen = {"image": image, "state": torch.zeros(2, 3)}
    actions = policy.infer(seen, NOTHING)[0]
    shown = seen | {"image": image / 255.0, "other": torch.zeros(7)}
    assert torch.allclose(actions, policy.infer(shown, NOTHING)[0], atol=1e-5)


def test_slips() -> None:
    with pytest.raises(InvalidValueError, match="actions of 3 numbers, not of 2"):
        VisuomotorBCPolicy(SHAPES, 2, parse(CloningPolicyConfig, SMALL | {"coordinates": "spherical"}), SCALES)
    with pytest.raises(InvalidValueError, match="resnet18 makes a single place of pictures of 32x32 pixels"):
        build(backbone={"name": "resnet18"})
    for settings, said in (
        ({"width": 30}, "multiple of 2 num_heads"),
        ({"execution": "receding", "horizon": 20, "chunk": 10}, "at most chunk"),
    ):
        with pytest.raises(InvalidValueError, match=said):
            parse(ActPolicyConfig, {"name": "act"} | settings)
    with pytest.raises(InvalidValueError, match=r"memory.changes is for policies that learn by reinforcement"):
        parse(CloningPolicyConfig, {"memory": {"changes": True}})


def test_large_movements_count_for_more_wherever_their_range_lies() -> None:
    """w = 1 + 2 |a| of actions relative to the largest; standing still need not be its middle."""
    policy = build(scales=SCALES._replace(actions=Range([0.5, 0.1, 0.0], [0.5, 0.3, 1.0])))
    actions = torch.tensor([[0.0, 0.0, 0.0], [0.5, 0.0, 0.0], [1.0, 0.4, 0.0]])
    assert_close(policy.largest, torch.tensor([1.0, 0.4, 1.0]))
    batch = Batch({}, actions[:, None], torch.ones(3, 1), NOTHING)
    outputs = torch.atanh(policy.in_reach(actions).clamp(-0.9, 0.9)).unsqueeze(1) + 0.01
    losses = []
    for weighted in (False, True):
        config = parse(CloningConfig, {"weighted": weighted})
        losses.append([policy.distance(o[None], _only(batch, i), config).item() for i, o in enumerate(outputs)])
    ratio = torch.tensor(losses[1]) / torch.tensor(losses[0])
    assert_close(ratio, torch.tensor([1.0, 2.0, 1.0 + 2.0 * 2.0**0.5]), rtol=1e-4, atol=1e-4)


def _only(batch: Batch, index: int) -> Batch:
    return replace(batch, actions=batch.actions[index : index + 1], valid=batch.valid[index : index + 1])


def test_what_never_changed_does_not_look_immense_when_it_does() -> None:
    shapes, scale = {"state": (2,)}, Scale([0.04, 0.0], [0.0, 2e-5])
    body = Body(shapes, {"state": scale})
    assert_close(body({"state": torch.tensor([[0.05, 1e-4]])}, 1), torch.tensor([[0.01, 1.0]]))


def test_the_small_network_has_no_published_weights() -> None:
    with pytest.raises(InvalidValueError, match="set name to resnet18 or vit_b_16"):
        parse(CloningPolicyConfig, {"backbone": {"weights": "some.pth"}})
