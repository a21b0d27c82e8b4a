import math

import pytest
import torch
from torch import distributions as reference
from torch.testing import assert_close

from poise.nn import Categorical, CategoricalHead, DiagonalGaussian, GaussianHead


@pytest.fixture
def gaussians() -> tuple[DiagonalGaussian, reference.Independent]:
    mean, log_std = torch.randn(5, 7, 3), 0.5 * torch.randn(5, 7, 3)
    return DiagonalGaussian(mean, log_std), reference.Independent(reference.Normal(mean, log_std.exp()), 1)


@pytest.fixture
def categoricals() -> tuple[Categorical, reference.Categorical]:
    logits = 3.0 * torch.randn(5, 7, 4)
    return Categorical(logits), reference.Categorical(logits=logits)


@pytest.mark.parametrize("kind", ["gaussians", "categoricals"])
def test_densities_and_entropies_are_those_of_torch(kind: str, request: pytest.FixtureRequest) -> None:
    ours, theirs = request.getfixturevalue(kind)
    actions = theirs.sample()
    assert_close(ours.log_prob(actions), theirs.log_prob(actions))
    assert_close(ours.entropy(), theirs.entropy())


def test_kl_between_gaussians_is_that_of_torch(gaussians: tuple[DiagonalGaussian, reference.Independent]) -> None:
    ours, theirs = gaussians
    mean, log_std = torch.randn(5, 7, 3), 0.5 * torch.randn(5, 7, 3)
    other = reference.Independent(reference.Normal(mean, log_std.exp()), 1)
    kl = ours.kl_from(DiagonalGaussian(mean, log_std).parameters)
    assert_close(kl, reference.kl_divergence(other, theirs))
    assert_close(ours.kl_from(ours.parameters), torch.zeros(5, 7))


def test_kl_between_categoricals_is_that_of_torch(categoricals: tuple[Categorical, reference.Categorical]) -> None:
    ours, theirs = categoricals
    logits = torch.randn(5, 7, 4)
    kl = ours.kl_from(Categorical(logits).parameters)
    assert_close(kl, reference.kl_divergence(reference.Categorical(logits=logits), theirs))


def test_gaussian_samples_have_the_mean_and_spread() -> None:
    torch.manual_seed(0)
    mean = torch.tensor([1.0, -2.0], requires_grad=True)
    samples = DiagonalGaussian(mean.expand(40_000, 2), torch.log(torch.tensor([0.5, 2.0]))).sample()
    assert not samples.requires_grad
    assert_close(samples.mean(0), torch.tensor([1.0, -2.0]), atol=0.05, rtol=0)
    assert_close(samples.std(0), torch.tensor([0.5, 2.0]), atol=0.03, rtol=0)


def test_categorical_samples_have_the_probabilities() -> None:
    torch.manual_seed(0)
    samples = Categorical(torch.log(torch.tensor([0.2, 0.3, 0.5])).expand(200, 200, 3)).sample()
    assert samples.shape == (200, 200)
    assert samples.dtype == torch.int64
    assert_close(torch.bincount(samples.flatten()) / samples.numel(), torch.tensor([0.2, 0.3, 0.5]), atol=0.01, rtol=0)


def test_modes() -> None:
    mean = torch.randn(4, 2)
    assert torch.equal(DiagonalGaussian(mean, torch.zeros(2)).mode, mean)
    assert Categorical(torch.tensor([[0.0, 2.0, 1.0], [5.0, 2.0, 1.0]])).mode.tolist() == [1, 0]


def test_actions_may_be_numbered_from_another_start() -> None:
    torch.manual_seed(0)
    logits = torch.randn(50, 3)
    plain, shifted = Categorical(logits), CategoricalHead(start=5)(logits)
    assert torch.equal(shifted.mode, plain.mode + 5)
    assert_close(shifted.log_prob(torch.full((50,), 7)), plain.log_prob(torch.full((50,), 2)))
    assert set(shifted.sample().tolist()) == {5, 6, 7}


def test_the_gaussian_head_bounds_its_spread_at_every_use() -> None:
    head = GaussianHead(2, init_std=0.3, min_std=0.1, max_std=2.0)
    assert_close(head(torch.zeros(4, 2)).std, torch.full((4, 2), 0.3))
    with torch.no_grad():
        head.log_std.copy_(torch.tensor([-50.0, 50.0]))
    assert_close(head(torch.zeros(1, 2)).std, torch.tensor([[0.1, 2.0]]))


def test_entropy_by_hand() -> None:
    entropy = DiagonalGaussian(torch.zeros(1, 2), torch.log(torch.tensor([1.0, 3.0]))).entropy()
    assert entropy.item() == pytest.approx(math.log(2 * math.pi * math.e) + math.log(3.0))
