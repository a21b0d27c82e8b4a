"""Reference motions: what a robot sensed while somebody moved it as it ought to move."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import safetensors.numpy
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from poise.errors import InvalidValueError, MissingFileError
from poise.files import explained, write_atomically

STARTS = "starts"


@dataclass(frozen=True)
class ReferenceMotion:
    """Moments of a motion, one after another.

    Attributes:
        states: {name: (T, ...)} components of the observation.
        starts: (T,) bool, an episode starts with this moment: it does not follow the one before.
    """

    states: Mapping[str, NDArray[np.float32]]
    starts: NDArray[np.bool_]

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """From a file that `save` wrote.

        Raises:
            MissingFileError: there is none.
            InvalidValueError: it holds something else.
        """
        if not Path(path).is_file():
            raise MissingFileError(f"{path} does not exist; expected a reference motion, as 'poise motion' writes it")
        with explained(f"read {path}"):
            content = Path(path).read_bytes()
        try:
            arrays = safetensors.numpy.load(content)
        except SafetensorError as error:
            raise InvalidValueError(f"{path} is no reference motion, or damaged: {error}") from error
        starts = arrays.pop(STARTS, None)
        lengths = {len(array) if array.ndim else 0 for array in arrays.values()}
        if starts is None or lengths != {len(starts)} or len(starts) < 2:
            raise InvalidValueError(
                f"{path} is no reference motion: expected components of the same length, and starts"
            )
        return cls({name: array.astype(np.float32) for name, array in arrays.items()}, starts.astype(np.bool_))

    def save(self, path: Path) -> None:
        """Write it; safetensors, which hold arrays and execute nothing."""
        write_atomically(path, safetensors.numpy.save({**self.states, STARTS: self.starts}))

    def pairs(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Moments that are followed by another of the same episode, and those, {name: (P, ...)} each."""
        first = np.flatnonzero(~self.starts[1:])
        before, after = (
            {name: torch.from_numpy(values[rows]) for name, values in self.states.items()}
            for rows in (first, first + 1)
        )
        return before, after
