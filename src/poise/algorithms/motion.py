"""Reference motions: what a robot sensed while somebody moved it as it ought to move."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import safetensors.numpy
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from poise.errors import InvalidValueError
from poise.files import read_bytes, write_atomically

STARTS = "starts"
_TRAITS = "motion"


@dataclass(frozen=True)
class ReferenceMotion:
    """Moments of a motion, one after another.

    Attributes:
        states: {name: (T, ...)} components of the observation.
        starts: (T,) bool, an episode starts with this moment: it does not follow the one before.
        control_step: time between moments, s.
        frame: of what was sensed, as `env.options.frame` has it.
        orientation: how it is given, as `env.options.orientation` has it.
    """

    states: Mapping[str, NDArray[np.float32]]
    starts: NDArray[np.bool_]
    control_step: float = 1.0
    frame: str = "world"
    orientation: str = "rotation_vector"

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """From a file that `save` wrote.

        Raises:
            MissingFileError: there is none.
            InvalidValueError: it holds something else.
        """
        content = read_bytes(Path(path), "a reference motion, as 'poise motion' writes it")
        try:
            arrays = safetensors.numpy.load(content)
            traits = _traits(content)
        except (SafetensorError, ValueError, KeyError) as error:
            raise InvalidValueError(f"{path} is no reference motion, or damaged: {error}") from error
        starts = arrays.pop(STARTS, None)
        lengths = {len(array) if array.ndim else 0 for array in arrays.values()}
        if starts is None or lengths != {len(starts)}:
            raise InvalidValueError(
                f"{path} is no reference motion: expected components of the same length, and starts"
            )
        if starts[1:].all():
            raise InvalidValueError(f"{path} holds no moment that follows another; record a longer motion")
        states = {name: array.astype(np.float32) for name, array in arrays.items()}
        return cls(states, starts.astype(np.bool_), **traits)

    def save(self, path: Path) -> None:
        """Write it; safetensors, which hold arrays and execute nothing."""
        traits = json.dumps({"control_step": self.control_step, "frame": self.frame, "orientation": self.orientation})
        write_atomically(path, safetensors.numpy.save({**self.states, STARTS: self.starts}, {_TRAITS: traits}))

    def check_compatible(self, control_step: float, frame: str = "world", orientation: str = "rotation_vector") -> None:
        """Refuse to be imitated where moments are further apart, or told in another way.

        Raises:
            InvalidValueError: they are.
        """
        own, asked = (self.frame, self.orientation), (frame, orientation)
        if abs(control_step - self.control_step) > 1e-9 or own != asked:
            raise InvalidValueError(
                f"the reference motion was recorded every {1000 * self.control_step:g} ms in the frame '{own[0]}' with "
                f"orientations as {own[1]}, but the environment tells every {1000 * control_step:g} ms, in the frame "
                f"'{asked[0]}' with orientations as {asked[1]}; record it again"
            )

    def pairs(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Moments that are followed by another of the same episode, and those, {name: (P, ...)} each."""
        first = np.flatnonzero(~self.starts[1:])
        before, after = (
            {name: torch.from_numpy(values[rows]) for name, values in self.states.items()}
            for rows in (first, first + 1)
        )
        return before, after


def _traits(content: bytes) -> dict[str, Any]:
    """What the header of a safetensors file says of a motion: eight bytes of length, then JSON."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    traits: dict[str, Any] = json.loads(header["__metadata__"][_TRAITS])
    words = {name: str(traits[name]) for name in ("frame", "orientation")}
    return {"control_step": float(traits["control_step"]), **words}
