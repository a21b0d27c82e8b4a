import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer
from torch import Tensor
from torch.testing import assert_close

from poise.algorithms import generalized_advantage_estimation


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)[:, None]


def advantages(
    rewards: Tensor, values: Tensor, last: float, dones: Tensor, bootstraps: Tensor, gamma: float, lam: float
) -> list[float]:
    result, returns = generalized_advantage_estimation(
        rewards, values, torch.tensor([last]), dones, bootstraps, gamma, lam
    )
    assert_close(returns, result + values)
    return result.flatten().tolist()


NEVER = column(0, 0, 0).bool()


def test_by_hand_without_ends() -> None:
    # delta: 1 + .5*20 - 10 = 1;  2 + .5*30 - 20 = -3;  3 + .5*40 - 30 = -7;  gamma lambda = .25
    found = advantages(column(1, 2, 3), column(10, 20, 30), 40.0, NEVER, column(0, 0, 0), 0.5, 0.5)
    assert found == pytest.approx([1 + 0.25 * (-3 + 0.25 * -7), -3 + 0.25 * -7, -7])


def test_by_hand_with_termination() -> None:
    # the second step terminates: delta_1 = 2 - 20, and nothing of the third step reaches back
    ends = column(0, 1, 0).bool()
    found = advantages(column(1, 2, 3), column(10, 20, 30), 40.0, ends, column(0, 0, 0), 0.5, 0.5)
    assert found == pytest.approx([1 + 0.25 * -18, -18, -7])


def test_by_hand_with_truncation() -> None:
    # the second step is truncated at a final observation of value 100: delta_1 = 2 + .5*100 - 20
    ends = column(0, 1, 0).bool()
    found = advantages(column(1, 2, 3), column(10, 20, 30), 40.0, ends, column(7, 100, 7), 0.5, 0.5)
    assert found == pytest.approx([1 + 0.25 * 32, 32, -7])


@pytest.mark.parametrize("lam", [0.0, 1.0])
def test_the_ends_of_lambda(lam: float) -> None:
    rewards, values, last = column(1, 2, 3), column(10, 20, 30), 40.0
    one_step = [1 + 0.9 * 20 - 10, 2 + 0.9 * 30 - 20, 3 + 0.9 * 40 - 30]
    monte_carlo = [1 + 0.9 * (2 + 0.9 * (3 + 0.9 * 40)) - 10, 2 + 0.9 * (3 + 0.9 * 40) - 20, 3 + 0.9 * 40 - 30]
    found = advantages(rewards, values, last, NEVER, column(0, 0, 0), 0.9, lam)
    assert found == pytest.approx(monte_carlo if lam else one_step)


def test_against_stable_baselines() -> None:
    steps, envs, gamma, lam = 50, 6, 0.97, 0.9
    generator = torch.Generator().manual_seed(0)
    rewards, values, finals = (torch.randn(steps, envs, generator=generator) for _ in range(3))
    ends = torch.rand(steps, envs, generator=generator) < 0.2
    truncated = ends & (torch.rand(steps, envs, generator=generator) < 0.5)
    last = torch.randn(envs, generator=generator)
    bootstraps = torch.where(truncated, finals, torch.zeros(()))

    buffer = RolloutBuffer(steps, spaces.Box(-1, 1, (1,)), spaces.Box(-1, 1, (1,)), "cpu", lam, gamma, envs)
    starts = np.zeros(envs, np.float32)
    for t in range(steps):
        zeros = np.zeros((envs, 1))
        # Stable-Baselines adds the discounted value of a truncated episode's final observation to its last reward.
        reward = (rewards[t] + gamma * bootstraps[t]).numpy()
        buffer.add(zeros, zeros, reward, starts, values[t], torch.zeros(envs))
        starts = ends[t].numpy().astype(np.float32)
    buffer.compute_returns_and_advantage(last, ends[-1].numpy())

    found, returns = generalized_advantage_estimation(rewards, values, last, ends, bootstraps, gamma, lam)
    np.testing.assert_allclose(found, buffer.advantages, atol=1e-5)
    np.testing.assert_allclose(returns, buffer.returns, atol=1e-5)
