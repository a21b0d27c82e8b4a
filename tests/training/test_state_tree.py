"""Taking nested state apart and putting it together: nothing lost, nothing changed."""

from __future__ import annotations

import json
import math
import re
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from poise.training.state_tree import put_together, take_apart


def there_and_back(state: dict[str, Any]) -> Any:
    skeleton, tensors = take_apart(state)
    copies = {name: tensor.clone() for name, tensor in tensors.items()}
    return put_together(json.loads(json.dumps(skeleton, allow_nan=False)), copies)


def test_the_written_form() -> None:
    skeleton, tensors = take_apart({"model": {"w": torch.ones(2)}, "betas": (0.9, math.inf), "$x": {0: None}})
    assert skeleton == {
        "model": {"w": {"$tensor": "/model/w"}},
        "betas": {"$tuple": [0.9, {"$float": "inf"}]},
        "$$x": {"$items": [[0, None]]},
    }
    assert list(tensors) == ["/model/w"]


@pytest.mark.parametrize(
    "value",
    [
        *(0, -1, 2**128 + 1, -(2**200), True, False, None, "", "ä\n\x00\ud800", 0.1, 5e-324, -1.7e308, 1e16),
        *([], {}, (), [[], [()]], [1, 1.0, True, (1, [2])], {"": 1}, {0: "a", -3: "b"}),
        *({"$tensor": "/x"}, {"$$tensor": 1}, {"$": 1}, {"$items": [[1, 2]]}),
    ],
)
def test_plain_values(value: Any) -> None:
    back = there_and_back({"value": value})["value"]
    assert repr(back) == repr(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.0])
def test_special_floats_bit_for_bit(value: float) -> None:
    assert struct.pack("d", there_and_back({"value": value})["value"]) == struct.pack("d", value)


TORCH_TYPES = [
    *(torch.bfloat16, torch.float16, torch.float32, torch.float64, torch.bool, torch.complex64),
    *(torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.int8, torch.int16, torch.int32, torch.int64),
]


@pytest.mark.parametrize("dtype", TORCH_TYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (5,), (2, 3, 4)], ids=str)
def test_tensors(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor = (torch.rand(shape) * 100).to(dtype)
    back = there_and_back({"t": tensor})["t"]
    assert (type(back), back.dtype, back.shape) == (torch.Tensor, dtype, tensor.shape)
    assert torch.equal(back, tensor)


@pytest.mark.parametrize("dtype", ["?", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", "c8"])
@pytest.mark.parametrize("shape", [(), (0,), (2, 3)], ids=str)
def test_arrays_and_numpy_scalars(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.asarray(np.random.default_rng(0).uniform(0, 100, shape)).astype(dtype)
    array.flags.writeable = False
    back = there_and_back({"a": array, "s": array.reshape(-1)[:1].sum(dtype=dtype)})
    assert type(back["a"]) is np.ndarray
    assert (back["a"].dtype, back["a"].shape) == (array.dtype, shape)
    np.testing.assert_array_equal(back["a"], array)
    assert type(back["s"]) is np.dtype(dtype).type


def test_extreme_bits_survive() -> None:
    bits = torch.tensor([0x7FC00001, -0x80000000, 1, 0x7F800000], dtype=torch.int32)  # NaN payload, -0, denormal, inf
    back = there_and_back({"t": bits.view(torch.float32), "a": bits.view(torch.float32).numpy()})
    assert torch.equal(back["t"].view(torch.int32), bits)
    assert back["a"].tobytes() == bits.numpy().tobytes()


def test_views_tied_weights_and_gradients() -> None:
    base = torch.arange(12.0).reshape(3, 4)
    parameter = torch.nn.Parameter(base)
    state = {
        "tied": [parameter, parameter, base],
        "transposed": base.T,
        "strided": base[:, ::2],
        "expanded": torch.tensor(3.0).expand(4),
        "head": base[:1],
        "reversed": base.numpy()[::-1],
        "fortran": np.asfortranarray(base.numpy()),
    }
    _, tensors = take_apart(state)
    assert all(tensor.is_contiguous() and not tensor.requires_grad for tensor in tensors.values())
    assert len({tensor.data_ptr() for tensor in tensors.values()}) == len(tensors)
    assert tensors["/head"].untyped_storage().nbytes() == 16  # not the twelve numbers behind it
    back = there_and_back(state)
    assert all(torch.equal(tensor, base) for tensor in back["tied"])
    assert torch.equal(back["transposed"], base.T)
    assert torch.equal(back["strided"], base[:, ::2])
    assert torch.equal(back["expanded"], torch.full((4,), 3.0))
    np.testing.assert_array_equal(back["reversed"], base.numpy()[::-1])
    np.testing.assert_array_equal(back["fortran"], base.numpy())


def test_keys_may_hold_any_character() -> None:
    keys = ["a/b", "a", "a~1b", "~", "~0", ".", "..", "a.b", "/", "", " ", "__metadata__", "ä", "0", "$a", "\n"]
    state = {key: {inner: torch.tensor([i, j]) for j, inner in enumerate(keys)} for i, key in enumerate(keys)}
    state["__metadata__"]["list"] = [torch.tensor(1), {"x": torch.tensor(2)}]
    back = there_and_back(state)
    assert list(back) == keys
    for i, key in enumerate(keys):
        for j, inner in enumerate(keys):
            assert back[key][inner].tolist() == [i, j]
    assert back["__metadata__"]["list"][1]["x"] == 2


@pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
def test_numpy_generators_continue_where_they_were(kind: str) -> None:
    generator = np.random.Generator(getattr(np.random, kind)(7))
    generator.integers(0, 10, 3, dtype=np.int32)  # leaves half a word in the buffer
    other = np.random.Generator(getattr(np.random, kind)(0))
    other.bit_generator.state = there_and_back({"rng": generator.bit_generator.state})["rng"]
    np.testing.assert_array_equal(other.integers(0, 2**31, 9, np.int32), generator.integers(0, 2**31, 9, np.int32))
    np.testing.assert_array_equal(other.normal(size=1000), generator.normal(size=1000))


def test_torch_generators_continue_where_they_were() -> None:
    generator = torch.Generator().manual_seed(3)
    torch.rand(5, generator=generator)
    other = torch.Generator()
    other.set_state(there_and_back({"rng": generator.get_state()})["rng"])
    assert torch.equal(torch.rand(100, generator=other), torch.rand(100, generator=generator))


def test_an_optimiser_continues_where_it_was() -> None:
    def start() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))
        return model, torch.optim.AdamW(model.parameters(), lr=1e-2, betas=(0.8, 0.9), amsgrad=True)

    def step(model: torch.nn.Module, optimiser: torch.optim.Optimizer) -> None:
        optimiser.zero_grad()
        model(torch.arange(12.0).reshape(4, 3)).square().sum().backward()
        optimiser.step()

    model, optimiser = start()
    step(model, optimiser)
    saved = there_and_back({"model": model.state_dict(), "optimiser": optimiser.state_dict()})
    other, other_optimiser = start()
    other.load_state_dict(saved["model"])
    other_optimiser.load_state_dict(saved["optimiser"])
    for _ in range(3):
        step(model, optimiser)
        step(other, other_optimiser)
    assert isinstance(model.state_dict(), OrderedDict)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({1, 2}, "cannot hold a set (at '/a/b')"),
        (Path("x"), "Path (at '/a/b')"),
        (b"bytes", "cannot hold a bytes (at '/a/b')"),
        (len, "builtin_function_or_method (at '/a/b')"),
        ([0, {"c": object()}], "cannot hold a object (at '/a/b/1/c')"),
        (np.array([object()]), "an array of object (at '/a/b')"),
        (np.array(["text"]), "an array of <U4 (at '/a/b')"),
        (np.array([1.0], dtype=">f4"), "an array of >f4 (at '/a/b')"),
        ({1: 0, "1": 0}, "keys that are all text or all integers (at '/a/b')"),
        ({None: 0}, "keys that are all text or all integers (at '/a/b')"),
        ({(1, 2): 0}, "keys that are all text or all integers (at '/a/b')"),
        ({True: 0}, "keys that are all text or all integers (at '/a/b')"),
    ],
    ids=lambda value: re.sub(r" at 0x\w+", "", repr(value)),  # the same in every process
)
def test_what_could_not_be_restored_is_refused(value: Any, words: str) -> None:
    with pytest.raises(TypeError) as caught:
        take_apart({"a": {"b": value}})
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "skeleton", [{"$tensor": "/gone"}, {"$mark": 1}, {"$items": [[1]]}, {"$float": "x"}, {"$tensor": []}], ids=repr
)
def test_a_skeleton_of_another_hand_is_refused(skeleton: Any) -> None:
    with pytest.raises((KeyError, ValueError, TypeError)):
        put_together({"a": skeleton}, {})
