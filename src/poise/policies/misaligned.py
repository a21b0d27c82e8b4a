"""Weights of a policy for one that sees other components, or the same in another order."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from poise.errors import InvalidValueError
from poise.fusion import ObsSegments


class Realignment(NamedTuple):
    """What became of the components that a network reads, by name of its first layer's weights."""

    matched: dict[str, list[str]]
    """Those whose weights were taken over."""
    added: dict[str, list[str]]
    """Those that are new: their weights are 0, so that at first they change nothing."""
    dropped: dict[str, list[str]]
    """Those that are gone, or have another shape."""


def realign_columns(weights: Tensor, old: ObsSegments, new: ObsSegments, fill: float = 0.0) -> Tensor:
    """(..., old.size) to (..., new.size): each component's columns where they lie now, `fill` where there are none."""
    result = torch.full((*weights.shape[:-1], new.size), fill, dtype=weights.dtype)
    for name in matching(old, new):
        result[..., new.slice(name)] = weights[..., old.slice(name)]
    return result


def matching(old: ObsSegments, new: ObsSegments) -> list[str]:
    """Components of the same name and shape."""
    return [name for name, shape in new.shapes.items() if old.shapes.get(name) == shape]


def realign(
    state: Mapping[str, Tensor], layers: Mapping[str, tuple[ObsSegments, ObsSegments]]
) -> tuple[dict[str, Tensor], Realignment]:
    """A state dict whose first layers read components where they lie now.

    Args:
        state: of the old policy.
        layers: the old and the new layout of each tensor that has a column for each number of the observation.

    Raises:
        InvalidValueError: such a tensor is missing, or has not as many columns as its old layout.
    """
    result, report = dict(state), Realignment({}, {}, {})
    for name, (old, new) in layers.items():
        columns = state[name].shape[-1] if name in state else "no"
        if columns != old.size:
            raise InvalidValueError(
                f"{name} has {columns} columns, but the components {', '.join(old.shapes)} have {old.size}; "
                "give the obs_segments that the weights were made with"
            )
        result[name] = realign_columns(state[name], old, new, fill=_fill(name, state[name]))
        kept = matching(old, new)
        report.matched[name] = kept
        report.added[name] = [component for component in new.shapes if component not in kept]
        report.dropped[name] = [component for component in old.shapes if component not in kept]
    return result, report


def _fill(name: str, tensor: Tensor) -> float:
    """What stands for a new component: a variance as the others', and nothing else."""
    return float(tensor.mean()) if name.endswith("normalizer.var") else 0.0


class Realignable(nn.Module):
    """A policy that can take over weights from one that saw other components."""

    segments: Mapping[str, ObsSegments]
    """Components of the actor and of the critic, as they are ..."""
    transformed: Mapping[str, ObsSegments]
    """... and as their networks read them."""

    def input_layers(
        self, segments: Mapping[str, ObsSegments], transformed: Mapping[str, ObsSegments]
    ) -> dict[str, ObsSegments]:
        """Tensors of the state dict with a column for each number of these components."""
        raise NotImplementedError

    def as_transformed(self, segments: Mapping[str, ObsSegments]) -> dict[str, ObsSegments]:
        """Other components as the networks would read them."""
        raise NotImplementedError

    def check_seen(self, seen: Mapping[str, ObsSegments]) -> None:
        """Refuse weights of a policy whose actor and critic saw these components, if they cannot be taken over."""

    def load_misaligned_state_dict(
        self,
        state: Mapping[str, Tensor],
        obs_segments: Mapping[str, tuple[int, ...]],
        critic_obs_segments: Mapping[str, tuple[int, ...]] | None = None,
    ) -> Realignment:
        """Load weights of such a policy that saw other components, or the same in another order.

        Args:
            state: its state dict.
            obs_segments, critic_obs_segments: components that its actor and its critic saw; the same by default.

        Raises:
            InvalidValueError: the weights do not fit those components, or belong to another architecture.
        """
        seen = {"actor": ObsSegments(obs_segments), "critic": ObsSegments(critic_obs_segments or obs_segments)}
        self.check_seen(seen)
        now = self.input_layers(self.segments, self.transformed)
        before = self.input_layers(seen, self.as_transformed(seen))
        aligned, report = realign(state, {name: (before[name], now[name]) for name in now})
        own = {name: value.clone() for name, value in self.state_dict().items()}
        try:
            self.load_state_dict(aligned)
        except RuntimeError as error:
            self.load_state_dict(own)  # torch has loaded what fitted by then
            detail = " ".join(str(error).split())
            raise InvalidValueError(f"the weights belong to another architecture: {detail}") from error
        return report
