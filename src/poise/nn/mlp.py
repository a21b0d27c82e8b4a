"""Multilayer perceptrons."""

from collections.abc import Sequence

from torch import Tensor, nn

from poise.errors import InvalidValueError, did_you_mean
from poise.nn.dropout import Dropout

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "identity": nn.Identity,
    "leaky_relu": nn.LeakyReLU,
    "mish": nn.Mish,
    "relu": nn.ReLU,
    "selu": nn.SELU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
}
_ALIASES = {"lrelu": "leaky_relu", "crelu": "relu"}
"""Names that older code has."""


def get_activation_Cls(name: str) -> type[nn.Module]:  # noqa: N802  (the zoo's published name)
    """The activation's class by its name, e.g. 'leaky_relu'; capitals as in `torch.nn.LeakyReLU` are accepted.

    Raises:
        InvalidValueError: the name is unknown.
    """
    classes = {cls.__name__.lower(): name for name, cls in _ACTIVATIONS.items()}
    known = (_ALIASES | classes | {name: name for name in _ACTIVATIONS}).get(name.lower())
    if known is None:
        choices = ", ".join(_ACTIVATIONS)
        raise InvalidValueError(f"unknown activation '{name}'{did_you_mean(name, _ACTIVATIONS)} Known: {choices}")
    return _ACTIVATIONS[known]


class MlpModel(nn.Module):
    """Hidden layers with a nonlinearity, and a linear output layer unless `output_size` is None.

    Args:
        input_size: width of the input.
        hidden_sizes: widths of the hidden layers; an int for one, None or empty for none.
        output_size: width of the output; None ends with the last hidden layer and its nonlinearity.
        nonlinearity: name of an activation or its class.
        dropout: share of hidden numbers that are left out while it learns.
    """

    def __init__(
        self,
        input_size: int,
        hidden_sizes: Sequence[int] | int | None,
        output_size: int | None = None,
        nonlinearity: str | type[nn.Module] = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        hidden = [hidden_sizes] if isinstance(hidden_sizes, int) else list(hidden_sizes or [])
        activation = get_activation_Cls(nonlinearity) if isinstance(nonlinearity, str) else nonlinearity
        layers: list[nn.Module] = []
        width = input_size
        for size in hidden:
            layers += [nn.Linear(width, size), activation(), *([Dropout(dropout)] if dropout else [])]
            width = size
        if output_size is not None:
            layers.append(nn.Linear(width, output_size))
            width = output_size
        self.model = nn.Sequential(*layers)
        self._output_size = width

    @property
    def output_size(self) -> int:
        """Width of the output."""
        return self._output_size

    def forward(self, input: Tensor) -> Tensor:
        """(..., input_size) to (..., output_size)."""
        output: Tensor = self.model(input)
        return output


def orthogonal_(module: nn.Module, gain: float, last_gain: float) -> None:
    """Orthogonal weights and zero biases for every linear layer, the last with a gain of its own."""
    linears = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    for layer in linears:
        nn.init.orthogonal_(layer.weight, last_gain if layer is linears[-1] else gain)
        nn.init.zeros_(layer.bias)
