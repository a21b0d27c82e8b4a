"""Memories of changes inside policies."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from poise.algorithms import PPO
from poise.config import parse
from poise.errors import PoiseError
from poise.nn import ChangeMemory
from poise.policies import ActorCritic, PolicyConfig
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
