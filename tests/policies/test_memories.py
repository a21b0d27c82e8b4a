"""Memories of changes, and of single components, inside policies."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from gymnasium import spaces
from torch import Tensor
from torch.testing import assert_close

from poise.algorithms import PPO
from poise.config import parse
from poise.errors import PoiseError
from poise.nn import ChangeMemory
from poise.policies import ActorCritic, PolicyConfig, build_policy
from poise.policies.look import Sequences
from poise.storage import Rollout
from poise.training.config import RunConfig

CHANGES = {"memory": {"hidden_size": 8, "changes": True}}
ESTIMATOR = {"observations": ["position"], "targets": ["speed"], "replace_prob": 1.0}
ENVS = 4
MakePolicy = Callable[..., ActorCritic]
MakePPO = Callable[..., PPO]
Observe = Callable[..., dict[str, Tensor]]


def memories(policy: ActorCritic) -> dict[str, ChangeMemory]:
    return {name: module for name, module in policy.named_modules() if isinstance(module, ChangeMemory)}


def test_each_learns_how_large_the_changes_of_what_it_reads_are(make_policy: MakePolicy, observe: Observe) -> None:
    policy = make_policy(estimator=ESTIMATOR, normalize_observations=False, **CHANGES)
    assert set(memories(policy)) == {"memory_a", "memory_c", "estimator.memory"}
    seen, starts = observe(9, ENVS), torch.rand(9, ENVS) < 0.3
    policy.update_normalization(seen, Sequences({}, starts))
    continues = ~starts[1:]
    changes = (seen["position"][1:] - seen["position"][:-1])[continues]
    normalizer = memories(policy)["estimator.memory"].normalizer  # reads the position alone
    assert_close(normalizer.mean, changes.mean(0))
    assert_close(normalizer.std, changes.std(0, correction=0))
    assert [int(memory.normalizer.count) for memory in memories(policy).values()] == [int(continues.sum())] * 3


def test_nothing_is_compared_with_what_another_policy_made(
    make_ppo: MakePPO, experience: Callable[..., Rollout], observe: Observe
) -> None:
    ppo, rollout = make_ppo(CHANGES, num_steps=6), Rollout(6, ENVS)
    experience(ppo, rollout, lambda t: torch.zeros(ENVS, dtype=torch.bool))
    assert ppo.hidden_states["memory_a.known"].all()
    hidden = ppo.hidden_states["memory_a.hidden"]
    ppo.update(rollout, torch.zeros(ENVS), 0.0)
    assert not ppo.hidden_states["memory_a.known"].any()
    assert_close(ppo.hidden_states["memory_a.hidden"], hidden)
    states = {
        name: ppo.hidden_states[f"memory_a.{name}"] for name in memories(ppo.policy)["memory_a"].initial_states(ENVS)
    }
    outputs, _ = memories(ppo.policy)["memory_a"].step(torch.ones(ENVS, 17), states)
    assert_close(outputs[:, 8:], torch.cat([torch.ones(ENVS, 17), torch.zeros(ENVS, 17)], -1))


@pytest.mark.parametrize("name", ["estimator", "adaptor"])
def test_what_is_true_at_times_and_estimated_at_others_has_no_changes(name: str) -> None:
    with pytest.raises(PoiseError, match=rf"{name}.replace_prob must be 0 or 1 with memory.changes"):
        parse(PolicyConfig, CHANGES | {name: ESTIMATOR | {"replace_prob": 0.5}})


def test_a_rollout_of_one_step_has_no_changes() -> None:
    with pytest.raises(PoiseError, match="num_steps must be at least 2 with policy.memory.changes"):
        parse(RunConfig, {"policy": CHANGES, "algorithm": {"num_steps": 1}})


def test_what_a_component_leaves_behind_stays_apart() -> None:
    """A past of one component changes the actions if that is remembered, and a past of another does not."""
    shapes = {"eye": (2,), "vel": (3,)}
    policy = build_policy(shapes, spaces.Box(-1.0, 1.0, (2,)), parse(PolicyConfig, {"memories": {"eye": {}}}))
    assert policy.is_recurrent
    now = {name: torch.randn(4, *shape) for name, shape in shapes.items()}

    def after(past: dict[str, Tensor]) -> Tensor:
        policy.reset()
        policy.act_inference(past)
        return policy.act_inference(now)

    with torch.no_grad():
        expected = after(now)
        assert torch.equal(after(now | {"vel": torch.randn(4, 3)}), expected)
        assert not torch.allclose(after(now | {"eye": torch.randn(4, 2)}), expected)
        states = policy.get_hidden_states()
    assert {name.rsplit(".", 1)[0] for name in states} == {"memories.actor.eye"}


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"memories": {"ear": {}}}, "policy.memories has one for 'ear'; the policy sees eye, vel"),
        ({"memories": {"eye": {"changes": True}}}, "memories: eye.changes must be false"),
    ],
)
def test_components_that_cannot_be_remembered(config: dict[str, Any], words: str) -> None:
    with pytest.raises(PoiseError, match=words):
        build_policy({"eye": (2,), "vel": (3,)}, spaces.Box(-1.0, 1.0, (2,)), parse(PolicyConfig, config))
