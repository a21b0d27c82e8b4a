"""Generalised advantage estimation."""

import torch
from torch import Tensor


def generalized_advantage_estimation(
    rewards: Tensor,
    values: Tensor,
    last_values: Tensor,
    dones: Tensor,
    bootstraps: Tensor,
    gamma: float,
    gae_lambda: float,
) -> tuple[Tensor, Tensor]:
    """Advantages and returns of a rollout (Schulman et al., arXiv 1506.02438, equation 16).

        delta_t = r_t + gamma V(s_{t+1}) - V(s_t)
        A_t = delta_t + gamma lambda A_{t+1},   R_t = A_t + V(s_t)

    An episode's end stops the trace, whichever way it ended. V(s_{t+1}) is then 0 after termination, and the value of
    the *final* observation, not of the next episode's first, after truncation: that is what `bootstraps` holds.

    Args:
        rewards, values: (T, N).
        last_values: (N,) values of the observations after the last step.
        dones: (T, N) bool, the episode ended with this step.
        bootstraps: (T, N) value of the final observation where truncated, 0 where terminated; read only where `dones`.
        gamma: discount factor.
        gae_lambda: 0 for one-step advantages, 1 for Monte Carlo.

    Returns:
        advantages, returns: (T, N) each.
    """
    advantages = torch.zeros_like(rewards)
    running = torch.zeros_like(last_values)
    next_values = last_values
    for t in reversed(range(len(rewards))):
        delta = rewards[t] + gamma * torch.where(dones[t], bootstraps[t], next_values) - values[t]
        running = delta + gamma * gae_lambda * torch.where(dones[t], torch.zeros_like(running), running)
        advantages[t] = running
        next_values = values[t]
    return advantages, advantages + values
