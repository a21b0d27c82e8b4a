"""Memory of signals that change little from one step to the next."""

from typing import Literal

import torch
from torch import Tensor, nn

from poise.nn.memory import Memory, States, checked_starts
from poise.nn.normalization import EmpiricalNormalization


class ChangeMemory(nn.Module):
    """Around a `Memory` that reads, beside its input, what changed since the step before: both go past it, too.

        features ─┬────────────────────┬─► memory ──┬─► outputs, features, changes
                  └─► changes, scaled ─┴────────────┘

    Where looks follow each other closely, changes are small beside the signals, and a recurrent network would have to
    learn to magnify them. Here they come at unit scale, by running statistics (`calibrate`; as they are until then). At
    the first step of an episode there is none.

    Args:
        input_size: F.
        type, num_layers, hidden_size: of the memory (H).

    Attributes:
        output_size: H + 2 F.
    """

    def __init__(
        self, input_size: int, type: Literal["lstm", "gru"] = "lstm", num_layers: int = 1, hidden_size: int = 256
    ) -> None:
        super().__init__()
        self.memory = Memory(2 * input_size, type, num_layers, hidden_size)
        self.normalizer = EmpiricalNormalization(input_size, eps=1e-3, clip=10.0)
        self.state_names = (*self.memory.state_names, "previous", "known")
        self.output_size = hidden_size + 2 * input_size

    def initial_states(self, num_envs: int) -> dict[str, Tensor]:
        """Nothing remembered: the memory's states, `previous` (1, N, F) features, and whether there are, (1, N, 1)."""
        mean = self.normalizer.mean
        previous = {"previous": mean.new_zeros(1, num_envs, len(mean)), "known": mean.new_zeros(1, num_envs, 1)}
        return self.memory.initial_states(num_envs) | previous

    def step(self, features: Tensor, states: States) -> tuple[Tensor, dict[str, Tensor]]:
        """One step: features (N, F) to outputs (N, H + 2 F) and the states after it."""
        inputs = self._inputs(features, states["previous"][0], states["known"][0])
        outputs, after = self.memory.step(inputs, states)
        after |= {"previous": features[None], "known": torch.ones_like(states["known"])}
        return torch.cat([outputs, inputs], -1), after

    def sequence(self, features: Tensor, states: States, starts: Tensor) -> Tensor:
        """Many steps at once, as `step` would make them one by one: (T, N, F) to (T, N, H + 2 F).

        Args:
            features: of T steps.
            states: before the first of them.
            starts: (T, N) truth values, an episode starts with this step, with nothing remembered.

        Raises:
            InvalidValueError: `starts` is anything else.
        """
        inputs = self._inputs(features, *_before(features, states, starts))
        return torch.cat([self.memory.sequence(inputs, states, starts), inputs], -1)

    @torch.no_grad()
    def calibrate(self, features: Tensor, states: States, starts: Tensor) -> None:
        """Take the changes of a sequence into the statistics; never between acting and learning from it."""
        previous, known = _before(features, states, starts)
        self.normalizer.update((features - previous)[known.squeeze(-1).bool()])

    def _inputs(self, features: Tensor, previous: Tensor, known: Tensor) -> Tensor:
        return torch.cat([features, known * self.normalizer(features - previous)], -1)


def _before(features: Tensor, states: States, starts: Tensor) -> tuple[Tensor, Tensor]:
    """(T, N, F) features of the steps before, and whether there are, (T, N, 1)."""
    previous = torch.cat([states["previous"], features[:-1]])
    known = torch.cat([states["known"], torch.ones_like(features[1:, :, :1])])
    fresh = checked_starts(starts, features)[..., None]  # whatever was remembered then, were it no number
    return previous.masked_fill(fresh, 0.0), known.masked_fill(fresh, 0.0)


AnyMemory = Memory | ChangeMemory
"""What `step` and `sequence` understand each other with."""
