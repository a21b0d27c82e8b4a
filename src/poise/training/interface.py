"""What demonstrations and policies that imitate see of an environment: named components, pictures channels first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from poise.config import Config, load_yaml, parse, save_yaml
from poise.errors import InvalidValueError, did_you_mean

INTERFACE = "interface.yaml"
"""File of a run that tells what its policy sees and does."""


class Interface(Config):
    """What a policy sees and does."""

    components: dict[str, tuple[int, ...]] = Field(description="name and shape, pictures channels first")
    action_width: int = Field(ge=1, description="numbers in an action")

    @classmethod
    def of(cls, env: VectorEnv[Any, Any, Any]) -> Self:
        """All that an environment gives and wants.

        Raises:
            InvalidValueError: it does not give a mapping of components, or wants no continuous actions.
        """
        observed, acted = env.single_observation_space, env.single_action_space
        if not isinstance(observed, spaces.Dict) or not isinstance(acted, spaces.Box):
            raise InvalidValueError(
                f"imitation needs a mapping of components and continuous actions, not {observed} and {acted}"
            )
        shapes = {name: tuple(part.shape or ()) for name, part in observed.spaces.items()}
        last = _with_channels_last(observed)
        turned = {name: (shape[2], *shape[:2]) if name in last else shape for name, shape in shapes.items()}
        return cls(components=turned, action_width=int(np.prod(acted.shape)))

    @classmethod
    def load(cls, run: Path) -> Self:
        """Of a run's policy.

        Raises:
            PoiseError: nothing tells, or it is damaged.
        """
        return parse(cls, load_yaml(run / INTERFACE), str(run / INTERFACE))

    def save(self, run: Path) -> None:
        """Into a run's folder."""
        save_yaml(run / INTERFACE, self)


class ChannelsFirst:
    """Turns pictures whose channels come last.

    Args:
        space: of the observations of one environment.
    """

    def __init__(self, space: spaces.Space[Any]) -> None:
        self._last = _with_channels_last(space)

    def __call__(self, observation: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Components (N, ...)."""
        return {
            name: values.transpose(0, 3, 1, 2) if name in self._last else values for name, values in observation.items()
        }


class Watching:
    """Chooses the components that a policy sees.

    Args:
        env: where it is to act.
        interface: what it sees and does.

    Raises:
        InvalidValueError: the environment lacks a component, gives another shape, or wants other actions.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], interface: Interface) -> None:
        given = Interface.of(env)
        for name, shape in interface.components.items():
            if name not in given.components:
                raise InvalidValueError(
                    f"the policy sees '{name}', which the environment does not give"
                    f"{did_you_mean(name, given.components)}; it gives {', '.join(given.components)}"
                )
            if given.components[name] != shape:
                raise InvalidValueError(
                    f"the policy sees '{name}' of shape {shape}, but the environment gives {given.components[name]}"
                )
        if given.action_width != interface.action_width:
            raise InvalidValueError(
                f"the policy's actions have {interface.action_width} numbers, those of the environment "
                f"{given.action_width}"
            )
        self._names = tuple(interface.components)
        self._turn = ChannelsFirst(env.single_observation_space)

    def __call__(self, observation: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
        """Components (N, ...): pictures uint8, all else float32."""
        seen = self._turn({name: observation[name] for name in self._names})
        return {name: torch.from_numpy(_as_learned(values)) for name, values in seen.items()}


def _as_learned(values: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(values, None if values.dtype == np.uint8 else np.float32)


def depths_among(space: spaces.Space[Any]) -> set[str]:
    """Components that are depth images: pictures of real numbers."""
    parts = space.spaces if isinstance(space, spaces.Dict) else {}
    return {name for name, part in parts.items() if len(part.shape or ()) == 3 and part.dtype != np.uint8}


def _with_channels_last(space: spaces.Space[Any]) -> set[str]:
    """Components that are pictures (height, width, channels), as most environments draw them."""
    parts = space.spaces if isinstance(space, spaces.Dict) else {}
    return {name for name, part in parts.items() if _is_channels_last(part)}


def _is_channels_last(part: spaces.Space[Any]) -> bool:
    shape = part.shape or ()
    return part.dtype == np.uint8 and len(shape) == 3 and shape[2] in (1, 3) and shape[0] not in (1, 3)
