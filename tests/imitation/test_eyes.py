"""Cameras: what a backbone can make of pictures is found out when it is built."""

from typing import Any

import pytest

from poise.config import parse
from poise.errors import InvalidValueError
from poise.imitation.config import BackboneConfig
from poise.imitation.eyes import Eye, Scale


def eye(height: int, width: int, **settings: Any) -> Eye:
    return Eye((3, height, width), parse(BackboneConfig, settings), Scale([0.5] * 3, [0.2] * 3))


@pytest.mark.parametrize("pooling", ["summary", "spatial_softmax"])
def test_pictures_that_are_too_small_are_told_of(pooling: str) -> None:
    with pytest.raises(InvalidValueError, match="'cnn' makes nothing of pictures of 4x6 pixels; give it larger ones"):
        eye(4, 6, pooling=pooling)
    with pytest.raises(InvalidValueError, match="vit_b_16 needs pictures of at least 16x16 pixels, got 4x6"):
        eye(4, 6, pooling=pooling, name="vit_b_16")


def test_a_single_place_can_be_summed_up_but_not_told_from_others() -> None:
    assert eye(12, 12, pooling="summary").places == (1, 1)
    with pytest.raises(InvalidValueError, match="makes a single place of pictures of 12x12 pixels"):
        eye(12, 12)


def test_tokens_are_counted_from_places() -> None:
    seen = eye(84, 84)
    assert (seen.places, seen.count_tokens(5), seen.count_tokens(64)) == ((10, 10), 25, 100)
