"""Policies that learn from what they did, as the collector and the trainer have it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from gymnasium import spaces
from torch import Tensor

from poise.algorithms import PPO, PPOConfig
from poise.config import parse
from poise.policies import ActorCritic, PolicyConfig, build_policy
from poise.storage import Rollout

sys.path.insert(0, str(Path(__file__).parent))  # for `zoo`: with importlib's import mode, pytest adds nothing
from zoo import SHAPES, SMALL


@pytest.fixture
def make_policy() -> Callable[..., ActorCritic]:
    """A small policy, the same weights every time."""

    def make(space: spaces.Space[Any] | None = None, **config: Any) -> ActorCritic:
        torch.manual_seed(1)
        whole = parse(PolicyConfig, {"actor": SMALL, "critic": SMALL, **config})
        return build_policy(SHAPES, space or spaces.Box(-1, 1, (2,)), whole)

    return make


@pytest.fixture
def observe() -> Callable[..., dict[str, Tensor]]:
    """Random observations with any leading axes."""
    return lambda *lead: {name: 3.0 * torch.randn(*lead, *shape) + 1.0 for name, shape in SHAPES.items()}


@pytest.fixture
def experience(observe: Callable[..., dict[str, Tensor]]) -> Callable[..., Rollout]:
    """Fill a rollout as the collector does; `ends(t)` tells whose episode ends with step t."""

    def fill(ppo: PPO, rollout: Rollout, ends: Callable[[int], Tensor]) -> Rollout:
        rollout.clear(ppo.hidden_states)
        for t in range(rollout.num_steps):
            seen = ppo.prepare(observe(rollout.num_envs))
            decision, dones, zeros = ppo.act(seen), ends(t), torch.zeros(rollout.num_envs)
            rewards = torch.randn(rollout.num_envs)
            rollout.add(seen, rewards=rewards, dones=dones, bootstraps=zeros, **decision.columns())
            ppo.reset(dones)
        return rollout

    return fill


@pytest.fixture
def make_ppo(make_policy: Callable[..., ActorCritic]) -> Callable[..., PPO]:
    """PPO on such a policy."""

    def make(policy: dict[str, Any], threads: int = 1, space: spaces.Space[Any] | None = None, **settings: Any) -> PPO:
        return PPO(make_policy(space, **policy), PPOConfig.model_validate(settings), threads)

    return make
