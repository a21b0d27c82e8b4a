"""Videos as arrays."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poise.errors import MissingFileError, PoiseError


class Film:
    """A video, decoded from front to back: who asks in order has it decoded once, who goes back has it begun anew.

    Args:
        path: of its file.
        layout: channels, one or three, and height and width that it must have.
        size: height and width that frames are brought to; by default they stay as they are.
    """

    def __init__(self, path: Path, layout: tuple[int, ...], size: tuple[int, int] | None = None) -> None:
        self.path = path
        self._layout = layout
        self._shape = (*(size or layout[1:]), layout[0])
        self._decoder: Generator[NDArray[np.uint8], None, None] | None = None
        self._passed = 0

    def frames(self, first: int, count: int) -> NDArray[np.uint8]:
        """So many from `first` on, (count, height, width, channels); no others are held.

        Raises:
            PoiseError: the video is missing, damaged or of another size, or ends before.
        """
        found = np.empty((count, *self._shape), np.uint8)
        if self._decoder is None or first < self._passed:
            self.close()
            self._decoder, self._passed = _decoded(self.path, self._layout, self._shape), 0
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


def _decoded(path: Path, layout: tuple[int, ...], shape: tuple[int, ...]) -> Generator[NDArray[np.uint8], None, None]:
    """Frame by frame (height, width, channels)."""
    import imageio_ffmpeg

    if not path.is_file():
        raise MissingFileError(f"{path} does not exist; expected a video")
    height, width, channels = shape
    scaled = ["-vf", f"scale={width}:{height}:flags=bilinear", "-fps_mode", "passthrough"]
    pixels = {"pix_fmt": "gray" if channels == 1 else "rgb24", "bits_per_pixel": 8 * channels}
    try:
        with closing(imageio_ffmpeg.read_frames(str(path), output_params=scaled, **pixels)) as reader:
            _check_size(path, _described(reader), layout)
            for frame in reader:
                yield np.frombuffer(frame, np.uint8).reshape(shape)
    except (OSError, RuntimeError, StopIteration, ValueError) as error:
        raise PoiseError(f"{path} is damaged ({' '.join(str(error).split())[:120]}); expected a video") from error


def _described(reader: Generator[Any, None, None]) -> dict[str, Any]:
    """What a video says of itself; imageio would warn of frames that are scaled, which they are meant to be."""
    logger = logging.getLogger("imageio_ffmpeg")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        return next(reader)
    finally:
        logger.setLevel(level)


def _check_size(path: Path, told: dict[str, Any], layout: tuple[int, ...]) -> None:
    width, height = told["source_size"]
    if (height, width) != layout[1:]:
        raise PoiseError(f"{path} has frames of {height}x{width} pixels, expected {layout[1]}x{layout[2]}")
