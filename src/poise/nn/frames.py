"""Images that several samples see, held once and encoded once.

samples    0 1 2 3 4 5
index      0 0 0 1 1 1        which image each sees
images     ▣     ▣            ─► network ─► once for each image ─► (index) ─► what each sample gets

A camera takes a new image every few steps, and every step of a rollout is a sample.
"""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

Network = Callable[[Tensor], Tensor]
"""A module, or something hashable with `buffers()`, that treats each image by itself."""


class Frames:
    """A component (..., *shape) of an observation as its images (U, *shape), and which of them each sample sees.

    Args:
        images: (U, *shape).
        index: (...,) int64.
        fresh: (U,) bool, which images were not there a step before; None where there is no step before.
        memo: knows what networks made of the images of a step before.
        networks: through which the images go, one after another, when somebody asks for the tensor.
    """

    def __init__(
        self,
        images: Tensor,
        index: Tensor,
        fresh: Tensor | None = None,
        memo: "Memo | None" = None,
        networks: tuple[Network, ...] = (),
    ) -> None:
        self.images, self.index, self.fresh = images, index, fresh
        self._memo, self._networks = memo, networks
        self._moment = None if memo is None else memo.moment

    @property
    def shape(self) -> torch.Size:
        """(..., *shape) as of the tensor that it stands for; of the images before they go through networks."""
        return torch.Size((*self.index.shape, *self.images.shape[1:]))

    @property
    def device(self) -> torch.device:
        """Of the images."""
        return self.images.device

    def dim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return len(self.index)

    def through(self, network: Network) -> "Frames":
        """These images after another network, which must treat each by itself."""
        other = copy.copy(self)
        other._networks = (*self._networks, network)
        return other

    def tensor(self) -> Tensor:
        """(..., *shape) every sample's image after all networks, worked out once for each image that is seen."""
        memo = self._memo
        if memo is not None and memo.moment == self._moment and self._networks and not torch.is_grad_enabled():
            made, index = memo.recall(self._networks, self.images), self.index
        else:
            seen, index = torch.unique(self.index, return_inverse=True)
            made = _apply(self._networks, self.images if len(seen) == len(self.images) else self.images[seen])
        return made.index_select(0, index.reshape(-1)).unflatten(0, index.shape)

    # --- as a tensor of samples ----------------------------------------------------------------------------------

    def flatten(self, start: int, end: int) -> "Frames":
        """Axes of samples made one."""
        return Frames(self.images, self.index.flatten(start, end), networks=self._networks)

    def index_select(self, axis: int, chosen: Tensor) -> "Frames":
        """Some of the samples."""
        return Frames(self.images, self.index.index_select(axis, chosen), networks=self._networks)

    def narrow(self, axis: int, start: int, length: int) -> "Frames":
        """Samples that follow each other."""
        return Frames(self.images, self.index.narrow(axis, start, length), networks=self._networks)


def encode(component: "Tensor | Frames", network: Network) -> Tensor:
    """(..., *shape) through a network that treats each sample by itself; each image of frames once."""
    return component.through(network).tensor() if isinstance(component, Frames) else network(component)


def dense(component: "Tensor | Frames") -> Tensor:
    """(..., *shape) as a tensor."""
    return component.tensor() if isinstance(component, Frames) else component


class FrameStream:
    """Images of N environments, step by step, to frames whose encodings are remembered while the images last."""

    def __init__(self) -> None:
        self._memo = Memo()
        self._images: Tensor | None = None

    def __call__(self, images: Tensor, fresh: Tensor | None = None) -> Frames:
        """The next images (N, *shape); the tensor must not change afterwards.

        fresh: (N,) bool, which are new; found by comparing them with those before, unless it is known.
        """
        if self._images is None or self._images.shape != images.shape:
            fresh = torch.ones(len(images), dtype=torch.bool)
            self._memo.forget()
        elif fresh is None:
            fresh = torch.ne(images, self._images).flatten(1).any(dim=1)
        self._images = images
        self._memo.advance(fresh)
        return Frames(images, torch.arange(len(images)), fresh, self._memo)

    def forget(self) -> None:
        """Encode everything anew, so that what comes does not depend on what came before in its last digits."""
        self._memo.forget()


class _Known(NamedTuple):
    made: Tensor
    stale: Tensor
    versions: tuple[int, ...]


class Memo:
    """What networks made of the images that N environments show now. Without gradients, which would reach too far."""

    def __init__(self) -> None:
        self.moment = 0
        self._known: dict[tuple[Network, ...], _Known] = {}

    def advance(self, fresh: Tensor) -> None:
        """The next images are there, and these (N,) are new."""
        self.moment += 1
        for known in self._known.values():
            known.stale.logical_or_(fresh)

    def forget(self) -> None:
        """Know nothing."""
        self._known.clear()

    def recall(self, networks: tuple[Network, ...], images: Tensor) -> Tensor:
        """(N, *out) of the images (N, *shape), of which only those are encoded that are not known."""
        known, versions = self._known.get(networks), _versions(networks)
        if known is None or known.versions != versions or len(known.made) != len(images):
            made = _apply(networks, images)
        elif known.stale.any():
            made = known.made
            made[known.stale] = _apply(networks, images[known.stale])
        else:
            return known.made
        self._known[networks] = _Known(made, torch.zeros(len(images), dtype=torch.bool), versions)
        return made


def _apply(networks: tuple[Network, ...], images: Tensor) -> Tensor:
    for network in networks:
        images = network(images)
    return images


def _versions(networks: tuple[Any, ...]) -> tuple[int, ...]:
    """Counts of the changes that weights and statistics have gone through: who has learned sees otherwise."""
    tensors = [t for each in networks for t in each.buffers()]
    tensors += [t for each in networks if isinstance(each, nn.Module) for t in each.parameters()]
    return tuple(t._version for t in tensors)
