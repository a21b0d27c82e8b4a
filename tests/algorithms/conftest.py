from collections.abc import Callable
from typing import Any

import pytest
import torch
from gymnasium import spaces

from poise.algorithms import PPO, PPOConfig
from poise.policies import ActorCritic, NetworkConfig, PolicyConfig
from poise.storage import Rollout

SMALL = NetworkConfig(hidden_sizes=(16, 16))
SHAPES = {"position": (2,), "speed": ()}


@pytest.fixture
def make_ppo() -> Callable[..., PPO]:
    """PPO on a small policy, the same weights every time."""

    def make(
        space: spaces.Space[Any] | None = None, policy_class: type[ActorCritic] = ActorCritic, **settings: Any
    ) -> PPO:
        torch.manual_seed(1)
        policy = policy_class(SHAPES, space or spaces.Box(-1, 1, (2,)), PolicyConfig(actor=SMALL, critic=SMALL))
        return PPO(policy, PPOConfig.model_validate(settings))

    return make


@pytest.fixture
def experience() -> Callable[..., Rollout]:
    """A rollout of random observations and rewards, decided by the given algorithm."""

    def collect(ppo: PPO, num_steps: int = 16, num_envs: int = 6, seed: int = 0) -> Rollout:
        torch.manual_seed(seed)
        rollout = Rollout(num_steps, num_envs)
        for _ in range(num_steps):
            observation = {"position": 3.0 * torch.randn(num_envs, 2) + 1.0, "speed": torch.randn(num_envs)}
            decision = ppo.act(observation)
            rollout.add(
                observation,
                rewards=torch.randn(num_envs),
                dones=torch.rand(num_envs) < 0.1,
                bootstraps=torch.zeros(num_envs),
                **decision.columns(),
            )
        return rollout

    return collect
