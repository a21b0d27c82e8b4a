import math

import numpy as np
import pytest
import torch
from torch import distributions
from torch.testing import assert_close

from poise.algorithms.losses import (
    approximate_kl,
    clipped_surrogate_loss,
    decoupled_surrogate_loss,
    explained_variance,
    value_loss,
)


def logs(*ratios: float) -> torch.Tensor:
    return torch.log(torch.tensor(ratios))


def test_surrogate_by_hand() -> None:
    # ratios 1.5 and 0.5, clip 0.2; a gain beyond the clip is not rewarded, a loss beyond it is kept
    advantages = torch.tensor([2.0, 2.0, -2.0, -2.0])
    loss = clipped_surrogate_loss(logs(1.5, 0.5, 1.5, 0.5), torch.zeros(4), advantages, 0.2)
    assert loss.item() == pytest.approx(-(2.4 + 1.0 - 3.0 - 1.6) / 4)


def test_surrogate_gradient_stops_beyond_the_clip() -> None:
    log_probs = logs(1.5, 1.1).requires_grad_()
    clipped_surrogate_loss(log_probs, torch.zeros(2), torch.ones(2), 0.2).backward()
    assert log_probs.grad is not None
    assert log_probs.grad.tolist() == pytest.approx([0.0, -1.1 / 2])


def test_decoupled_surrogate_by_hand() -> None:
    # pi = .6, prox = .4, behaviour = .5, A = 1: min(1.2, .8 * clip(1.5, .9, 1.1)) = .88
    loss = decoupled_surrogate_loss(logs(0.6), logs(0.4), logs(0.5), torch.ones(1), 0.1)
    assert loss.item() == pytest.approx(-0.88)


def test_decoupled_surrogate_is_the_plain_one_for_a_proximal_policy_that_acted() -> None:
    new, old, advantages = torch.randn(100), torch.randn(100), torch.randn(100)
    assert_close(
        decoupled_surrogate_loss(new, old, old, advantages, 0.2), clipped_surrogate_loss(new, old, advantages, 0.2)
    )


def test_value_loss_by_hand() -> None:
    values, old, returns = torch.tensor([1.0, 4.0]), torch.tensor([0.0, 3.5]), torch.tensor([2.0, 0.0])
    assert value_loss(values, old, returns, None).item() == pytest.approx((1.0 + 16.0) / 2)
    # clipped to 0.5 and 4.0 (its move of 0.5 is allowed): errors 2.25 and 16, the larger of each pair counts
    assert value_loss(values, old, returns, 0.5).item() == pytest.approx((2.25 + 16.0) / 2)


def test_approximate_kl_converges_to_the_exact_one() -> None:
    torch.manual_seed(0)
    old, new = distributions.Normal(0.0, 1.0), distributions.Normal(0.3, 1.2)
    samples = old.sample((400_000,))
    estimate = approximate_kl(new.log_prob(samples), old.log_prob(samples))
    assert estimate.item() == pytest.approx(distributions.kl_divergence(old, new).item(), rel=0.02)


def test_approximate_kl_by_hand() -> None:
    assert approximate_kl(logs(2.0), logs(1.0)).item() == pytest.approx(1.0 - math.log(2.0))


def test_explained_variance() -> None:
    rng = np.random.default_rng(0)
    returns, values = rng.normal(size=200), rng.normal(size=200)
    expected = 1.0 - np.var(returns - values) / np.var(returns)
    assert explained_variance(torch.from_numpy(values), torch.from_numpy(returns)) == pytest.approx(expected)
    assert explained_variance(torch.arange(5.0), torch.arange(5.0) + 3.0) == 1.0
    assert math.isnan(explained_variance(torch.arange(5.0), torch.ones(5)))
