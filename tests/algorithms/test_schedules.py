import numpy as np
import pytest

from poise.algorithms import PPOConfig, Schedule
from poise.algorithms.schedules import value_at
from poise.config import parse
from poise.errors import PoiseError


def test_linear_is_numpys_interpolation() -> None:
    schedule = Schedule(values=(1.0, 0.5, 4.0), fractions=(0.0, 0.2, 0.9))
    points = np.linspace(0.0, 1.0, 41)
    expected = np.interp(points, schedule.fractions, schedule.values)
    assert [schedule.at(float(x)) for x in points] == pytest.approx(list(expected))


def test_piecewise_holds_each_value_until_the_next() -> None:
    schedule = Schedule(kind="piecewise", values=(3.0, 2.0, 1.0), fractions=(0.0, 0.5, 0.75))
    assert [schedule.at(x) for x in (0.0, 0.49, 0.5, 0.7, 0.75, 1.0)] == [3.0, 3.0, 2.0, 2.0, 1.0, 1.0]


def test_constants_stay() -> None:
    assert value_at(0.3, 0.7) == 0.3
    assert Schedule(values=(2.0,), fractions=(0.0,)).at(0.9) == 2.0


@pytest.mark.parametrize(
    ("mapping", "sentence"),
    [
        ({"values": [1.0]}, "go in pairs, got 1 and 2"),
        ({"values": [1.0, 0.0], "fractions": [0.1, 1.0]}, "must start at 0"),
        ({"values": [1.0, 0.0, 2.0], "fractions": [0.0, 0.5, 0.5]}, "must start at 0 and increase"),
        ({"values": [1.0, 0.0], "kind": "cosine"}, "linear"),
    ],
)
def test_impossible_schedules(mapping: dict[str, object], sentence: str) -> None:
    with pytest.raises(PoiseError, match=sentence):
        parse(Schedule, mapping)


@pytest.mark.parametrize("key", ["learning_rate", "critic_learning_rate", "clip_range", "entropy_coef"])
@pytest.mark.parametrize("value", [-1e-3, {"values": [1e-3, -1e-4]}])
def test_negative_quantities_are_refused(key: str, value: object) -> None:
    with pytest.raises(PoiseError, match=rf"{key}.*must be at least 0"):
        parse(PPOConfig, {key: value})
