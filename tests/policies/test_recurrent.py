"""Policies with memory."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from poise.algorithms import PPO
from poise.errors import PoiseError
from poise.nn import forget
from poise.policies import ActorCritic, ActorCriticRecurrent, PolicyAgent, Sequences
from poise.storage import Rollout

MEMORY = {"memory": {"hidden_size": 8, "num_layers": 2}}
ENVS = 5
MakePolicy = Callable[..., ActorCritic]
MakePPO = Callable[..., PPO]
Observe = Callable[..., dict[str, Tensor]]


def test_threads_share_environments(make_ppo: MakePPO, experience: Callable[..., Rollout]) -> None:
    updated = []
    for threads in (1, 3):
        ppo = make_ppo(MEMORY, threads, num_steps=256, num_minibatches=2, num_epochs=2)
        rollout = Rollout(256, ENVS)
        experience(ppo, rollout, lambda t: torch.rand(ENVS) < 0.1)
        torch.manual_seed(5)
        ppo.update(rollout, torch.zeros(ENVS), 0.0)
        updated.append(ppo.policy.state_dict())
    assert_close(updated[0], updated[1], rtol=1e-3, atol=1e-5)


def test_judging_what_follows_remembers_nothing(make_ppo: MakePPO, observe: Observe) -> None:
    ppo = make_ppo(MEMORY)
    ppo.act(observe(ENVS))
    before, following = copy.deepcopy(ppo.hidden_states), observe(ENVS)
    values = ppo.evaluate(following)
    assert_close(dict(ppo.hidden_states), dict(before), rtol=0, atol=0)
    some = torch.tensor([3, 1])
    rows = {name: value[some] for name, value in following.items()}
    assert_close(ppo.evaluate(rows, some), values[some])
    assert_close(ppo.act(following).values, values)


def test_states_given_are_left_alone(make_policy: MakePolicy, observe: Observe) -> None:
    policy = make_policy(**MEMORY).requires_grad_(False)
    first = policy.step(observe(ENVS), {}).hidden_states
    kept = copy.deepcopy(first)
    policy.step(observe(ENVS), first)
    assert_close(first, kept, rtol=0, atol=0)
    assert set(first) == {"memory_a.hidden", "memory_a.cell", "memory_c.hidden", "memory_c.cell"}
    assert first["memory_a.hidden"].shape == (2, ENVS, 8)


def test_keeping_states_itself(make_policy: MakePolicy, observe: Observe) -> None:
    policy, other = make_policy(**MEMORY), make_policy(**MEMORY)
    states: dict[str, Tensor] = {}
    dones = torch.tensor([0, 1, 0, 0, 1])
    for _ in range(4):
        seen = observe(ENVS)
        actions, states = other.infer(seen, states)
        assert_close(policy.act_inference(seen), actions)
        states = forget(states, dones)
        policy.reset(dones)
    assert_close(policy.get_hidden_states(), states)
    policy.reset()
    assert policy.get_hidden_states() == {}


class Unchanged:
    """Stands in for a `Sensing`."""

    def __call__(self, observation: dict[str, Tensor]) -> dict[str, Tensor]:
        return observation


def test_agents_remember_apart(make_policy: MakePolicy, observe: Observe) -> None:
    policy = make_policy(**MEMORY)
    one, other = (PolicyAgent(policy, Unchanged()) for _ in range(2))  # type: ignore[arg-type]
    seen: Any = observe(ENVS)
    first = one.act(seen)
    assert not np.allclose(one.act(seen), first)
    np.testing.assert_allclose(other.act(seen), first)
    one.reset(np.array([True, False, False, False, False]))
    again = one.act(seen)
    np.testing.assert_allclose(again[0], first[0], rtol=1e-6)
    assert not np.allclose(again[1], first[1])


def test_judging_needs_the_sequences(make_policy: MakePolicy, observe: Observe) -> None:
    """Of the steps that were acted, in their order; without them the memory would be empty at each."""
    policy = make_policy(**MEMORY)
    seen, taken, said = [], [], []
    for _ in range(3):
        seen.append(observe(ENVS))
        taken.append(policy.act(seen[-1]))
        said.append(policy.get_actions_log_prob(taken[-1]))
    with pytest.raises(PoiseError, match="judges actions by what went before"):
        policy.evaluate_actions(seen[-1], taken[-1])
    together = {name: torch.stack([each[name] for each in seen]) for name in seen[0]}
    sequences = Sequences({}, torch.zeros(3, ENVS, dtype=torch.bool))
    assert_close(policy.evaluate_actions(together, torch.stack(taken), sequences)[0], torch.stack(said))


def test_states_that_are_no_states_of_the_policy_are_refused(make_policy: MakePolicy, observe: Observe) -> None:
    policy = make_policy(**MEMORY)
    policy.act(observe(ENVS))
    with pytest.raises(PoiseError, match=f"remembers {ENVS} environments, but looks at 2; call reset"):
        policy.act(observe(2))
    hidden = policy.get_hidden_states()["memory_a.hidden"]
    with pytest.raises(PoiseError, match="what 'memory_a' remembers must be hidden, cell, got hidden"):
        policy.infer(observe(ENVS), {"memory_a.hidden": hidden})


def test_the_critics_memory_learns_at_the_critics_rate(make_policy: MakePolicy) -> None:
    policy = make_policy(**MEMORY)
    assert isinstance(policy, ActorCriticRecurrent)
    _, critics = policy.parameter_groups(1e-3, 2e-3)
    assert {id(p) for p in policy.memory_c.parameters()} <= {id(p) for p in critics["params"]}
    assert not {id(p) for p in policy.memory_a.parameters()} & {id(p) for p in critics["params"]}


def test_observations_without_the_axis_of_environments(make_policy: MakePolicy, observe: Observe) -> None:
    policy = make_policy(memory={"hidden_size": 8})
    with pytest.raises(PoiseError, match="looks at observations .N, ..... not at ones with 0 axes of samples"):
        policy.act({name: value[0] for name, value in observe(1).items()})
