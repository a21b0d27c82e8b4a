"""What configurations of networks share: names of nonlinearities and widths of layers, checked."""

from typing import Annotated

from pydantic import AfterValidator, Field
from torch import nn

from poise.nn.mlp import get_activation_Cls

LARGEST_WIDTH = 65536


def _known(name: str) -> str:
    get_activation_Cls(name)
    return name


def _possible(sizes: tuple[int, ...]) -> tuple[int, ...]:
    if any(not 1 <= size <= LARGEST_WIDTH for size in sizes):
        raise ValueError(f"must be positive widths of at most {LARGEST_WIDTH}, got {list(sizes)}")
    return sizes


def can_name_network(name: str) -> bool:
    """Whether torch can keep a network by this name among others; it reserves some words, and dots."""
    return "." not in name and not hasattr(nn.ModuleDict(), name)


Activation = Annotated[str, AfterValidator(_known)]
"""The name of a nonlinearity."""

Width = Annotated[int, Field(ge=1, le=LARGEST_WIDTH)]
"""Of a layer."""

Widths = Annotated[tuple[int, ...], AfterValidator(_possible)]
"""Of layers, one after another."""
