"""Correlated noise is standard normal at every step, and the policy's probabilities hold for it."""

from collections.abc import Callable

import pytest
import torch
from gymnasium import spaces
from torch.testing import assert_close

from poise.algorithms import PPO
from poise.algorithms.exploration import AutoregressiveNoise
from poise.errors import InvalidValueError
from poise.storage import Rollout

MakePPO = Callable[..., PPO]


def drawn(correlation: float, steps: int = 400, envs: int = 500) -> torch.Tensor:
    torch.manual_seed(0)
    noise, like = AutoregressiveNoise(), torch.zeros(envs, 2)
    return torch.stack([noise.draw(like, correlation) for _ in range(steps)])


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_each_step_is_standard_normal_and_correlated_with_the_next(correlation: float) -> None:
    noise = drawn(correlation)
    for step in (0, 1, 50, 399):
        assert_close(noise[step].std(), torch.tensor(1.0), atol=0.08, rtol=0)
        assert abs(noise[step].mean()) < 0.12
    for lag in (1, 3):
        measured = (noise[lag:] * noise[:-lag]).mean()
        assert measured == pytest.approx(correlation**lag, abs=0.03)
    assert abs((noise[..., 0] * noise[..., 1]).mean()) < 0.02  # the components know nothing of each other


def test_by_hand() -> None:
    torch.manual_seed(3)
    first, second = torch.randn(4, 1), torch.randn(4, 1)
    torch.manual_seed(3)
    noise = AutoregressiveNoise()
    assert_close(noise.draw(first, 0.6), first)
    assert_close(noise.draw(first, 0.6), 0.6 * first + 0.8 * second)


def test_ppo_keeps_the_policys_log_probabilities(make_ppo: MakePPO, experience: Callable[..., Rollout]) -> None:
    ppo = make_ppo(noise_correlation=0.9)
    rollout = experience(ppo, num_steps=64)
    for t in range(64):
        seen = {name: value[t] for name, value in rollout.observations.items()}
        log_probs, _, _ = ppo.policy.evaluate_actions(seen, rollout.actions[t])
        assert_close(log_probs, rollout.log_probs[t], atol=1e-5, rtol=0)
    mean, _ = rollout.distributions.chunk(2, dim=-1)
    noise = rollout.actions - mean
    assert (noise[1:] * noise[:-1]).mean() > 0.7 * noise.square().mean()


def test_the_correlation_follows_its_schedule_and_survives_a_checkpoint(
    make_ppo: MakePPO, experience: Callable[..., Rollout]
) -> None:
    settings = {"noise_correlation": {"values": [0.0, 0.8]}}
    first, second = make_ppo(**settings), make_ppo(**settings)
    first.update(experience(first), torch.zeros(6), 0.5)
    assert first.state()["noise_correlation"] == pytest.approx(0.4)
    second.load_state(first.state())
    for name in ("actions", "log_probs"):
        assert_close(getattr(experience(second), name), getattr(experience(first), name), rtol=0, atol=0)


def test_discrete_actions_are_refused(make_ppo: MakePPO) -> None:
    with pytest.raises(InvalidValueError, match="noise_correlation is for continuous actions"):
        make_ppo(spaces.Discrete(3), noise_correlation=0.5)
