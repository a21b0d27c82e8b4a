"""What an extractor is given, looked over before networks see it, so that a slip is told in words of who made it.

Kinds, shapes and dtypes alone are read, never numbers: it costs microseconds, and compilers and exporters see nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from poise.errors import InvalidValueError
from poise.fusion.segments import AnyComponent, checked, component
from poise.nn.frames import Frames


def take(components: Any, shapes: Mapping[str, tuple[int, ...]], networks: nn.Module) -> dict[str, AnyComponent]:
    """The components of these shapes, of the networks' precision; others are left aside.

    Args:
        components: {name: (..., *shape)}.
        shapes: name to shape of every component.
        networks: that are to read them.

    Raises:
        InvalidValueError: there is no such component, or it is no tensor of floating-point numbers, of another shape,
            or of other samples than the first.
    """
    if not isinstance(components, Mapping):
        raise InvalidValueError(
            f"the components must be a mapping of names to tensors, {{name: (..., *shape)}}, got {_kind(components)}"
        )
    taken: dict[str, AnyComponent] = {}
    lead, first = torch.Size(), ""
    for name, shape in shapes.items():
        value = component(name, components)
        if not isinstance(value, Frames):  # which poise itself makes, of whatever networks on their way make floats
            _check_numbers(name, value, shape)
            if value.dtype != torch.float32:  # only then is it worth while to ask what the networks are of
                value = value.to(_dtype(networks))
        if not taken:
            checked(name, components, shape)
            lead, first = _lead(value, shape), name
        elif value.shape != (*lead, *shape):
            checked(name, components, shape)
            raise InvalidValueError(
                f"'{name}' is given for {tuple(_lead(value, shape))} samples, but '{first}' for {tuple(lead)}; give "
                "all components of the same samples"
            )
        taken[name] = value
    return taken


def check_mask(
    missing: Any, components: Mapping[str, AnyComponent], shapes: Mapping[str, tuple[int, ...]], names: Sequence[str]
) -> None:
    """A mask of missing modalities must be (..., M) bool.

    Args:
        missing: the mask.
        components: {name: (..., *shape)}, of all samples.
        shapes: name to shape of every component.
        names: of the M modalities, in the mask's order.

    Raises:
        InvalidValueError: it is another.
    """
    first = next(iter(components))
    expected = (*_lead(components[first], shapes[first]), len(names))
    if isinstance(missing, Tensor):
        if missing.shape == expected and missing.dtype == torch.bool:
            return
        found = f"{missing.dtype} of shape {tuple(missing.shape)}"
    else:
        found = _kind(missing)
    raise InvalidValueError(
        f"the mask of missing modalities must be a tensor of bools of shape {expected}, for {', '.join(names)}, "
        f"got {found}"
    )


def _check_numbers(name: str, value: Any, shape: tuple[int, ...]) -> None:
    """A component must be a tensor of floating-point numbers.

    Raises:
        InvalidValueError: it is not.
    """
    if not isinstance(value, Tensor):
        raise InvalidValueError(
            f"'{name}' must be a tensor of shape ({', '.join(['...', *map(str, shape)])}), got {_kind(value)}; "
            "torch.as_tensor makes one"
        )
    if not value.is_floating_point():
        raise InvalidValueError(
            f"'{name}' must be of floating-point numbers, got {value.dtype}; give it as .float(), and an image's bytes "
            "divided by 255"
        )


def _dtype(networks: nn.Module) -> torch.dtype:
    some = next(networks.parameters(), None)
    return torch.float32 if some is None else some.dtype


def _lead(value: AnyComponent, shape: tuple[int, ...]) -> torch.Size:
    """Of the axes of samples."""
    return value.shape[: value.dim() - len(shape)]


def _kind(value: Any) -> str:
    """`a list`, `a numpy.ndarray`."""
    kind = type(value)
    return f"a {kind.__qualname__}" if kind.__module__ == "builtins" else f"a {kind.__module__}.{kind.__qualname__}"
