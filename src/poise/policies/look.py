"""One look of a policy at observations: what it sees, what it remembers, and what was worked out on the way."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from poise.errors import InvalidValueError
from poise.nn import AnyMemory, ChangeMemory
from poise.nn.frames import Frames

Known = TypeVar("Known")
TensorObservation = Mapping[str, Tensor]
"""Components by name; images may be `Frames`, which stand for tensors."""
AnyObservation = TensorObservation | Tensor
"""Components by name, or the vector of all."""
HiddenStates = Mapping[str, Tensor]
"""Everything a policy remembers, flat: the memory's name, a dot, the state's name; (L, N, any) each."""


def tensors(observation: Mapping[str, Any]) -> dict[str, Tensor]:
    """Components as policies take them: what environments give are arrays, often of float64."""
    return {name: as_tensor(value) for name, value in observation.items()}


def as_tensor(value: Any) -> Tensor:
    """A tensor as it is; of anything else that numpy understands truth values, and the rest as float32."""
    if isinstance(value, Tensor | Frames):
        return value  # type: ignore[return-value]
    array = np.asarray(value)
    return torch.as_tensor(array if array.dtype == np.bool_ else array.astype(np.float32))


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
        self._known: dict[str, Any] = {}

    def once(self, name: str, work_out: Callable[[], Known]) -> Known:
        """What several parts of a policy need, worked out for the first of them."""
        if name not in self._known:
            self._known[name] = work_out()
        known: Known = self._known[name]
        return known

    def has(self, name: str) -> bool:
        """Whether what `once` is to give was worked out."""
        return name in self._known

    def meet(self, features: Tensor) -> Tensor:
        """What the actor's memory or network reads (..., F), for those who look on."""
        return features

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
        before = f"{name}."
        states = {key.removeprefix(before): state for key, state in self.states.items() if key.startswith(before)}
        axes = 2 if self._starts is None else 3
        if features.dim() != axes:
            expected = "(N, ...)" if self._starts is None else "(T, N, ...)"
            raise InvalidValueError(
                f"a policy with memory looks at observations {expected}, not at ones with "
                f"{features.dim() - 1} axes of samples"
            )
        if not states:
            return memory.initial_states(features.shape[-2])
        if set(states) != set(memory.state_names):
            raise InvalidValueError(
                f"what '{name}' remembers must be {', '.join(memory.state_names)}, got {', '.join(states)}"
            )
        check_same(states[memory.state_names[0]].shape[1], features.shape[-2])
        return states


def check_same(remembered: int, given: int) -> None:
    """Who is looked at must be who was remembered.

    Raises:
        InvalidValueError: there are more or fewer.
    """
    if remembered != given:
        raise InvalidValueError(f"the policy remembers {remembered} environments, but looks at {given}; call reset()")


class Calibration(Look):
    """A look at whole sequences after which memories of changes know how large changes are."""

    def remember(self, name: str, memory: AnyMemory, features: Tensor) -> Tensor:
        """Features (T, N, F) through a memory, after taking their changes into its statistics."""
        if isinstance(memory, ChangeMemory) and self._starts is not None:
            memory.calibrate(features, self._states_of(name, memory, features), self._starts)
        return super().remember(name, memory, features)
