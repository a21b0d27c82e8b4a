"""Videos as arrays."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from poise.errors import MissingFileError, PoiseError


class Film:
    """A video, decoded from front to back: who asks in order has it decoded once, who goes back has it begun anew.

    Args:
        path: of its file.
        size: height and width that frames are brought to.
    """

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        self.path = path
        self._size = size
        self._decoder: Generator[NDArray[np.uint8], None, None] | None = None
        self._passed = 0

    def frames(self, first: int, count: int) -> NDArray[np.uint8]:
        """So many from `first` on, (count, height, width, 3); no others are held.

        Raises:
            PoiseError: the video is missing or damaged, or ends before.
        """
        found = np.empty((count, *self._size, 3), np.uint8)
        if self._decoder is None or first < self._passed:
            self.close()
            self._decoder, self._passed = _decoded(self.path, self._size), 0
        while self._passed < first + count:
            frame = self._next(self._decoder)
            if frame is None:
                raise PoiseError(f"{self.path} has {self._passed} frames, expected {first + count} or more")
            if self._passed >= first:
                found[self._passed - first] = frame
            self._passed += 1
        return found

    def close(self) -> None:
        """Stop decoding."""
        if self._decoder is not None:
            self._decoder.close()
        self._decoder = None

    def _next(self, decoder: Generator[NDArray[np.uint8], None, None]) -> NDArray[np.uint8] | None:
        try:
            return next(decoder, None)
        except PoiseError:
            self.close()  # who asks again is told the same
            raise


def _decoded(path: Path, size: tuple[int, int]) -> Generator[NDArray[np.uint8], None, None]:
    """Frame by frame (height, width, 3)."""
    import imageio_ffmpeg

    if not path.is_file():
        raise MissingFileError(f"{path} does not exist; expected a video")
    height, width = size
    scaled = ["-vf", f"scale={width}:{height}:flags=bilinear", "-fps_mode", "passthrough"]
    try:
        with closing(imageio_ffmpeg.read_frames(str(path), output_params=scaled)) as reader:
            next(reader)  # what the file says of itself
            for frame in reader:
                yield np.frombuffer(frame, np.uint8).reshape(height, width, 3)
    except (OSError, RuntimeError, StopIteration, ValueError) as error:
        raise PoiseError(f"{path} is damaged ({' '.join(str(error).split())[:120]}); expected a video") from error
