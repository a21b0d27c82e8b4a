import pytest
import torch
from torch import nn
from torch.testing import assert_close

from poise.errors import PoiseError
from poise.nn import MlpModel, get_activation_Cls, orthogonal_


@pytest.mark.parametrize(
    ("hidden", "output", "widths"),
    [
        ([8, 4], 2, [(5, 8), (8, 4), (4, 2)]),
        ([8], None, [(5, 8)]),
        (8, 3, [(5, 8), (8, 3)]),
        (None, 3, [(5, 3)]),
        ([], None, []),
    ],
)
def test_layers(hidden: list[int] | int | None, output: int | None, widths: list[tuple[int, int]]) -> None:
    model = MlpModel(5, hidden, output)
    linears = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linears] == widths
    assert model.output_size == (widths[-1][1] if widths else 5)
    assert model(torch.randn(2, 3, 5)).shape == (2, 3, model.output_size)


def test_forward_by_hand() -> None:
    model = MlpModel(2, [2], 1, "leaky_relu")
    with torch.no_grad():
        model.model[0].weight.copy_(torch.tensor([[1.0, -1.0], [2.0, 0.0]]))
        model.model[0].bias.copy_(torch.tensor([0.0, 1.0]))
        model.model[2].weight.copy_(torch.tensor([[1.0, 10.0]]))
        model.model[2].bias.fill_(0.5)
    # hidden: leaky(1 - 3) = -0.02, leaky(2 + 1) = 3; output: -0.02 + 30 + 0.5
    assert model(torch.tensor([1.0, 3.0])).item() == pytest.approx(30.48)


def test_without_an_output_layer_the_last_is_nonlinear() -> None:
    assert (MlpModel(3, [16], None, nn.ReLU)(torch.randn(50, 3)) >= 0).all()


@pytest.mark.parametrize(
    ("name", "cls"),
    [("elu", nn.ELU), ("LeakyReLU", nn.LeakyReLU), ("TANH", nn.Tanh), ("lrelu", nn.LeakyReLU), ("crelu", nn.ReLU)],
)
def test_activations_by_name(name: str, cls: type[nn.Module]) -> None:
    assert get_activation_Cls(name) is cls


def test_an_unknown_activation_names_the_nearest() -> None:
    with pytest.raises(PoiseError, match="unknown activation 'leaky_rellu'; did you mean 'leaky_relu'"):
        MlpModel(3, [4], 1, "leaky_rellu")


def test_orthogonal_initialisation() -> None:
    model = MlpModel(16, [16, 16], 4)
    orthogonal_(model, gain=2.0**0.5, last_gain=0.01)
    first, last = model.model[0], model.model[-1]
    assert_close(first.weight @ first.weight.T, 2.0 * torch.eye(16), atol=1e-5, rtol=0)
    assert_close(last.weight @ last.weight.T, 1e-4 * torch.eye(4), atol=1e-8, rtol=0)
    assert not any(layer.bias.any() for layer in (first, last))
