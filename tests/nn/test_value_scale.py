import pytest
import torch
from torch import nn
from torch.testing import assert_close

from poise.nn import ValueScale


def test_values_do_not_change_when_the_statistics_move() -> None:
    torch.manual_seed(0)
    scale, critic = ValueScale(), nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))
    x = torch.randn(50, 4)
    for mean, spread in ((0.0, 1.0), (300.0, 20.0), (-5.0, 0.01), (80.0, 1000.0)):
        before = scale.denormalize(critic(x))
        scale.update(mean + spread * torch.randn(20, 8), [critic[-1]])
        after = scale.denormalize(critic(x))
        assert_close(after, before, rtol=1e-3, atol=1e-3)


def test_the_first_rollout_sets_the_statistics_and_others_move_them_by_their_share() -> None:
    scale, layer = ValueScale(rate=0.25), nn.Linear(1, 1)
    scale.update(torch.tensor([2.0, 6.0]), [layer])  # mean 4, std 2
    assert (scale.mean.item(), scale.std.item()) == (4.0, 2.0)
    scale.update(torch.tensor([-1.0, 1.0]), [layer])  # mean 0, std 1
    assert (scale.mean.item(), scale.std.item()) == (3.0, 1.75)


def test_normalising_and_back() -> None:
    scale = ValueScale()
    returns = 30.0 + 5.0 * torch.randn(100)
    assert_close(scale.normalize(returns), returns)
    scale.update(returns, [nn.Linear(1, 1)])
    normalized = scale.normalize(returns)
    assert normalized.mean().item() == pytest.approx(0.0, abs=1e-4)
    assert normalized.std(correction=0).item() == pytest.approx(1.0, abs=1e-4)
    assert_close(scale.denormalize(normalized), returns)


def test_returns_that_never_vary_do_no_harm() -> None:
    scale, layer = ValueScale(), nn.Linear(3, 1)
    for _ in range(3):
        scale.update(torch.full((10,), 7.0), [layer])
    assert layer.weight.isfinite().all()
    assert scale.normalize(torch.tensor(7.0)).item() == pytest.approx(0.0, abs=1e-3)


def test_state() -> None:
    first, second, layer = ValueScale(), ValueScale(), nn.Linear(1, 1)
    first.update(torch.tensor([1.0, 5.0]), [layer])
    second.load_state_dict(first.state_dict())
    for scale in (first, second):
        scale.update(torch.tensor([2.0, 9.0]), [nn.Linear(1, 1)])
    assert_close(second.state_dict(), first.state_dict(), rtol=0, atol=0)
