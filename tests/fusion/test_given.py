"""What an extractor refuses to look at, in a sentence."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from poise.errors import InvalidValueError
from poise.fusion import FUSIONS, build_fusion
from poise.nn.frames import Frames

SHAPES = {"age": (), "heights": (2, 3), "vel": (3,), "eye": (1, 12, 10), "ear": (5,)}
MODALITIES = {"body": ["age", "heights", "vel"], "ear": ["ear"], "eye": ["eye"]}
NEEDS = {"vision_language_action": {"language": "ear"}}
ways = pytest.mark.parametrize("name", FUSIONS)


def build(name: str) -> Any:
    torch.manual_seed(3)
    return build_fusion(SHAPES, {"name": name, "modalities": MODALITIES, **NEEDS.get(name, {})}).requires_grad_(False)


def observe(*lead: int) -> dict[str, Tensor]:
    return {name: torch.randn(*lead, *shape) for name, shape in SHAPES.items()}


def complaint(name: str, components: Any, missing: Any = None) -> str:
    with pytest.raises(InvalidValueError) as caught:
        build(name)(components, missing)
    return str(caught.value)


@ways
@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"vel": np.zeros((4, 3))},
            "'vel' must be a tensor of shape (..., 3), got a numpy.ndarray; torch.as_tensor makes",
        ),
        ({"age": [0.0] * 4}, "'age' must be a tensor of shape (...), got a list; torch.as_tensor makes one"),
        (
            {"eye": torch.zeros(4, 1, 12, 10).byte()},
            "'eye' must be of floating-point numbers, got torch.uint8; give it as",
        ),
        ({"ear": torch.zeros(4, 5).bool()}, "'ear' must be of floating-point numbers, got torch.bool; give it as"),
        ({"eye": torch.zeros(3, 1, 12, 10)}, "'eye' is given for (3,) samples, but 'age' for (4,); give all"),
        ({"age": torch.zeros(4, 1)}, "'heights' is given for (4,) samples, but 'age' for (4, 1); give all"),
        ({"vel": torch.zeros(3)}, "'vel' is given for () samples, but 'age' for (4,)"),
        ({"eye": torch.zeros(4, 1, 10, 12)}, "'eye' must be of shape (..., 1, 12, 10), got (4, 1, 10, 12)"),
        ({"heights": torch.zeros(4, 3, 2)}, "'heights' must be of shape (..., 2, 3), got (4, 3, 2)"),
    ],
)
def test_components_that_are_no_such_tensors(name: str, given: dict[str, Any], words: str) -> None:
    assert complaint(name, observe(4) | given).startswith(words)


@ways
def test_components_that_are_not_there(name: str) -> None:
    seen = {key: value for key, value in observe(4).items() if key != "eye"}
    assert "no component 'eye'" in complaint(name, seen)
    assert complaint(name, torch.zeros(4, 3)) == (
        "the components must be a mapping of names to tensors, {name: (..., *shape)}, got a torch.Tensor"
    )


@ways
@pytest.mark.parametrize(
    ("missing", "got"),
    [
        ([[False] * 3] * 4, "a list"),
        (np.zeros((4, 3), np.bool_), "a numpy.ndarray"),
        (torch.zeros(4, 3), "torch.float32 of shape (4, 3)"),
        (torch.zeros(4, 2, dtype=torch.bool), "torch.bool of shape (4, 2)"),
        (torch.zeros(3, dtype=torch.bool), "torch.bool of shape (3,)"),
    ],
)
def test_masks_that_are_none(name: str, missing: Any, got: str) -> None:
    assert complaint(name, observe(4), missing) == (
        f"the mask of missing modalities must be a tensor of bools of shape (4, 3), for body, ear, eye, got {got}"
    )


@ways
def test_numbers_of_another_precision_are_brought_to_that_of_the_networks(name: str) -> None:
    extractor, seen = build(name), observe(4)
    finer = {key: value.double() for key, value in seen.items()}
    assert_close(extractor(finer), extractor(seen), rtol=0, atol=0)
    assert_close(extractor(seen | {"vel": finer["vel"]}), extractor(seen), rtol=0, atol=0)
    assert_close(extractor.double()(finer).float(), extractor.float()(seen))


@ways
def test_frames_are_taken_as_they_are(name: str) -> None:
    """Whatever their images are of: networks that they are to go through make floats of them."""
    extractor, seen = build(name), observe(2)
    held = Frames((255 * torch.rand(1, 1, 12, 10)).byte(), torch.zeros(2, dtype=torch.int64)).through(
        torch.Tensor.float
    )
    assert_close(extractor(seen | {"eye": held}), extractor(seen | {"eye": held.tensor()}))
    few = Frames(torch.zeros(1, 1, 12, 10), torch.zeros(3, dtype=torch.int64))
    assert complaint(name, seen | {"eye": few}).startswith("'eye' is given for (3,) samples, but 'age' for (2,)")


@pytest.mark.parametrize("name", ["concat", "early", "vision_language_action"])  # which prepare it each in their way
def test_compilers_find_nothing_to_stumble_over(name: str) -> None:
    extractor, seen, missing = build(name), observe(4), torch.rand(4, 3) < 0.5
    torch.compiler.reset()
    compiled = torch.compile(extractor, backend="eager", fullgraph=True)
    assert_close(compiled(seen, missing), extractor(seen, missing))
    robots = torch.export.Dim("robots", min=2, max=64)
    axes = {"components": {key: {0: robots} for key in seen}, "missing": {0: robots}}
    exported = torch.export.export(extractor, (seen, missing), dynamic_shapes=axes).module()
    more = observe(9)
    assert_close(exported(more, missing.repeat(3, 1)[:9]), extractor(more, missing.repeat(3, 1)[:9]))
