"""Videos as arrays: frames by number."""

from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from poise.errors import MissingFileError, PoiseError
from poise.imitation.films import Film


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Twelve frames, each brighter than the one before."""
    path = tmp_path / "film.mp4"
    film = imageio_ffmpeg.write_frames(str(path), (16, 16), fps=25, output_params=["-crf", "1"])
    film.send(None)
    for step in range(12):
        film.send(np.full((16, 16, 3), 20 * step, np.uint8))
    film.close()
    return path


def steps(frames: np.ndarray) -> list[int]:
    return [round(float(frame.mean()) / 20) for frame in frames]


def test_frames_are_found_forward_and_back(path: Path) -> None:
    film = Film(path, (3, 16, 16), (8, 4))
    assert film.frames(2, 3).shape == (3, 8, 4, 3)
    assert steps(film.frames(7, 5)) == [7, 8, 9, 10, 11]
    first = film.frames(0, 12)
    assert steps(first) == list(range(12))
    assert (film.frames(4, 2) == first[4:6]).all()
    film.close()
    assert (film.frames(4, 2) == first[4:6]).all()
    film.close()


def test_frames_beyond_the_end_and_those_before_it(path: Path) -> None:
    film = Film(path, (3, 16, 16))
    for _ in range(2):
        with pytest.raises(PoiseError, match="has 12 frames, expected 14 or more"):
            film.frames(10, 4)
        assert steps(film.frames(10, 2)) == [10, 11]


def test_a_video_that_is_none(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])
    damaged, missing = Film(path, (3, 16, 16)), Film(path.with_name("none.mp4"), (3, 16, 16))
    for _ in range(2):
        with pytest.raises(PoiseError, match="film.mp4 is damaged"):
            damaged.frames(0, 1)
        with pytest.raises(MissingFileError, match="none.mp4 does not exist; expected a video"):
            missing.frames(0, 1)


def test_a_video_of_another_size_is_not_taken_for_what_it_is_not(path: Path) -> None:
    film = Film(path, (3, 32, 16))
    for _ in range(2):
        with pytest.raises(PoiseError, match=r"film.mp4 has frames of 16x16 pixels, expected 32x16$"):
            film.frames(0, 1)


def test_scaling_is_meant_and_nobody_warns_of_it(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert Film(path, (3, 16, 16), (8, 4)).frames(0, 1).shape == (1, 8, 4, 3)
    assert not caplog.records


def test_one_channel_is_grey(path: Path) -> None:
    grey, coloured = Film(path, (1, 16, 16)).frames(0, 12), Film(path, (3, 16, 16)).frames(0, 12)
    assert grey.shape == (12, 16, 16, 1)
    assert np.abs(grey.astype(int) - coloured).max() <= 2
    assert Film(path, (1, 16, 16), (8, 4)).frames(3, 2).shape == (2, 8, 4, 1)
