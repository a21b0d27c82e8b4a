"""Videos as arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from poise.errors import MissingFileError, PoiseError


def read_film(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """All frames of a video (T, height, width, 3), brought to a size.

    Raises:
        PoiseError: it is missing or damaged.
    """
    import imageio_ffmpeg

    if not path.is_file():
        raise MissingFileError(f"{path} does not exist; expected a video")
    height, width = size
    try:
        reader = imageio_ffmpeg.read_frames(
            str(path), output_params=["-vf", f"scale={width}:{height}:flags=bilinear", "-fps_mode", "passthrough"]
        )
        next(reader)  # what the file says of itself
        frames = [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader]
    except (OSError, RuntimeError, StopIteration, ValueError) as error:
        raise PoiseError(f"{path} is damaged ({' '.join(str(error).split())[:120]}); expected a video") from error
    return np.stack(frames) if frames else np.empty((0, height, width, 3), np.uint8)
