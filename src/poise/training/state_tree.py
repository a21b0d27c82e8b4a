"""Nested state taken apart into named tensors and JSON, and put together again without loss.

JSON has no tensors, tuples, integer keys or NaN, all of which occur in optimiser and generator states. Each is written
as a mapping with one key that starts with `$`:

    {"$tensor": "/model/weight"}      a torch tensor, under that name among the tensors
    {"$array": "/replay/actions"}     a numpy array
    {"$scalar": "/normaliser/count"}  a numpy scalar such as `np.float32(3)`
    {"$tuple": [...]}                 a tuple
    {"$items": [[0, ...], ...]}       a mapping with integer keys
    {"$float": "nan"}                 nan, inf or -inf

A key of the user's that starts with `$` is written with one more. Names are JSON pointers (RFC 6901), so that keys
may hold any character.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

Json = Any


def take_apart(state: Mapping[str, Any]) -> tuple[Json, dict[str, torch.Tensor]]:
    """The JSON skeleton of `state` and its tensors by name, on the CPU, contiguous, none sharing memory with another.

    Raises `TypeError`, naming the place, for a value that could not be restored exactly.
    """
    tensors: dict[str, torch.Tensor] = {}
    return _encode(state, "", tensors), _unshared(tensors)


def put_together(skeleton: Json, tensors: Mapping[str, torch.Tensor]) -> Any:
    """The inverse of `take_apart`. Raises `KeyError` or `ValueError` for a skeleton it did not write."""
    if isinstance(skeleton, list):
        return [put_together(item, tensors) for item in skeleton]
    if not isinstance(skeleton, dict):
        return skeleton
    if len(skeleton) == 1:
        ((mark, content),) = skeleton.items()
        if mark.startswith("$") and not mark.startswith("$$"):
            return _decode_marked(mark, content, tensors)
    return {key[1:] if key.startswith("$$") else key: put_together(value, tensors) for key, value in skeleton.items()}


def _encode(value: Any, name: str, tensors: dict[str, torch.Tensor]) -> Json:
    if value is None or type(value) in (bool, int, str):
        return value
    if isinstance(value, torch.Tensor):
        tensors[name] = value.detach()
        return {"$tensor": name}
    if isinstance(value, (np.ndarray, np.generic)):  # before float, which np.float64 is too
        tensors[name] = _as_tensor(np.asarray(value), name)
        return {"$array" if isinstance(value, np.ndarray) else "$scalar": name}
    if type(value) is float:
        return value if math.isfinite(value) else {"$float": repr(value)}
    if type(value) in (list, tuple):
        items = [_encode(item, f"{name}/{index}", tensors) for index, item in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    if isinstance(value, Mapping):
        return _encode_mapping(value, name, tensors)
    raise TypeError(
        f"a checkpoint cannot hold a {type(value).__name__} (at '{name}'); expected tensors, arrays, numbers, text, "
        "lists, tuples and mappings"
    )


def _encode_mapping(mapping: Mapping[Any, Any], name: str, tensors: dict[str, torch.Tensor]) -> Json:
    kinds = {type(key) for key in mapping}
    if not kinds <= {str} and not kinds <= {int}:
        raise TypeError(f"a checkpoint's mapping needs keys that are all text or all integers (at '{name or '/'}')")
    encoded = [[key, _encode(value, f"{name}/{_escaped(str(key))}", tensors)] for key, value in mapping.items()]
    if kinds == {int}:
        return {"$items": encoded}
    return {f"${key}" if key.startswith("$") else key: value for key, value in encoded}


def _decode_marked(mark: str, content: Json, tensors: Mapping[str, torch.Tensor]) -> Any:
    if mark == "$tensor":
        return tensors[content]
    if mark == "$array":
        return tensors[content].numpy()
    if mark == "$scalar":
        return tensors[content].numpy()[()]
    if mark == "$tuple":
        return tuple(put_together(item, tensors) for item in content)
    if mark == "$items":
        return {key: put_together(value, tensors) for key, value in content}
    if mark == "$float":
        return float(content)
    raise ValueError(f"unknown mark '{mark}'")


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _as_tensor(array: np.ndarray[Any, Any], name: str) -> torch.Tensor:
    try:
        return torch.from_numpy(np.array(array, order="C"))  # a copy: torch warns of read-only memory
    except (TypeError, ValueError):
        raise TypeError(f"a checkpoint cannot hold an array of {array.dtype} (at '{name}'); expected numbers") from None


def _unshared(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tied weights and views get memory of their own: safetensors refuses tensors that overlap."""
    seen: set[int] = set()
    unshared = {}
    for name, tensor in tensors.items():
        compact = tensor.cpu().contiguous()
        storage = compact.untyped_storage()
        if storage.data_ptr() in seen or storage.nbytes() != compact.nbytes:
            compact = compact.clone(memory_format=torch.contiguous_format)
        seen.add(compact.untyped_storage().data_ptr())
        unshared[name] = compact
    return unshared
