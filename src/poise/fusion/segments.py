"""`obs_segments`: the one place that turns a flat observation into its components, and back."""

import math
from collections.abc import Iterable, Mapping
from typing import TypeVar

import torch
from torch import Tensor

from poise.errors import InvalidValueError, did_you_mean
from poise.nn.frames import Frames, dense

Component = TypeVar("Component")
AnyComponent = Tensor | Frames
"""Of an observation: (..., *shape)."""


class ObsSegments:
    """Components that lie one after another along the last axis of a vector.

    Args:
        shapes: name to shape of each component, in their order; an integer n stands for (n,).

    Attributes:
        size: length of the vector.
    """

    def __init__(self, shapes: Mapping[str, int | tuple[int, ...]]) -> None:
        self.shapes = {name: (shape,) if isinstance(shape, int) else tuple(shape) for name, shape in shapes.items()}
        self._slices: dict[str, slice] = {}
        self.size = 0
        for name, shape in self.shapes.items():
            width = math.prod(shape)
            self._slices[name] = slice(self.size, self.size + width)
            self.size += width

    def slice(self, name: str) -> slice:
        """Where a component lies.

        Raises:
            InvalidValueError: there is none of that name.
        """
        return component(name, self._slices)

    def in_order(self, names: Iterable[str]) -> list[str]:
        """Components of these names, in the order in which they lie, whatever order is asked for.

        Raises:
            InvalidValueError: there is none of some name.
        """
        wanted = {name for name in names if self.slice(name)}
        return [name for name in self.shapes if name in wanted]

    def width(self, names: Iterable[str]) -> int:
        """Numbers in these components."""
        return sum(math.prod(self.shapes[name]) for name in self.in_order(names))

    def split(self, vector: Tensor) -> dict[str, Tensor]:
        """(..., size) to {name: (..., *shape)}, views of it.

        Raises:
            InvalidValueError: the vector has another length.
        """
        if vector.shape[-1] != self.size:
            raise InvalidValueError(
                f"the observation has {vector.shape[-1]} numbers, but its segments {', '.join(self.shapes)} "
                f"have {self.size}"
            )
        return {
            name: vector[..., part].unflatten(-1, self.shapes[name]) if self.shapes[name] else vector[..., part.start]
            for name, part in self._slices.items()
        }

    def join(self, components: Mapping[str, AnyComponent], names: Iterable[str] | None = None) -> Tensor:
        """{name: (..., *shape)} to (..., size), or only some of them; in the order in which they lie.

        Raises:
            InvalidValueError: a component is missing, of another shape, or of other leading axes than the first.
        """
        chosen = list(self.shapes if names is None else self.in_order(names))
        flat = [self.flat(name, components) for name in chosen]
        for name, part in zip(chosen, flat, strict=True):
            if part.shape[:-1] != flat[0].shape[:-1]:
                raise InvalidValueError(
                    f"'{name}' is given for {tuple(part.shape[:-1])} samples, but '{chosen[0]}' for "
                    f"{tuple(flat[0].shape[:-1])}"
                )
        return torch.cat(flat, dim=-1)

    def flat(self, name: str, components: Mapping[str, AnyComponent]) -> Tensor:
        """(..., numbers) of a component (..., *shape).

        Raises:
            InvalidValueError: it is missing, or of another shape.
        """
        shape = self.shapes[name]
        value = dense(checked(name, components, shape))
        return value.flatten(-len(shape)) if shape else value[..., None]


def checked(name: str, components: Mapping[str, AnyComponent], shape: tuple[int, ...]) -> AnyComponent:
    """One of an observation's components, (..., *shape).

    Raises:
        InvalidValueError: there is none of that name, or one of another shape, were it of as many numbers.
    """
    value = component(name, components)
    if shape and tuple(value.shape[-len(shape) :]) != shape:
        expected = ", ".join(map(str, shape))
        raise InvalidValueError(f"'{name}' must be of shape (..., {expected}), got {tuple(value.shape)}")
    return value


def component(name: str, components: Mapping[str, Component]) -> Component:
    """One of an observation's components.

    Raises:
        InvalidValueError: there is none of that name.
    """
    if name not in components:
        raise InvalidValueError(
            f"the observation has no component '{name}'{did_you_mean(name, components)}; it has {', '.join(components)}"
        )
    return components[name]
