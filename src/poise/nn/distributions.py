"""Distributions of actions: the head of an actor, with what the losses need."""

import math
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poise.errors import InvalidValueError
from poise.nn.settings import MAX_STD

_LOG_TWO_PI = math.log(2.0 * math.pi)


class ActionDistribution(Protocol):
    """A batch of distributions; `log_prob` and `entropy` are summed over the components of an action."""

    @property
    def mode(self) -> Tensor: ...
    def sample(self) -> Tensor: ...
    def log_prob(self, actions: Tensor) -> Tensor: ...
    def entropy(self) -> Tensor: ...
    def kl_from(self, other: Tensor) -> Tensor: ...
    @property
    def parameters(self) -> Tensor: ...


class DiagonalGaussian:
    """Independent normal distributions.

    Args:
        mean: (..., A).
        log_std: (A,) or (..., A).
    """

    def __init__(self, mean: Tensor, log_std: Tensor) -> None:
        self.mean = mean
        self.log_std = log_std.expand_as(mean)

    @property
    def mode(self) -> Tensor:
        """(..., A) the most likely actions."""
        return self.mean

    @property
    def std(self) -> Tensor:
        """(..., A)."""
        return self.log_std.exp()

    @property
    def parameters(self) -> Tensor:
        """(..., 2 A) mean and log-std, as `kl_from` takes them."""
        return torch.cat([self.mean, self.log_std], dim=-1)

    def sample(self, noise: Tensor | None = None) -> Tensor:
        """(..., A), without gradient; `noise` (..., A) is standard normal, and drawn here if it is not given."""
        with torch.no_grad():
            return self.mean + self.std * (torch.randn_like(self.mean) if noise is None else noise)

    def log_prob(self, actions: Tensor) -> Tensor:
        """(...) log density of actions (..., A): -(z² + log 2 pi)/2 - log sigma, summed over components.

        Raises:
            InvalidValueError: there is not one action for each distribution.
        """
        _check_shape(actions, self.mean.shape)
        z = (actions - self.mean) * torch.exp(-self.log_std)
        return (-0.5 * (z * z + _LOG_TWO_PI) - self.log_std).sum(-1)

    def entropy(self) -> Tensor:
        """(...) sum over components of (1 + log 2 pi)/2 + log sigma."""
        return (0.5 * (1.0 + _LOG_TWO_PI) + self.log_std).sum(-1)

    def kl_from(self, other: Tensor) -> Tensor:
        """(...) KL(other || self) in closed form, `other` being the `parameters` of another such distribution."""
        mean, log_std = other.chunk(2, dim=-1)
        variance_ratio = torch.exp(2.0 * (log_std - self.log_std))
        shift = (self.mean - mean) * torch.exp(-self.log_std)
        return (self.log_std - log_std + 0.5 * (variance_ratio + shift * shift - 1.0)).sum(-1)


class Categorical:
    """A choice among n actions.

    Args:
        logits: (..., n), of any scale.
        start: number of the first action.
    """

    def __init__(self, logits: Tensor, start: int = 0) -> None:
        self.log_probs = F.log_softmax(logits, dim=-1)
        self._start = start

    @property
    def mode(self) -> Tensor:
        """(...) int64, the most likely action."""
        return self.log_probs.argmax(dim=-1) + self._start

    @property
    def parameters(self) -> Tensor:
        """(..., n) log probabilities, as `kl_from` takes them."""
        return self.log_probs

    def sample(self) -> Tensor:
        """(...) int64."""
        flat = self.log_probs.detach().exp().reshape(-1, self.log_probs.shape[-1])
        return torch.multinomial(flat, 1).reshape(self.log_probs.shape[:-1]) + self._start

    def log_prob(self, actions: Tensor) -> Tensor:
        """(...) log probability of actions (...).

        Raises:
            InvalidValueError: there is not one action for each distribution.
        """
        _check_shape(actions, self.log_probs.shape[:-1])
        return self.log_probs.gather(-1, (actions.long() - self._start).unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Tensor:
        """(...) -sum p log p."""
        return -(self.log_probs.exp() * self.log_probs).sum(-1)

    def kl_from(self, other: Tensor) -> Tensor:
        """(...) KL(other || self)."""
        return (other.exp() * (other - self.log_probs)).sum(-1)


def _check_shape(actions: Tensor, expected: torch.Size) -> None:
    """Others would be broadcast, and judged as actions that nobody took."""
    if actions.shape != expected:
        raise InvalidValueError(f"actions must be of shape {tuple(expected)}, got {tuple(actions.shape)}")


class GaussianHead(nn.Module):
    """Means from the network, one learned log-std for each component of the action.

    Args:
        num_actions: components of an action.
        init_std: initial standard deviation.
        min_std, max_std: bounds, applied at every use.

    Raises:
        InvalidValueError: it begins outside the bounds, where it would never change.
    """

    def __init__(
        self, num_actions: int, init_std: float = 1.0, min_std: float = 1e-3, max_std: float = MAX_STD
    ) -> None:
        super().__init__()
        if not min_std <= init_std <= max_std:
            raise InvalidValueError(
                f"init_std must be from min_std to {max_std:g}, got {init_std:g}, min_std {min_std:g}"
            )
        self.log_std = nn.Parameter(torch.full((num_actions,), math.log(init_std)))
        self._bounds = math.log(min_std), math.log(max_std)

    def forward(self, output: Tensor) -> DiagonalGaussian:
        """(..., A) means to distributions."""
        return DiagonalGaussian(output, self.log_std.clamp(*self._bounds))

    @torch.no_grad()
    def limit_std(self, max_std: float) -> None:
        """Lower the standard deviations that exceed `max_std`, which may rise again in training."""
        self.log_std.clamp_(max=math.log(max_std))


class CategoricalHead(nn.Module):
    """Logits from the network.

    Args:
        start: number of the first action.
    """

    def __init__(self, start: int = 0) -> None:
        super().__init__()
        self._start = start

    def forward(self, output: Tensor) -> Categorical:
        """(..., n) logits to distributions."""
        return Categorical(output, self._start)
