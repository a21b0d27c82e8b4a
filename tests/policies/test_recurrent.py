"""Policies with memory: acting step by step, learning from whole sequences."""

import copy
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor
from torch.testing import assert_close

from poise.algorithms import PPO, PPOConfig
from poise.nn import forget
from poise.policies import ActorCriticRecurrent, MemoryConfig, NetworkConfig, PolicyAgent, PolicyConfig, build_policy
from poise.storage import Minibatch, Rollout

SHAPES = {"position": (2,), "speed": ()}
SMALL = NetworkConfig(hidden_sizes=(16,))
BOX = spaces.Box(-1, 1, (2,))
ENVS, STEPS = 5, 24


def make_policy(kind: Literal["lstm", "gru"] = "lstm", space: spaces.Space[Any] = BOX) -> ActorCriticRecurrent:
    torch.manual_seed(1)
    config = PolicyConfig(actor=SMALL, critic=SMALL, memory=MemoryConfig(type=kind, hidden_size=8, num_layers=2))
    policy = build_policy(SHAPES, space, config)
    assert isinstance(policy, ActorCriticRecurrent)
    return policy


def observe(*lead: int) -> dict[str, Tensor]:
    return {"position": 3.0 * torch.randn(*lead, 2) + 1.0, "speed": torch.randn(*lead)}


def experience(ppo: PPO, rollout: Rollout, ends: Callable[[int], Tensor]) -> Rollout:
    """As the collector does it."""
    rollout.clear(ppo.hidden_states)
    for t in range(rollout.num_steps):
        observation = observe(rollout.num_envs)
        decision, dones = ppo.act(observation), ends(t)
        zeros = torch.zeros(rollout.num_envs)
        rollout.add(
            observation, rewards=torch.randn(rollout.num_envs), dones=dones, bootstraps=zeros, **decision.columns()
        )
        ppo.reset(dones)
    return rollout


ENDS = {
    "never": lambda t: torch.zeros(ENVS, dtype=torch.bool),
    "now and then": lambda t: torch.rand(ENVS) < 0.1,
    "always": lambda t: torch.ones(ENVS, dtype=torch.bool),
    "all at once": lambda t: torch.full((ENVS,), t % 7 == 6),
    "with the rollout": lambda t: torch.full((ENVS,), t == STEPS - 1),
}


@pytest.mark.parametrize("ends", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("space", [BOX, spaces.Discrete(3, start=1)], ids=["box", "discrete"])
def test_the_first_minibatch_sees_a_ratio_of_one(
    kind: Literal["lstm", "gru"], space: spaces.Space[Any], ends: Callable[[int], Tensor]
) -> None:
    ppo = PPO(make_policy(kind, space), PPOConfig(num_steps=STEPS, num_minibatches=2, num_epochs=2))
    rollout = Rollout(STEPS, ENVS)
    for _ in range(3):  # later ones begin with what is remembered, by weights that have changed since
        experience(ppo, rollout, ends)
        with torch.no_grad():
            for batch in rollout_minibatches(ppo, rollout, count=3):
                log_probs, _, values = ppo.policy.evaluate_actions(batch.observations, batch.actions, batch.sequences)
                assert_close(torch.exp(log_probs - batch.log_probs), torch.ones_like(log_probs), atol=1e-5, rtol=0)
                assert_close(ppo.values.denormalize(values), batch.values, atol=1e-4, rtol=1e-4)
        ppo.update(rollout, torch.zeros(ENVS), 0.0)


def rollout_minibatches(ppo: PPO, rollout: Rollout, count: int) -> list[Minibatch]:
    rollout.fill(advantages=torch.randn(STEPS, ENVS), returns=torch.randn(STEPS, ENVS))
    return list(rollout.minibatches(count, 1, sequences=ppo.policy.is_recurrent))


@pytest.mark.parametrize("ends", ENDS.values(), ids=ENDS)
def test_the_update_is_that_of_single_steps(ends: Callable[[int], Tensor]) -> None:
    ppo = PPO(make_policy(), PPOConfig(num_steps=STEPS))
    rollout = Rollout(STEPS, ENVS)
    for _ in range(2):
        experience(ppo, rollout, ends)
    (batch,) = rollout_minibatches(ppo, rollout, count=1)
    loss, _ = ppo._loss(ppo.policy, batch, 0.0)
    expected = torch.autograd.grad(_stepwise_loss(ppo, batch), list(ppo.policy.parameters()))
    found = torch.autograd.grad(loss, list(ppo.policy.parameters()))
    for ours, theirs in zip(found, expected, strict=True):
        assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def _stepwise_loss(ppo: PPO, batch: Minibatch) -> Tensor:
    """PPO's loss, acting anew."""
    assert batch.sequences is not None
    states, starts = batch.sequences
    log_probs, values, entropies = [], [], []
    for t in range(STEPS):
        seen = {name: value[t] for name, value in batch.observations.items()}
        step = ppo.policy.step(seen, forget(states, starts[t]))
        states = step.hidden_states
        log_probs.append(step.distribution.log_prob(batch.actions[t]))
        entropies.append(step.distribution.entropy())
        values.append(step.values)
    ratio = torch.exp(torch.stack(log_probs) - batch.log_probs)
    surrogate = torch.min(ratio * batch.advantages, ratio.clamp(0.8, 1.2) * batch.advantages).mean()
    critic = (torch.stack(values) - batch.returns).square().mean()
    return critic - surrogate - 0.0 * torch.stack(entropies).mean()


def test_threads_share_environments() -> None:
    updated = []
    for threads in (1, 3):
        ppo = PPO(make_policy(), PPOConfig(num_steps=256, num_minibatches=2, num_epochs=2), threads)
        rollout = Rollout(256, ENVS)
        experience(ppo, rollout, ENDS["now and then"])
        torch.manual_seed(5)
        ppo.update(rollout, torch.zeros(ENVS), 0.0)
        updated.append(ppo.policy.state_dict())
    assert_close(updated[0], updated[1], rtol=1e-3, atol=1e-5)


def test_judging_what_follows_remembers_nothing() -> None:
    ppo = PPO(make_policy(), PPOConfig())
    ppo.act(observe(ENVS))
    before, following = copy.deepcopy(ppo.hidden_states), observe(ENVS)
    values = ppo.evaluate(following)
    assert_close(dict(ppo.hidden_states), dict(before), rtol=0, atol=0)
    some = torch.tensor([3, 1])
    rows = {name: value[some] for name, value in following.items()}
    assert_close(ppo.evaluate(rows, some), values[some])
    assert_close(ppo.act(following).values, values)


def test_states_given_are_left_alone() -> None:
    policy = make_policy().requires_grad_(False)
    first = policy.step(observe(ENVS), {}).hidden_states
    kept = copy.deepcopy(first)
    policy.step(observe(ENVS), first)
    assert_close(first, kept, rtol=0, atol=0)
    assert set(first) == {"memory_a.hidden", "memory_a.cell", "memory_c.hidden", "memory_c.cell"}
    assert first["memory_a.hidden"].shape == (2, ENVS, 8)


def test_keeping_states_itself() -> None:
    policy, other = make_policy(), make_policy()
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


def test_agents_remember_apart() -> None:
    policy = make_policy()
    one, other = (PolicyAgent(policy, Unchanged()) for _ in range(2))  # type: ignore[arg-type]
    seen: Any = observe(ENVS)
    first = one.act(seen)
    assert not np.allclose(one.act(seen), first)
    np.testing.assert_allclose(other.act(seen), first)
    one.reset(np.array([True, False, False, False, False]))
    again = one.act(seen)
    np.testing.assert_allclose(again[0], first[0], rtol=1e-6)
    assert not np.allclose(again[1], first[1])


def test_the_critics_memory_learns_at_the_critics_rate() -> None:
    policy = make_policy()
    _, critics = policy.parameter_groups(1e-3, 2e-3)
    assert {id(p) for p in policy.memory_c.parameters()} <= {id(p) for p in critics["params"]}
    assert not {id(p) for p in policy.memory_a.parameters()} & {id(p) for p in critics["params"]}
