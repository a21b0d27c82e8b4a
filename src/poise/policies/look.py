"""One look of a policy at observations: what it sees, what it remembers, and what was worked out on the way."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from torch import Tensor

from poise.nn import AnyMemory, ChangeMemory

TensorObservation = Mapping[str, Tensor]
AnyObservation = TensorObservation | Tensor
"""Components by name, or the vector of all."""
HiddenStates = Mapping[str, Tensor]
"""Everything a policy remembers, flat: the memory's name, a dot, the state's name; (L, N, any) each."""


class Sequences(NamedTuple):
    """What makes of T steps of N environments the sequences they were."""

    hidden_states: HiddenStates
    """Before the first step."""
    starts: Tensor
    """(T, N) bool, an episode starts with this step."""


class Look:
    """A single step of N environments, or whole sequences of them.

    Args:
        observation: {name: (N, ...)}, or (T, N, ...) with `starts`.
        states: what is remembered from before; what is missing starts empty.
        starts: (T, N) bool; None for a single step.

    Attributes:
        states: what is remembered after it, for memories that were asked; of a single step only.
    """

    def __init__(self, observation: TensorObservation, states: HiddenStates, starts: Tensor | None = None) -> None:
        self.observation = observation
        self.states = dict(states)
        self._starts = starts
        self._known: dict[str, Tensor] = {}

    def once(self, name: str, work_out: Callable[[], Tensor]) -> Tensor:
        """What several parts of a policy need, worked out for the first of them."""
        if name not in self._known:
            self._known[name] = work_out()
        return self._known[name]

    def knows(self, name: str, value: Tensor) -> None:
        """What `once` is to give, worked out elsewhere."""
        self._known[name] = value

    def remember(self, name: str, memory: AnyMemory, features: Tensor) -> Tensor:
        """Features (..., F) through a memory, (..., memory.output_size)."""
        states = self._states_of(name, memory, features)
        if self._starts is not None:
            return memory.sequence(features, states, self._starts)
        outputs, after = memory.step(features, states)
        self.states |= {f"{name}.{key}": state for key, state in after.items()}
        return outputs

    def _states_of(self, name: str, memory: AnyMemory, features: Tensor) -> dict[str, Tensor]:
        """What a memory starts with."""
        states = {key: self.states[f"{name}.{key}"] for key in memory.state_names if f"{name}.{key}" in self.states}
        return states or memory.initial_states(features.shape[-2])


class Calibration(Look):
    """A look at whole sequences after which memories of changes know how large changes are."""

    def remember(self, name: str, memory: AnyMemory, features: Tensor) -> Tensor:
        """Features (T, N, F) through a memory, after taking their changes into its statistics."""
        if isinstance(memory, ChangeMemory) and self._starts is not None:
            memory.calibrate(features, self._states_of(name, memory, features), self._starts)
        return super().remember(name, memory, features)
