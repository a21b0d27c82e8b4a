"""Dropout, against what torch's does on average."""

import pytest
import torch
from torch import nn

from poise.nn.dropout import Dropout, quicken


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_leaves_out_its_share_and_scales_the_rest(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    ones = torch.ones(1000, 1001, dtype=dtype, requires_grad=True)
    found = Dropout(0.3)(ones)
    kept = found != 0
    assert found.dtype == dtype
    assert float(kept.float().mean()) == pytest.approx(0.7, abs=0.002)
    assert torch.allclose(found[kept], torch.tensor(1.0 / 0.7, dtype=dtype), rtol=1e-4)
    found.sum().backward()
    assert ones.grad is not None
    assert torch.equal(ones.grad, found.detach())  # of ones, what is left is its own gradient
    neighbours = (kept[:, 1:].float() * kept[:, :-1].float()).mean()  # of one draw, and yet independent
    assert float(neighbours) == pytest.approx(0.49, abs=0.003)


def test_torchs_generator_decides() -> None:
    values, layer = torch.ones(33, 7), Dropout(0.5)
    torch.manual_seed(1)
    first, second = layer(values), layer(values)
    torch.manual_seed(1)
    assert torch.equal(layer(values), first)
    assert not torch.equal(first, second)


def test_bounds_and_evaluation_are_torchs() -> None:
    values = torch.randn(5, 3)
    assert torch.equal(Dropout(0.0)(values), values)
    assert torch.equal(Dropout(1.0)(values), torch.zeros(5, 3))
    assert torch.equal(Dropout(0.9).eval()(values), values)
    assert Dropout(0.5)(torch.zeros(0, 3)).shape == (0, 3)


def test_layers_of_others_are_quickened() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.25)
    quicken(layer)
    kinds = [type(module) for module in layer.modules() if isinstance(module, nn.Dropout)]
    assert kinds == [Dropout] * 3
    assert layer.dropout.p == 0.25
