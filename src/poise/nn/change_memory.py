"""Memory of signals that change little from one step to the next."""

from typing import Literal

import torch
from torch import Tensor, nn

from poise.nn.memory import Memory, States
from poise.nn.normalization import EmpiricalNormalization


class ChangeMemory(nn.Module):
    """A `Memory` that reads, beside its input, what changed since the step before, and lets both past it.

        features ─┬────────────────────┬─► memory ──┬─► outputs
                  └─► changes, scaled ─┴────────────┘

    What robots sense changes little between two looks: the tilt of a ballbot by a twentieth of its standard deviation
    in 20 ms, and that is what balancing needs. A recurrent network would have to learn to magnify it. Here each change
    is brought to unit scale by running statistics (`count`), and there is none at the first step of an episode.

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
        inputs = self._inputs(features, states["known"][0] * (features - states["previous"][0]))
        outputs, after = self.memory.step(inputs, states)
        after |= {"previous": features[None], "known": torch.ones_like(states["known"])}
        return torch.cat([outputs, inputs], -1), after

    def sequence(self, features: Tensor, states: States, starts: Tensor) -> Tensor:
        """Many steps at once, as `step` would make them one by one: (T, N, F) to (T, N, H + 2 F).

        Args:
            features: of T steps.
            states: before the first of them.
            starts: (T, N) bool, an episode starts with this step, with nothing remembered.
        """
        inputs = self._inputs(features, _changes(features, states, starts))
        return torch.cat([self.memory.sequence(inputs, states, starts), inputs], -1)

    @torch.no_grad()
    def count(self, features: Tensor, states: States, starts: Tensor) -> None:
        """Take the changes of a sequence into the statistics; never between acting and learning from it."""
        self.normalizer.update(_changes(features, states, starts)[1:][~starts[1:]])

    def _inputs(self, features: Tensor, changes: Tensor) -> Tensor:
        return torch.cat([features, self.normalizer(changes)], -1)


def _changes(features: Tensor, states: States, starts: Tensor) -> Tensor:
    """(T, N, F) since the step before, 0 where there was none."""
    before = torch.cat([states["previous"], features[:-1]])
    known = torch.cat([states["known"], torch.ones_like(features[1:, :, :1])])
    return known * ~starts[..., None] * (features - before)
