"""Actions of three numbers as a length and a direction, and what a network says of them.

    length m = |a| in [0, sqrt(3)],    elevation theta = arccos(z / m) in [0, pi] from +z,    azimuth phi = atan2(y, x)

A network gives four numbers: one for the length and one for the elevation, each through a sigmoid over its whole range,
and two for the azimuth, whose direction in the plane it is: so that it can turn all the way round, and need not jump
from pi to -pi. Elevation says nothing where the length is zero, azimuth where the action has no horizontal part.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

LONGEST = math.sqrt(3.0)
"""Length of an action whose numbers are all 1."""
OUTPUTS = 4
"""Numbers that a network gives for an action."""
_NOTHING = 1e-3
"""Lengths below which a direction means nothing."""


class Spherical(NamedTuple):
    """Actions (...), by their length, elevation and azimuth; angles in rad."""

    length: Tensor
    elevation: Tensor
    azimuth: Tensor


def to_spherical(actions: Tensor) -> Spherical:
    """(..., 3) to three tensors (...); angles that mean nothing are 0."""
    length = actions.norm(dim=-1)
    flat = actions[..., :2].norm(dim=-1)
    return Spherical(length, torch.atan2(flat, actions[..., 2]), torch.atan2(actions[..., 1], actions[..., 0]))


def to_cartesian(action: Spherical) -> Tensor:
    """(..., 3) m (sin theta cos phi, sin theta sin phi, cos theta)."""
    flat = action.length * action.elevation.sin()
    return torch.stack(
        [flat * action.azimuth.cos(), flat * action.azimuth.sin(), action.length * action.elevation.cos()], dim=-1
    )


def read(outputs: Tensor) -> Spherical:
    """What a network's outputs (..., 4) say; any length and any direction can be said."""
    length = LONGEST * outputs[..., 0].sigmoid()
    elevation = math.pi * outputs[..., 1].sigmoid()
    return Spherical(length, elevation, torch.atan2(outputs[..., 3], outputs[..., 2]))


def differences(outputs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
    """How far outputs (..., 4) are from actions (..., 3): length, elevation, cosine and sine of the azimuth.

    Returns:
        (..., 4) differences, and which of them (..., 4) mean something, 1 or 0.
    """
    said, truth = read(outputs), to_spherical(actions)
    around = torch.nn.functional.normalize(outputs[..., 2:], dim=-1)
    found = torch.stack(
        [
            said.length - truth.length,
            said.elevation - truth.elevation,
            around[..., 0] - truth.azimuth.cos(),
            around[..., 1] - truth.azimuth.sin(),
        ],
        dim=-1,
    )
    long, wide = truth.length > _NOTHING, actions[..., :2].norm(dim=-1) > _NOTHING
    return found, torch.stack([torch.ones_like(long), long, wide, wide], dim=-1).to(found)
