import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from poise.errors import PoiseError
from poise.perception import DepthEncoder, FrozenDepthEncoder, folded


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bfloat16", 2e-2)])
def test_folding_changes_nothing(
    encoder: DepthEncoder,
    monkeypatch: pytest.MonkeyPatch,
    fused: bool,
    precision: folded.Precision,
    tolerance: float,
) -> None:
    if not fused:
        monkeypatch.setattr(folded, "has_fused_convolution", lambda: False)
    frozen = FrozenDepthEncoder(encoder, precision)
    images = torch.rand(37, 1, 64, 64)
    features = frozen(images)
    assert features.dtype == torch.float32
    torch.testing.assert_close(features, encoder(images), rtol=0, atol=tolerance)


def test_other_sizes_and_channels() -> None:
    torch.manual_seed(1)
    encoder = DepthEncoder(32, 48, channels=4, latent=7).eval()
    images = torch.rand(5, 4, 32, 48)
    torch.testing.assert_close(FrozenDepthEncoder(encoder)(images), encoder(images), rtol=0, atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("threads", [1, 2])
def test_features_do_not_depend_on_the_batch(encoder: DepthEncoder, precision: folded.Precision, threads: int) -> None:
    frozen, before = FrozenDepthEncoder(encoder, precision), torch.get_num_threads()
    images = torch.rand(40, 1, 64, 64)
    try:
        torch.set_num_threads(1)
        features = frozen(images)
        torch.set_num_threads(threads)
        order = torch.randperm(40)
        assert torch.equal(frozen(images[order]), features[order])
        for start, count in [(0, 1), (7, 3), (15, 2), (3, 16), (5, 33), (0, 0)]:
            assert torch.equal(frozen(images[start : start + count]), features[start : start + count])
    finally:
        torch.set_num_threads(before)


def test_stays_frozen_inside_a_policy(encoder: DepthEncoder) -> None:
    policy = nn.Sequential(FrozenDepthEncoder(encoder), nn.Linear(20, 2))
    images = torch.rand(4, 1, 64, 64)
    statistics = encoder.norm1.running_mean.clone()
    before = policy[0](images)
    policy.train()
    policy(images).sum().backward()
    assert policy[1].training
    assert not any(module.training for module in policy[0].modules())
    assert torch.equal(policy[0](images), before)
    assert torch.equal(encoder.norm1.running_mean, statistics)
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in policy[0].parameters())
    assert policy[1].weight.grad is not None


def load_directly(policy: nn.Module, state: dict[str, torch.Tensor]) -> None:
    policy[0].load_state_dict({name.removeprefix("0."): tensor for name, tensor in state.items()})


@pytest.mark.parametrize("load", [lambda policy, state: policy.load_state_dict(state), load_directly])
def test_loaded_weights_are_used(
    encoder: DepthEncoder, load: Callable[[nn.Module, dict[str, torch.Tensor]], None]
) -> None:
    policy = nn.Sequential(FrozenDepthEncoder(encoder))
    images = torch.rand(4, 1, 64, 64)
    policy(images)
    other = nn.Sequential(FrozenDepthEncoder(DepthEncoder()))
    load(policy, other.state_dict())
    assert torch.equal(policy(images), other(images))


def test_copies_are_independent(encoder: DepthEncoder) -> None:
    frozen = FrozenDepthEncoder(encoder)
    images = torch.rand(4, 1, 64, 64)
    features = frozen(images)
    twin = copy.deepcopy(frozen)
    assert torch.equal(twin(images), features)
    twin.load_state_dict(FrozenDepthEncoder(DepthEncoder()).state_dict())
    assert not torch.equal(twin(images), features)
    assert torch.equal(frozen(images), features)


@pytest.mark.parametrize("shape", [(64, 64), (2, 4, 64, 64), (2, 1, 32, 64)])
def test_wrong_images_are_named(encoder: DepthEncoder, shape: tuple[int, ...]) -> None:
    with pytest.raises(PoiseError, match="1, 64, 64"):
        FrozenDepthEncoder(encoder)(torch.rand(shape))


def test_unknown_precision_is_named(encoder: DepthEncoder) -> None:
    with pytest.raises(PoiseError, match="did you mean 'bfloat16'"):
        FrozenDepthEncoder(encoder, "bfloat17")
