"""What configurations of networks share: names of nonlinearities and widths of layers, checked."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field
from torch import nn

from poise.nn.mlp import get_activation_Cls

LARGEST_WIDTH = 65536
MAX_STD = 10.0
"""Largest standard deviation of actions, whatever a network learns."""


def _known(name: str) -> str:
    get_activation_Cls(name)
    return name


def _possible(sizes: tuple[int, ...]) -> tuple[int, ...]:
    if any(not 1 <= size <= LARGEST_WIDTH for size in sizes):
        raise ValueError(f"must be positive and at most {LARGEST_WIDTH}, got {list(sizes)}")
    return sizes


def check_convolutions(channels: Sequence[int], kernel_sizes: Sequence[int], strides: Sequence[int]) -> None:
    """Settings of convolutions, one after another, that go together.

    Raises:
        ValueError: they do not.
    """
    lengths = [len(values) for values in (channels, kernel_sizes, strides)]
    if len(set(lengths)) > 1:
        raise ValueError(
            "channels, kernel_sizes and strides must have an entry for each convolution, got "
            f"{lengths[0]}, {lengths[1]} and {lengths[2]} of them"
        )


def can_name_network(name: str) -> bool:
    """Whether torch can keep a network by this name among others; it reserves some words, and dots."""
    return "." not in name and not hasattr(nn.ModuleDict(), name)


Activation = Annotated[str, AfterValidator(_known)]
"""The name of a nonlinearity."""

Width = Annotated[int, Field(ge=1, le=LARGEST_WIDTH)]
"""Of a layer."""

Widths = Annotated[tuple[int, ...], AfterValidator(_possible)]
"""Of layers, one after another."""
