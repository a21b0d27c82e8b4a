"""Trajectories within a rollout: cut where episodes start, padded side by side, and put back."""

import torch
from torch import Tensor


class Trajectories:
    """The pieces of episodes that a stretch of T steps of N environments holds, M of them, L steps long at most.

        starts (T, N)          padded (L, M)
        A . . B .              A  B  C  D
        C . D . .      <-->    A  B  C  D
                               A  .  .  D          . is 0, and False in `masks`

    Args:
        starts: (T, N) bool, an episode starts with this step. The first row's tell who begins afresh there; a piece
            begins there in any case.

    Attributes:
        masks: (L, M) bool, where the padded steps are real.
    """

    def __init__(self, starts: Tensor) -> None:
        num_steps, num_envs = starts.shape
        begins = starts.bool().clone()
        begins[0] = True
        by_env = begins.t().reshape(-1)  # each environment's steps in a row
        self._piece = by_env.cumsum(0) - 1
        steps = torch.arange(num_steps, device=starts.device).repeat(num_envs)
        self._offset = steps - steps[by_env][self._piece]
        self._shape = num_steps, num_envs
        self._env = torch.arange(num_envs, device=starts.device).repeat_interleave(begins.sum(0))
        self._continues = (steps[by_env] == 0) & ~starts[0].bool()[self._env]
        lengths = torch.bincount(self._piece)
        self.masks = torch.arange(int(lengths.max()), device=starts.device)[:, None] < lengths

    def pad(self, values: Tensor) -> Tensor:
        """(T, N, ...) to (L, M, ...), zero where nothing is."""
        padded = values.new_zeros(*self.masks.shape, *values.shape[2:])
        padded[self._offset, self._piece] = values.transpose(0, 1).flatten(0, 1)
        return padded

    def unpad(self, padded: Tensor) -> Tensor:
        """(L, M, ...) to (T, N, ...)."""
        num_steps, num_envs = self._shape
        return padded[self._offset, self._piece].unflatten(0, (num_envs, num_steps)).transpose(0, 1)

    def states_before(self, states: Tensor) -> Tensor:
        """(K, N, H) of the environments before the stretch to (K, M, H) of the pieces: zero for new episodes."""
        return states[:, self._env].masked_fill(~self._continues[:, None], 0.0)
