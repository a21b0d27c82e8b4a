"""Running statistics that bring inputs and targets to a common scale."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F


def combine_moments(mean: Any, var: Any, other_mean: Any, other_var: Any, share: Any) -> tuple[Any, Any]:
    """Mean and variance of two sets together (Chan, Golub and LeVeque, 1979), arrays or tensors.

    share: of the samples, the others'.
    """
    gap = other_mean - mean
    return mean + share * gap, var + share * (other_var - var + (1.0 - share) * gap * gap)


class EmpiricalNormalization(nn.Module):
    """Shifts and scales by the mean and standard deviation of everything given to `update` so far.

    `forward` never moves the statistics: a policy must see its rollout and its update alike.

    Args:
        shape: of one sample.
        eps: added to the standard deviation.
        until: stop updating after this many samples; None for never.
        clip: bound of the result's magnitude; None for none.
    """

    mean: Tensor
    var: Tensor
    count: Tensor

    def __init__(
        self, shape: int | tuple[int, ...], eps: float = 1e-2, until: int | None = None, clip: float | None = None
    ) -> None:
        super().__init__()
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self.eps = eps
        self.until = until
        self.clip = clip
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("var", torch.ones(shape))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    @property
    def std(self) -> Tensor:
        """Standard deviation of the samples so far, 1 before the first."""
        return torch.sqrt(self.var)

    def forward(self, x: Tensor) -> Tensor:
        """(..., *shape) to the same, normalised."""
        return self._normalized(x, self.mean, self.std)

    def part(self, x: Tensor, numbers: slice, shape: tuple[int, ...]) -> Tensor:
        """(..., *shape) to the same, normalised as these numbers of a vector are."""
        return self._normalized(x, self.mean[numbers].view(shape), self.std[numbers].view(shape))

    def _normalized(self, x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        normalized = (x - mean) / (std + self.eps)
        return normalized if self.clip is None else normalized.clamp(-self.clip, self.clip)

    @torch.no_grad()
    def update(self, x: Tensor) -> None:
        """Take in samples (..., *shape)."""
        samples = x.reshape(-1, *self.mean.shape)
        if len(samples):
            self.update_from_moments(samples.mean(dim=0), samples.var(dim=0, correction=0), len(samples))

    @torch.no_grad()
    def update_from_moments(self, mean: Tensor, var: Tensor, count: int) -> None:
        """Take in `count` samples of which only the mean and variance (*shape) are known."""
        if self.until is not None and self.count >= self.until:
            return
        total = self.count + count
        share = (count / total).to(self.mean.dtype)
        mean, var = combine_moments(self.mean, self.var, mean, var, share)
        self.mean.copy_(mean)
        self.var.copy_(var)
        self.count.copy_(total)

    def inverse(self, y: Tensor) -> Tensor:
        """Undo `forward`, but for the clipping."""
        return y * (self.std + self.eps) + self.mean


class Normalize(nn.Module):
    """Vectors of unit length: x / max(|x|, eps) along the last axis."""

    def forward(self, input: Tensor) -> Tensor:
        """(..., n) to the same."""
        return F.normalize(input, dim=-1)


class RunningMeanStd:
    """Mean and variance of a stream of numpy arrays.

    Args:
        epsilon: how many samples the initial mean 0 and variance 1 count for.
        shape: of one sample.
    """

    def __init__(self, epsilon: float = 1e-4, shape: tuple[int, ...] = ()) -> None:
        self.mean = np.zeros(shape)
        self.var = np.ones(shape)
        self.count = epsilon

    def update(self, arr: NDArray[Any]) -> None:
        """Take in samples (B, *shape)."""
        if len(arr):
            self.update_from_moments(arr.mean(axis=0), arr.var(axis=0), len(arr))

    def update_from_moments(self, batch_mean: NDArray[Any], batch_var: NDArray[Any], batch_count: float) -> None:
        """Take in a batch of which only these are known."""
        self.count += batch_count
        share = batch_count / self.count
        self.mean, self.var = combine_moments(self.mean, self.var, batch_mean, batch_var, share)


class Normalizer(RunningMeanStd):
    """Normalises numpy arrays and tensors by what it has taken in, and clips them.

    Normalising never moves the statistics.

    Args:
        input_dim: shape of one sample.
        epsilon: added to the variance.
        clip_obs: bound of the result's magnitude.
    """

    def __init__(self, input_dim: int | tuple[int, ...], epsilon: float = 1e-4, clip_obs: float = 10.0) -> None:
        super().__init__(shape=(input_dim,) if isinstance(input_dim, int) else input_dim)
        self.epsilon = epsilon
        self.clip_obs = clip_obs

    def normalize(self, input: NDArray[Any]) -> NDArray[Any]:
        """(..., *shape) to the same."""
        scaled: NDArray[Any] = (input - self.mean) / np.sqrt(self.var + self.epsilon)
        return np.clip(scaled, -self.clip_obs, self.clip_obs)

    def normalize_torch(self, input: Tensor, device: torch.device | str | None = None) -> Tensor:
        """(..., *shape) to the same, on its own device or another."""
        input = input if device is None else input.to(device)
        mean, var = (torch.as_tensor(part, dtype=input.dtype, device=input.device) for part in (self.mean, self.var))
        return ((input - mean) / torch.sqrt(var + self.epsilon)).clamp(-self.clip_obs, self.clip_obs)

    def update_normalizer(self, *streams: NDArray[Any]) -> None:
        """Take in raw samples (B, *shape) of several streams, such as a policy's and an expert's, as one."""
        self.update(np.concatenate(streams))
