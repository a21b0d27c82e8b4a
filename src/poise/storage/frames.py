"""Images of a rollout, each held once for all the steps that it lasts."""

import torch

from poise.nn.frames import Frames


class FrameColumn:
    """Images (T, N, *shape) of T steps of N environments.

    Memory is allocated as images come, and used again by the next rollout.
    """

    def __init__(self, num_steps: int, first: Frames) -> None:
        self._index = torch.zeros(num_steps, len(first), dtype=torch.int64, device=first.device)
        self._images = first.images.new_empty(0, *first.images.shape[1:])
        self._count = 0
        self._latest = torch.zeros(len(first), dtype=torch.int64, device=first.device)

    def __setitem__(self, step: int, frames: Frames) -> None:
        """Store a step; the first of a rollout forgets the rollout before."""
        if step == 0:
            self._count = 0
        fresh = frames.fresh
        if step == 0 or fresh is None:
            fresh = torch.ones_like(self._latest, dtype=torch.bool)
        new = int(fresh.sum())
        self._make_room(self._count + new)
        self._images[self._count : self._count + new] = frames.images[fresh]
        self._latest[fresh] = torch.arange(self._count, self._count + new, device=self._latest.device)
        self._count += new
        self._index[step] = self._latest

    @property
    def frames(self) -> Frames:
        """(T, N, *shape); views of what is held here."""
        return Frames(self._images[: self._count], self._index)

    @property
    def nbytes(self) -> int:
        """Of the memory held."""
        return self._images.nbytes + self._index.nbytes

    def _make_room(self, count: int) -> None:
        """For so many images; a little more, so that it need not be done at each step."""
        if count > len(self._images):
            larger = self._images.new_empty(count + count // 8, *self._images.shape[1:])
            larger[: self._count] = self._images[: self._count]
            self._images = larger
