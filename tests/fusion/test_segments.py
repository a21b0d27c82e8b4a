import pytest
import torch
from torch.testing import assert_close

from poise.errors import PoiseError
from poise.policies import ObsSegments

SEGMENTS = ObsSegments({"speed": 2, "image": (2, 3), "time": ()})


def test_where_components_lie() -> None:
    assert SEGMENTS.size == 9
    assert SEGMENTS.slice("image") == slice(2, 8)
    assert SEGMENTS.in_order(["time", "speed"]) == ["speed", "time"]  # as they lie, not as they are asked for
    assert SEGMENTS.width(["time", "image"]) == 7


def test_there_and_back() -> None:
    vector = torch.arange(18.0).view(2, 9)
    parts = SEGMENTS.split(vector)
    assert parts["image"].tolist()[0] == [[2.0, 3.0, 4.0], [5.0, 6.0, 7.0]]
    assert parts["time"].tolist() == [8.0, 17.0]
    assert_close(SEGMENTS.join(parts), vector)
    assert_close(SEGMENTS.join(parts, ["time", "speed"]), vector[:, [0, 1, 8]])


def test_wrong_use() -> None:
    with pytest.raises(PoiseError, match="no component 'sped'.*did you mean 'speed'.*it has speed, image, time"):
        SEGMENTS.slice("sped")
    with pytest.raises(PoiseError, match="has 8 numbers, but its segments speed, image, time have 9"):
        SEGMENTS.split(torch.zeros(3, 8))
    parts = SEGMENTS.split(torch.zeros(3, 9))
    with pytest.raises(PoiseError, match=r"'image' must be of shape \(..., 2, 3\), got \(3, 3, 2\)"):
        SEGMENTS.join(parts | {"image": torch.zeros(3, 3, 2)})  # as many numbers, otherwise arranged
    with pytest.raises(PoiseError, match=r"'image' is given for \(4,\) samples, but 'speed' for \(3,\)"):
        SEGMENTS.join(parts | {"image": torch.zeros(4, 2, 3)})
    with pytest.raises(PoiseError, match=r"'time' is given for \(3, 1\) samples, but 'speed' for \(3,\)"):
        SEGMENTS.join(parts | {"time": torch.zeros(3, 1)})
