"""Weights by name, and whose they can be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn


def first_difference(state: Mapping[str, Any], network: nn.Module) -> str | None:
    """What is wrong with the first of these weights that a network cannot have; None if it can have all."""
    own = network.state_dict()
    for name in [*own, *state]:
        if name not in state:
            return f"'{name}' is missing"
        if name not in own:
            return f"'{name}' is not expected"
        found, expected = tuple(state[name].shape), tuple(own[name].shape)
        if found != expected:
            return f"'{name}' has shape {found}, expected {expected}"
    return None
