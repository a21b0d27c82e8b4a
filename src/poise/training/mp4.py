"""Writing mp4 files: H.264 in yuv420p, which plays everywhere, by the ffmpeg that comes with imageio-ffmpeg."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from poise.errors import PoiseError
from poise.files import explained, flush_to_disk

Picture = NDArray[np.uint8]


@contextmanager
def mp4_writer(path: Path, fps: float) -> Iterator[Callable[[Picture], None]]:
    """A function that adds pictures (H, W, 3); the file is whole when it appears at `path`, as the block ends well.

    Raises:
        PoiseError: the disk refuses.
    """
    temporary = path.with_name(f".{path.stem}.tmp{path.suffix}")
    encoder = None
    count = 0

    def write(picture: Picture) -> None:
        nonlocal encoder, count
        height, width = (extent // 2 * 2 for extent in picture.shape[:2])  # yuv420p halves the colours' resolution
        if encoder is None:
            encoder = imageio_ffmpeg.write_frames(
                str(temporary),
                (width, height),
                fps=fps,
                codec="libx264",
                quality=None,
                macro_block_size=2,
                ffmpeg_log_level="quiet",
                output_params=["-crf", "22", "-preset", "veryfast", "-threads", "1", "-movflags", "+faststart"],
            )
            encoder.send(None)
        encoder.send(np.ascontiguousarray(picture[:height, :width]))
        count += 1

    try:
        with explained(f"write {path}"):
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield write
        except OSError as error:  # the encoder has gone; its own words fill a page
            if isinstance(error, PoiseError):
                raise
            raise PoiseError(f"cannot write {path}: the encoder stopped; is the disk full?") from error
        if encoder is not None:
            encoder.close()
        _check_whole(temporary, path, count)
        with explained(f"write {path}"):
            flush_to_disk(temporary)
            temporary.replace(path)
    finally:
        if encoder is not None:
            encoder.close()
        temporary.unlink(missing_ok=True)


def _check_whole(temporary: Path, path: Path, count: int) -> None:
    """The encoder does not say how it ended, so its work is read again."""
    try:
        found, _ = imageio_ffmpeg.count_frames_and_secs(str(temporary))
    except (RuntimeError, OSError):
        found = -1
    if found != count:
        raise PoiseError(f"cannot write {path}: only part of the video was written; is the disk full?")
