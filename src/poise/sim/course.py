"""A course of marked fields: flat, rough, uphill and downhill ones along y, in an order that a seed determines.

         y = start                                              metres and degrees, whatever the map's resolution
    flat │ rough ∿∿∿ │ up ╱ │ flat ▔ │ rough ∿∿∿ │ down ╲ │ ...

A course is level along x, but for what is rough: bumps and hollows about that level. It goes up only from the ground
and down only from above, so that it stays between the ground and one slope's rise.
"""

import math
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from poise.config import Config

FieldKind = Literal["flat", "rough", "up", "down"]
FIELDS: tuple[FieldKind, ...] = ("flat", "rough", "up", "down")

_TAPER = 0.2
"""Share of a rough field at either end in which it becomes smooth, so that no step leads onto it."""


class CourseOptions(Config):
    """The fields of a course."""

    fields: tuple[FieldKind, ...] = Field(FIELDS, min_length=1, description="kinds that occur")
    start: float = Field(0.4, ge=0, description="where the first field begins, m; before it is flat")
    length: float = Field(0.8, ge=0.1, description="of a field, m")
    slope: float = Field(12.0, gt=0, lt=45, description="of uphill and downhill fields, degrees")
    roughness: float = Field(0.05, ge=0, le=1, description="height of a rough field's highest node above its lowest, m")

    @field_validator("fields")
    @classmethod
    def _up_and_down(cls, fields: tuple[FieldKind, ...]) -> tuple[FieldKind, ...]:
        if ("up" in fields) != ("down" in fields):
            raise ValueError(f"must hold both 'up' and 'down' or neither, got {list(fields)}")
        return fields

    @property
    def rise(self) -> float:
        """Of a slope, m."""
        return self.length * math.tan(math.radians(self.slope))

    @property
    def highest(self) -> float:
        """Of any point above the ground, m."""
        return self.rise * ("up" in self.fields) + 2.0 * self._hollow

    @property
    def _hollow(self) -> float:
        """How deep a rough field may reach below its level, m: where a course begins there is so much ground below."""
        return 0.5 * self.roughness * ("rough" in self.fields)

    def heights(self, seed: int, y: NDArray[np.float64], noise: NDArray[np.float32]) -> NDArray[np.float64]:
        """Heights at y, m, rough as the noise in [0, 1] has it; of shapes that go together."""
        return self.elevation(seed, y) + self._amplitude(seed, y) * (noise - 0.5)

    def elevation(self, seed: int, y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Heights at y without what is rough, m; positions of any shape, m."""
        kinds = layout(self, seed)
        steps = np.array([{"up": self.rise, "down": -self.rise}.get(kind, 0.0) for kind in kinds])
        corners = self._hollow + np.concatenate([[0.0], np.cumsum(steps)])
        return np.interp(y, self.start + self.length * np.arange(len(corners)), corners)

    def _amplitude(self, seed: int, y: NDArray[np.float64]) -> NDArray[np.float64]:
        """How much of the roughness is there at y, m."""
        along = (y - self.start) / self.length
        within = along - np.floor(along)
        fade = np.clip(np.minimum(within, 1.0 - within) / _TAPER, 0.0, 1.0)
        rough: NDArray[np.float64] = self.roughness * fade * (self.field(seed, y) == FIELDS.index("rough"))
        return rough

    def field(self, seed: int, y: NDArray[np.float64]) -> NDArray[np.int64]:
        """Number in `FIELDS` of the field at y; flat before the first and after the last."""
        kinds = _numbers(self, seed)
        index = np.floor((y - self.start) / self.length).astype(np.int64) + 1
        found: NDArray[np.int64] = kinds[np.clip(index, 0, len(kinds) - 1)]
        return found


_LONGEST = 64


@lru_cache(maxsize=65536)
def layout(options: CourseOptions, seed: int) -> tuple[FieldKind, ...]:
    """Kinds of the first fields, drawn uniformly from those that are possible next; what follows them is flat."""
    rng, above, kinds = np.random.default_rng([seed, 1]), False, list[FieldKind]()
    for _ in range(_LONGEST):
        possible = [kind for kind in options.fields if kind != ("up" if above else "down")]
        kind = possible[rng.integers(len(possible))]
        kinds.append(kind)
        above = kind == "up" or (above and kind != "down")
    return tuple(kinds)


@lru_cache(maxsize=65536)
def _numbers(options: CourseOptions, seed: int) -> NDArray[np.int64]:
    """Numbers in `FIELDS` of a layout's fields between the flat ground before and after them; asked at every step."""
    return np.array([0, *(FIELDS.index(kind) for kind in layout(options, seed)), 0])
