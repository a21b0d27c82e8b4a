"""How pictures lie in memory, and how they are brought to unit scale."""

import pytest
import torch
from torch import Tensor

from poise.imitation.pictures import end_to_end, pictures_among, scaled, taken

MEAN, STD = torch.tensor([0.2, 0.5, 0.8]), torch.tensor([0.1, 0.2, 0.3])


def pictures(count: int) -> Tensor:
    return torch.randint(256, (count, 3, 5, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(count))


def test_only_three_axes_make_a_picture() -> None:
    assert pictures_among({"image": (3, 84, 84), "state": (3,), "map": (9, 9), "depth": (1, 64, 64)}) == (
        "image",
        "depth",
    )


def test_frames_are_put_together_with_the_channels_of_a_pixel_side_by_side() -> None:
    parts = [pictures(4), pictures(1), pictures(6)]
    whole = end_to_end(parts)
    assert torch.equal(whole, torch.cat(parts))
    assert whole.is_contiguous(memory_format=torch.channels_last)
    numbers = [torch.rand(2, 4), torch.rand(3, 4)]
    assert torch.equal(end_to_end(numbers), torch.cat(numbers))


def test_taking_frames_is_indexing_and_keeps_the_layout() -> None:
    whole, frames = end_to_end([pictures(9)]), torch.tensor([[3, 3, 0], [8, 1, 2]])
    found = taken(whole, frames)
    assert torch.equal(found, whole[frames])
    assert found.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)
    numbers = torch.rand(9, 4)
    assert torch.equal(taken(numbers, frames), numbers[frames])


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_scale_by_the_formula(memory: torch.memory_format) -> None:
    given = pictures(6).contiguous(memory_format=memory)
    wanted = (given.double() / 255.0 - MEAN.double().view(-1, 1, 1)) / STD.double().view(-1, 1, 1)
    for found in (scaled(given, MEAN, STD), scaled(given / 255.0, MEAN, STD)):
        assert found.dtype == torch.float32
        assert torch.allclose(found.double(), wanted, atol=1e-5)
        assert found.is_contiguous(memory_format=torch.channels_last)
    windows = scaled(given.view(2, 3, 3, 5, 7) if memory == torch.contiguous_format else given[None], MEAN, STD)
    assert torch.allclose(windows.double(), wanted, atol=1e-5)
