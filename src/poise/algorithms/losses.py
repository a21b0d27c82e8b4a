"""Losses of on-policy algorithms, as pure functions."""

import torch
from torch import Tensor


def clipped_surrogate_loss(log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    """PPO's objective, negated (Schulman et al., arXiv 1707.06347, equation 7).

        L = -E[min(rho A, clip(rho, 1 - eps, 1 + eps) A)],   rho = exp(log pi - log pi_old)

    Args:
        log_probs, old_log_probs, advantages: (B,).
        clip_range: eps.
    """
    ratio = torch.exp(log_probs - old_log_probs)
    clipped = ratio.clamp(1.0 - clip_range, 1.0 + clip_range)
    return -torch.min(ratio * advantages, clipped * advantages).mean()


def decoupled_surrogate_loss(
    log_probs: Tensor, proximal_log_probs: Tensor, behavior_log_probs: Tensor, advantages: Tensor, clip_range: float
) -> Tensor:
    """PPO's objective, staying close to another policy than the one that acted (arXiv 2110.00641, equation 4).

        L = -E[min(pi / pi_b A, pi_prox / pi_b clip(pi / pi_prox, 1 - eps, 1 + eps) A)]

    It equals `clipped_surrogate_loss` where both are the same policy.

    Args:
        log_probs, proximal_log_probs, behavior_log_probs, advantages: (B,).
        clip_range: eps.
    """
    ratio = torch.exp(log_probs - behavior_log_probs)
    clipped = torch.exp(log_probs - proximal_log_probs).clamp(1.0 - clip_range, 1.0 + clip_range)
    clipped = clipped * torch.exp(proximal_log_probs - behavior_log_probs)
    return -torch.min(ratio * advantages, clipped * advantages).mean()


def value_loss(values: Tensor, old_values: Tensor, returns: Tensor, clip_range: float | None) -> Tensor:
    """Mean squared error of the values, optionally with changes beyond `clip_range` not rewarded.

        L = E[(V - R)²],  or  E[max((V - R)², (V_old + clip(V - V_old, -eps, eps) - R)²)]

    Args:
        values, old_values, returns: (B,).
        clip_range: eps in the values' units; None for no clipping.
    """
    error = (values - returns).square()
    if clip_range is None:
        return error.mean()
    clipped = old_values + (values - old_values).clamp(-clip_range, clip_range)
    return torch.max(error, (clipped - returns).square()).mean()


def approximate_kl(log_probs: Tensor, old_log_probs: Tensor) -> Tensor:
    """Estimate of KL(pi_old || pi) from samples of pi_old: E[rho - 1 - log rho].

    J. Schulman, "Approximating KL divergence", 2020; never negative, and of low variance.

    Args:
        log_probs, old_log_probs: (B,).
    """
    log_ratio = log_probs - old_log_probs
    return (torch.exp(log_ratio) - 1.0 - log_ratio).mean()


def explained_variance(values: Tensor, returns: Tensor) -> float:
    """1 - Var[R - V] / Var[R]: 1 for a perfect critic, 0 for a constant one; not a number where returns do not vary."""
    variance = returns.var()
    return float("nan") if variance == 0 else float(1.0 - (returns - values).var() / variance)
