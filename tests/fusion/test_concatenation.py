import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from poise.errors import PoiseError
from poise.fusion import ConcatExtractor

SHAPES = {"orientation": (3,), "grid": (2, 2), "time": ()}


def observation(*lead: int) -> dict[str, Tensor]:
    return {name: torch.randn(*lead, *shape) for name, shape in SHAPES.items()}


def test_components_stand_side_by_side_in_the_order_of_the_shapes() -> None:
    extractor = ConcatExtractor(SHAPES, normalize=False)
    seen = observation(5)
    features = extractor(seen)
    assert features.shape == (5, extractor.output_size) == (5, 8)
    assert_close(features[:, :3], seen["orientation"])
    assert_close(features[:, 3:7], seen["grid"].flatten(1))
    assert_close(features[:, 7], seen["time"])


def test_neither_the_order_of_keys_nor_further_keys_matter() -> None:
    extractor = ConcatExtractor(SHAPES)
    seen = observation(4)
    reordered = {"unused": torch.ones(4, 9), **{name: seen[name] for name in reversed(SHAPES)}}
    assert torch.equal(extractor(seen), extractor(reordered))


def test_samples_do_not_see_each_other() -> None:
    extractor = ConcatExtractor(SHAPES)
    seen = observation(6)
    extractor.update_normalization(observation(100))
    order = torch.randperm(6)
    features = extractor(seen)
    assert torch.equal(extractor({name: value[order] for name, value in seen.items()}), features[order])
    assert torch.equal(extractor({name: value[:1] for name, value in seen.items()}), features[:1])


def test_any_leading_axes_and_kinds_of_numbers() -> None:
    extractor = ConcatExtractor({"a": (2,), "flag": ()})
    seen = {"a": torch.randint(0, 9, (3, 4, 2)), "flag": torch.ones(3, 4, dtype=torch.bool)}
    features = extractor(seen)
    assert features.shape == (3, 4, 3)
    assert features.dtype == torch.float32


def test_normalisation_is_by_component_and_only_when_asked() -> None:
    extractor = ConcatExtractor({"small": (1,), "large": (1,)})
    seen = {"small": 1e-1 * torch.randn(5000, 1), "large": 1e3 + 50.0 * torch.randn(5000, 1)}
    before = extractor(seen)
    extractor.update_normalization(seen)
    assert before[:, 1].min() == 10.0  # clipped
    assert_close(extractor(seen).mean(0), torch.zeros(2), atol=1e-3, rtol=0)
    assert_close(extractor(seen).std(0), torch.ones(2), atol=0.1, rtol=0)


def test_a_missing_component_is_named() -> None:
    with pytest.raises(PoiseError, match="no component 'grid'.*it has orientation, time"):
        ConcatExtractor(SHAPES)({"orientation": torch.ones(1, 3), "time": torch.ones(1)})
