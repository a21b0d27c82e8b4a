"""Adversarial motion priors: the discriminator against arithmetic by hand, the rewards, and what is never mixed."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor
from torch.testing import assert_close

from poise.algorithms import AmpConfig, AmpPPO, ReferenceMotion
from poise.config import parse
from poise.errors import InvalidValueError, MissingFileError, PoiseError
from poise.policies import AMPDiscriminator, AmpMixin, PolicyConfig, build_policy
from poise.storage import Rollout

SMALL = {"hidden_sizes": [16]}
STYLE = {"observations": ["position"], "hidden_sizes": [16], "task_reward_lerp": 0.25, "style_reward_coef": 2.0}
ENVS = 24
Drift = Callable[[int], Tensor]


def motion(length: int = 400, step: float = 1.0) -> ReferenceMotion:
    """Walks along a circle, counterclockwise by `step` rad; two episodes of it."""
    angle = step * np.arange(length)
    position = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    starts = np.zeros(length, np.bool_)
    starts[[0, length // 2]] = True
    return ReferenceMotion({"position": position, "speed": np.ones(length, np.float32)}, starts)


def amp(policy: Any = None, reference: ReferenceMotion | None = None, **settings: Any) -> AmpPPO:
    torch.manual_seed(1)
    whole = {"actor": SMALL, "critic": SMALL, "amp_discriminator": STYLE, **(policy or {})}
    built = build_policy({"position": (2,), "speed": ()}, spaces.Box(-1, 1, (2,)), parse(PolicyConfig, whole))
    config = parse(AmpConfig, {"name": "amp", "motion": "m", **settings})
    return AmpPPO(built, config, reference or motion())


def rollout_of(algorithm: AmpPPO, steps: int = 12, ends: float = 0.1, turn: float = 0.0) -> Rollout:
    """Robots that stand on the circle, or walk along it by `turn`."""
    rollout = Rollout(steps, ENVS)
    rollout.clear(algorithm.hidden_states)
    angle = 6.0 * torch.rand(ENVS)
    for _ in range(steps + 1):
        seen = algorithm.prepare({"position": torch.stack([angle.cos(), angle.sin()], -1), "speed": torch.ones(ENVS)})
        if rollout.step == steps:
            rollout.finish(seen)
            break
        decision, dones = algorithm.act(seen), torch.rand(ENVS) < ends
        rollout.add(seen, rewards=torch.rand(ENVS), dones=dones, bootstraps=torch.zeros(ENVS), **decision.columns())
        algorithm.reset(dones)
        angle = torch.where(dones, 6.0 * torch.rand(ENVS), angle + turn)
    return rollout


# --- the discriminator --------------------------------------------------------------------------------------------


def test_style_rewards_by_hand() -> None:
    discriminator = AMPDiscriminator(1, style_reward_coef=2.0, hidden_dims=(1,), task_reward_lerp=0.25)
    with torch.no_grad():  # scores are what they are given, where that is positive
        for layer in (discriminator.trunk.model[0], discriminator.head):
            layer.weight.fill_(1.0)
            layer.bias.zero_()
    pairs, task = torch.tensor([[1.0], [2.0], [0.0], [3.0], [5.0]]), torch.tensor([0.4, 0.0, 1.0, 0.0, -2.0])
    mixed, style = discriminator.predict_style_reward(pairs, task)
    assert_close(style, torch.tensor([2.0, 1.5, 1.5, 0.0, 0.0]))  # 2 max(0, 1 - (d - 1)²/4)
    assert_close(mixed, 0.75 * style + 0.25 * task)


def test_the_gradient_penalty_by_hand() -> None:
    discriminator = AMPDiscriminator(3, 1.0, (4,), discriminator_grad_pen=7.0)
    with torch.no_grad():
        discriminator.trunk.model[0].weight.copy_(torch.eye(4, 3))
        discriminator.trunk.model[0].bias.fill_(1.0)  # every unit is on
        discriminator.head.weight.copy_(torch.tensor([[1.0, 2.0, -2.0, 5.0]]))
    penalty = discriminator.compute_grad_pen(torch.rand(6, 3))
    assert_close(penalty, torch.tensor(7.0 * (1.0 + 4.0 + 4.0)))
    penalty.backward()
    assert discriminator.head.weight.grad is not None


# --- the rewards --------------------------------------------------------------------------------------------------


def test_rewards_are_mixed_and_nothing_is_mixed_across_resets() -> None:
    algorithm = amp()
    torch.manual_seed(0)
    rollout = rollout_of(algorithm, ends=0.3)
    task = rollout.rewards.clone()
    policy = algorithm.policy
    assert isinstance(policy, AmpMixin)
    following = torch.cat([rollout.observations["position"][1:], rollout.next_observations["position"][None]])
    pairs = policy.motion_pairs(rollout.observations["position"], following)
    expected, _ = policy.discriminator.predict_style_reward(pairs, task)
    expected = torch.where(rollout.dones, 0.25 * task, expected)
    algorithm.update(rollout, torch.zeros(ENVS), 0.0)
    assert_close(rollout.rewards, expected)
    replay = algorithm.state()["replay"]
    assert len(replay["states"]) == int((~rollout.dones).sum())
    kept = ~rollout.dones
    assert_close(replay["states"], rollout.observations["position"][kept])
    assert_close(replay["next_states"], following[kept])


def test_the_reference_pairs_moments_of_one_episode() -> None:
    before, after = motion(10).pairs()
    assert len(before["position"]) == 8  # ten moments of two episodes
    turned = torch.atan2(after["position"][:, 1], after["position"][:, 0]) - torch.atan2(
        before["position"][:, 1], before["position"][:, 0]
    )
    assert_close(turned.remainder(2 * torch.pi), torch.ones(8), atol=1e-5, rtol=0)


# --- learning -----------------------------------------------------------------------------------------------------


def test_the_discriminator_comes_to_know_the_reference() -> None:
    """Both streams stand on the same circle: only how moments follow each other tells them apart."""
    keen = {"amp_discriminator": STYLE | {"discriminator_grad_pen": 0.1}}
    algorithm = amp(keen, discriminator={"learning_rate": 3e-3, "num_steps": 30}, learning_rate=0.0)
    for _ in range(12):
        metrics = algorithm.update(rollout_of(algorithm), torch.zeros(ENVS), 0.0)
    assert metrics["discriminator_accuracy"] > 0.9
    assert metrics["style_reward"] < 0.8
    alike = amp(keen, discriminator={"learning_rate": 3e-3, "num_steps": 30}, learning_rate=0.0)
    for _ in range(12):
        metrics = alike.update(rollout_of(alike, turn=1.0), torch.zeros(ENVS), 0.0)
    assert metrics["discriminator_accuracy"] == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize(("noise", "lowest", "highest"), [(0.0, 0.9, 1.0), (1.0, 0.4, 0.7)])
def test_noise_hides_what_is_smaller_than_it(noise: float, lowest: float, highest: float) -> None:
    """The reference walks by 0.3 rad, about 0.4 standard deviations, and the policy stands."""
    keen = {"amp_discriminator": STYLE | {"discriminator_grad_pen": 0.1}}
    training = {"learning_rate": 3e-3, "num_steps": 30, "noise": noise}
    algorithm = amp(keen, motion(step=0.3), discriminator=training, learning_rate=0.0)
    for _ in range(12):
        metrics = algorithm.update(rollout_of(algorithm), torch.zeros(ENVS), 0.0)
    assert lowest <= metrics["discriminator_accuracy"] <= highest


def test_ppo_leaves_the_discriminator_alone() -> None:
    algorithm = amp(discriminator={"num_steps": 1, "learning_rate": 1e-12, "weight_decay": 0, "head_weight_decay": 0})
    assert isinstance(algorithm.policy, AmpMixin)
    before = copy.deepcopy(algorithm.policy.discriminator.state_dict())
    algorithm.update(rollout_of(algorithm), torch.zeros(ENVS), 0.0)
    assert_close(algorithm.policy.discriminator.state_dict(), before, atol=1e-6, rtol=0)


@pytest.mark.parametrize("memory", [{}, {"memory": {"hidden_size": 8}}])
def test_state_continues_bit_for_bit(memory: dict[str, Any]) -> None:
    first, second = amp(memory), amp(memory)
    first.update(rollout_of(first), torch.zeros(ENVS), 0.1)
    second.load_state(copy.deepcopy(first.state()))
    told = []
    for algorithm in (first, second):
        torch.manual_seed(5)
        told.append(algorithm.update(rollout_of(algorithm), torch.zeros(ENVS), 0.2))
    assert told[0] == told[1]
    for name, value in first.policy.state_dict().items():
        assert torch.equal(value, second.policy.state_dict()[name]), name


# --- files, and wrong use -----------------------------------------------------------------------------------------


def test_a_motion_is_saved_and_read(tmp_path: Path) -> None:
    motion().save(tmp_path / "m.safetensors")
    read = ReferenceMotion.load(tmp_path / "m.safetensors")
    assert read.states.keys() == {"position", "speed"}
    np.testing.assert_array_equal(read.states["position"], motion().states["position"])
    np.testing.assert_array_equal(read.starts, motion().starts)


def test_what_is_no_motion_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="poise motion"):
        ReferenceMotion.load(tmp_path / "nowhere")
    (tmp_path / "junk").write_bytes(b"junk")
    with pytest.raises(InvalidValueError, match="no reference motion, or damaged"):
        ReferenceMotion.load(tmp_path / "junk")
    broken = ReferenceMotion({"position": np.zeros((3, 2), np.float32)}, np.zeros(4, np.bool_))
    broken.save(tmp_path / "short")
    with pytest.raises(InvalidValueError, match="components of the same length"):
        ReferenceMotion.load(tmp_path / "short")


@pytest.mark.parametrize(
    ("policy", "reference", "words"),
    [
        ({"amp_discriminator": None}, None, "policy.amp_discriminator must be set"),
        ({"amp_discriminator": {"observations": ["height"]}}, None, "names 'height', which neither"),
        ({}, ReferenceMotion({"speed": np.ones(4, np.float32)}, np.zeros(4, np.bool_)), "'position', which the refe"),
        ({}, ReferenceMotion({"position": np.ones((4, 3), np.float32)}, np.zeros(4, np.bool_)), r"is \(3,\), but"),
    ],
)
def test_wrong_use_is_named(policy: dict[str, Any], reference: ReferenceMotion | None, words: str) -> None:
    with pytest.raises(PoiseError, match=words):
        amp(policy, reference)
