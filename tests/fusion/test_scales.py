"""Whether one modality's features dwarf another's."""

import math

import pytest
import torch

from poise.fusion.scales import dwarfed, root_mean_squares


def test_root_mean_squares_by_hand() -> None:
    features = {"a": torch.tensor([[3.0, 4.0], [0.0, 0.0]]), "b": torch.full((2, 1, 3), -2.0)}
    assert root_mean_squares(features) == pytest.approx({"a": 2.5, "b": 2.0})


@pytest.mark.parametrize(
    ("scales", "found"),
    [
        ({"eye": 1.0, "body": 0.11}, []),
        ({"eye": 1.0, "body": 0.05}, [("eye", "body", 20.0)]),
        ({"eye": 30.0, "body": 1.0, "ear": 0.0}, [("eye", "ear", math.inf), ("eye", "body", 30.0)]),
        ({"eye": 0.0, "body": 0.0}, []),
        ({"eye": 1.0}, []),
        ({}, []),
    ],
)
def test_who_is_dwarfed(scales: dict[str, float], found: list[tuple[str, str, float]]) -> None:
    assert [tuple(each) for each in dwarfed(scales)] == found


def test_what_it_says() -> None:
    [zero, small] = dwarfed({"eye": 30.0, "body": 1.0, "ear": 0.0})
    assert str(small) == "the features of 'eye' are 30 times as large as those of 'body'"
    assert str(zero) == "the features of 'ear' are all zero"
