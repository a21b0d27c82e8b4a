"""Running statistics that bring inputs and targets to a common scale."""

import torch
from torch import Tensor, nn


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
        normalized = (x - self.mean) / (self.std + self.eps)
        return normalized if self.clip is None else normalized.clamp(-self.clip, self.clip)

    @torch.no_grad()
    def update(self, x: Tensor) -> None:
        """Take in samples (..., *shape) (Chan, Golub and LeVeque, 1979: moments of two sets combined)."""
        if self.until is not None and self.count >= self.until:
            return
        samples = x.reshape(-1, *self.mean.shape)
        if not len(samples):
            return
        mean, var = samples.mean(dim=0), samples.var(dim=0, correction=0)
        total = self.count + len(samples)
        share = (len(samples) / total).to(self.mean.dtype)
        gap = mean - self.mean
        self.mean += share * gap
        self.var += share * (var - self.var + (1.0 - share) * gap * gap)
        self.count.copy_(total)

    def inverse(self, y: Tensor) -> Tensor:
        """Undo `forward`, but for the clipping."""
        return y * (self.std + self.eps) + self.mean
