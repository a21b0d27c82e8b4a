"""Losses of behavioural cloning, as pure functions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from poise.imitation import spherical


def huber(differences: Tensor, delta: float = 1.0) -> Tensor:
    """Of each number: x^2 / (2 delta) up to delta, |x| - delta / 2 beyond (Huber, 1964, divided by delta).

    Its minimum over several answers to one question is their mean if they are within delta of each other, and close
    to their median if not.
    """
    return smooth_l1_loss(differences, torch.zeros_like(differences), reduction="none", beta=delta)


def magnitude_weights(actions: Tensor) -> Tensor:
    """(..., 1) for actions (..., A): w = 1 + 2 |a|, so that large movements count for more."""
    return 1.0 + 2.0 * actions.norm(dim=-1, keepdim=True)


def cloning_loss(
    outputs: Tensor,
    actions: Tensor,
    counts: Tensor | None = None,
    *,
    weights: Tensor | float = 1.0,
    delta: float = 1.0,
    is_spherical: bool = False,
) -> Tensor:
    """How far outputs are from an expert's actions: the mean of w huber(difference), by how much each counts.

    Args:
        outputs: of a network: (..., A) actions, or (..., 4) what `spherical.read` reads.
        actions: (..., A) the expert's.
        counts: (...) how much each of them counts, nothing if it is padding; all alike by default.
        weights: (..., 1) w, such as `magnitude_weights`; 1 by default.
        delta: of `huber`.
        is_spherical: in which coordinates.
    """
    if is_spherical:
        found, shares = spherical.differences(outputs, actions)
    else:
        found, shares = outputs - actions, torch.ones_like(actions)
    if counts is not None:
        shares = shares * counts.unsqueeze(-1)
    return (weights * huber(found, delta) * shares).sum() / shares.sum().clamp(min=torch.finfo(shares.dtype).tiny)
