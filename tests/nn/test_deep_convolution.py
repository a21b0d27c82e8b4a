"""A convolution whose weights' gradient is a matrix product, against torch's."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from poise.nn.deep_convolution import DeepConv2d

CASES: list[dict[str, Any]] = [
    {"kernel_size": 3, "padding": 1, "bias": False},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": (1, 4), "stride": (2, 1), "padding": (0, 2)},
]


def twins(case: dict[str, Any], dtype: torch.dtype = torch.float32) -> tuple[nn.Conv2d, DeepConv2d]:
    torch.manual_seed(0)
    plain, deep = nn.Conv2d(6, 5, **case, dtype=dtype), DeepConv2d(6, 5, **case, dtype=dtype)
    deep.load_state_dict(plain.state_dict())
    return plain, deep


def learned(layer: nn.Conv2d, pictures: Tensor) -> list[Tensor]:
    """Output, and gradients of pictures and parameters of some function of it."""
    given = pictures.clone().requires_grad_()
    output = layer(given)
    output.float().sin().sum().backward()
    return [output.detach(), *(value.grad for value in (given, *layer.parameters()) if value.grad is not None)]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_outputs_and_gradients_are_those_of_a_convolution(case: dict[str, Any], memory: torch.memory_format) -> None:
    plain, deep = twins(case, torch.float64)
    pictures = torch.randn(4, 6, 5, 7, dtype=torch.float64).contiguous(memory_format=memory)
    wanted, found = learned(plain, pictures), learned(deep, pictures)
    assert len(wanted) == len(found) == 2 + len(list(plain.parameters()))
    for one, other in zip(wanted, found, strict=True):
        assert one.shape == other.shape
        assert torch.allclose(one, other, atol=1e-6)


def test_in_bfloat16_gradients_are_as_good_as_torchs() -> None:
    plain, deep = twins(CASES[0])
    pictures = torch.randn(16, 6, 5, 7)
    exact = learned(plain, pictures)[2]
    plain.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        coarse, found = learned(plain, pictures), learned(deep, pictures)
    assert found[0].dtype == torch.bfloat16
    assert found[2].dtype == torch.float32
    assert float((found[2] - exact).norm()) < 1.5 * float((coarse[2] - exact).norm())


def test_nothing_is_computed_for_pictures_that_do_not_learn() -> None:
    _, deep = twins(CASES[0])
    deep(torch.randn(2, 6, 3, 3)).sum().backward()
    assert deep.weight.grad is not None
    with torch.no_grad():
        assert not deep(torch.randn(2, 6, 3, 3)).requires_grad
