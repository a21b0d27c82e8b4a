"""Quantities that change as training goes on."""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from poise.config import Config


class Schedule(Config):
    """A quantity over the course of training: steps at given fractions, or a straight line between them."""

    kind: Literal["linear", "piecewise"] = "linear"
    values: tuple[float, ...] = Field(description="at each of the fractions")
    fractions: tuple[float, ...] = Field((0.0, 1.0), description="of the training's steps, from 0, increasing")

    @field_validator("fractions")
    @classmethod
    def _increasing(cls, fractions: tuple[float, ...]) -> tuple[float, ...]:
        if not fractions or fractions[0] != 0.0 or any(a >= b for a, b in pairwise(fractions)):
            raise ValueError(f"must start at 0 and increase, got {list(fractions)}")
        return fractions

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if len(self.values) != len(self.fractions):
            raise ValueError(f"values and fractions go in pairs, got {len(self.values)} and {len(self.fractions)}")
        return self

    def at(self, fraction: float) -> float:
        """The value after `fraction` of the training."""
        points = list(zip(self.fractions, self.values, strict=True))
        later = [i for i, (start, _) in enumerate(points) if start > fraction]
        last = (later[0] if later else len(points)) - 1
        if self.kind == "piecewise" or not later:
            return points[last][1]
        (x0, y0), (x1, y1) = points[last], points[last + 1]
        return y0 + (y1 - y0) * (fraction - x0) / (x1 - x0)


def _values(quantity: float | Schedule) -> tuple[float, ...]:
    return quantity.values if isinstance(quantity, Schedule) else (quantity,)


def _never_negative(quantity: float | Schedule) -> float | Schedule:
    if (lowest := min(_values(quantity))) < 0.0:
        raise ValueError(f"must be at least 0, got {lowest:g}")
    return quantity


def _positive(quantity: float | Schedule) -> float | Schedule:
    if (lowest := min(_values(quantity))) <= 0.0:
        raise ValueError(f"must be greater than 0, got {lowest:g}")
    return quantity


def _share(quantity: float | Schedule) -> float | Schedule:
    for value in _values(quantity):
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"must be between 0 and 1, got {value:g}")
    return quantity


Scheduled = Annotated[float | Schedule, AfterValidator(_never_negative)]
"""A quantity that is not negative, constant or changing."""

PositiveScheduled = Annotated[float | Schedule, AfterValidator(_positive)]
"""A quantity greater than 0, constant or changing."""

ScheduledShare = Annotated[float | Schedule, AfterValidator(_share)]
"""A quantity between 0 and 1, constant or changing."""


def still_rises(quantity: float | Schedule, fraction: float) -> bool:
    """Whether a schedule has not yet come to its greatest value after `fraction` of the training."""
    if not isinstance(quantity, Schedule):
        return False
    return fraction < quantity.fractions[quantity.values.index(max(quantity.values))]


def value_at(quantity: float | Schedule, fraction: float) -> float:
    """A constant, or a schedule's value after `fraction` of the training."""
    return quantity.at(fraction) if isinstance(quantity, Schedule) else quantity
