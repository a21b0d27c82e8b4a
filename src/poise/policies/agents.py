"""What can be put in charge of robots: anything that acts on observations and forgets finished episodes."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from poise.errors import DivergedError
from poise.nn import forget
from poise.policies.look import HiddenStates, TensorObservation


class Agent(Protocol):
    """In charge of N robots."""

    def act(self, observation: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Actions (N, A) for observations {name: (N, ...)}."""
        ...

    def reset(self, dones: NDArray[np.bool_]) -> None:
        """Forget the robots (N,) whose episode is over."""
        ...


class Infers(Protocol):
    """A policy that is finished: states in, states out."""

    def infer(self, observation: TensorObservation, states: HiddenStates) -> tuple[Tensor, dict[str, Tensor]]:
        """The most likely actions (N, A) or (N,), and what is remembered after them."""
        ...


class Senses(Protocol):
    """Prepares observations for a policy."""

    def __call__(self, observation: Mapping[str, NDArray[Any]]) -> TensorObservation:
        """Components (N, ...) as tensors, for an environment's next observation."""
        ...


class PolicyAgent:
    """A trained policy, acting without exploration.

    Args:
        policy: in charge.
        sensing: prepares the observations of the robots.
    """

    def __init__(self, policy: Infers, sensing: Senses) -> None:
        self.policy = policy
        self.sensing = sensing
        self._states: dict[str, Tensor] = {}

    @torch.no_grad()
    def act(self, observation: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """The most likely actions (N, A).

        Raises:
            DivergedError: they are not finite.
        """
        actions, self._states = self.policy.infer(self.sensing(observation), self._states)
        return finite(actions)

    def reset(self, dones: NDArray[np.bool_]) -> None:
        """Forget the robots whose episode is over."""
        self._states = forget(self._states, dones)


def finite(actions: Tensor) -> NDArray[Any]:
    """Actions as environments take them.

    Raises:
        DivergedError: they are not finite.
    """
    array: NDArray[Any] = actions.numpy()
    if not np.isfinite(array).all():
        raise DivergedError("the policy's actions are not finite: its training diverged, or what it senses did")
    return array
