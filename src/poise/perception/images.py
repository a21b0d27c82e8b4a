"""The depth images an encoder learns from, on disk by episode.

    <folder>/dataset.json                 cameras, image size, and for each complete episode its seed, driver and frames
    <folder>/images/episode_000123.npz    camera name -> (T, height, width) uint16

Depth in [0, 1] m is stored in steps of 1/65535 m: an error of at most 7.7e-6 m, at half the size of float32 before and
about a fifth after compression. An episode counts as complete once `dataset.json` names it, which is written last.
"""

from __future__ import annotations

import io
import json
import warnings
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from poise.config import Config, parse
from poise.errors import InvalidValueError, MissingFileError, PoiseError
from poise.files import read_bytes, write_atomically

Depths = NDArray[np.uint16]
Driver = Literal["random", "pid"]
STEPS = 65535  # of stored depth in a metre
DESCRIPTION = "dataset.json"


class EpisodeInfo(Config):
    """How an episode came about."""

    seed: int
    driver: Driver
    frames: int = Field(ge=1, description="images of each camera")


class DatasetInfo(Config):
    """The content of `dataset.json`."""

    cameras: tuple[str, ...] = Field(min_length=1)
    height: int = Field(default=64, ge=1)
    width: int = Field(default=64, ge=1)
    max_depth: float | None = Field(default=None, gt=0, le=1)  # of older ones nobody knows
    episodes: dict[int, EpisodeInfo] = Field(default_factory=dict)


def quantise(depth: NDArray[np.floating[Any]]) -> Depths:
    """Depth in [0, 1] m to uint16."""
    if not np.all((depth >= 0) & (depth <= 1)):  # also false for NaN
        raise InvalidValueError("depth images must lie in [0, 1] metres")
    return np.rint(depth * np.float32(STEPS)).astype(np.uint16)


def metres(images: Depths) -> NDArray[np.float32]:
    """uint16 to depth in [0, 1] m."""
    return np.divide(images, STEPS, dtype=np.float32)


class ImageDatasetWriter:
    """Adds episodes to a folder, one file at a time; one that exists is continued.

    A writer that is interrupted leaves complete episodes only; ask `has` before collecting one again.
    """

    def __init__(
        self, folder: Path | str, cameras: Sequence[str], height: int = 64, width: int = 64, max_depth: float = 1.0
    ) -> None:
        self.folder = Path(folder)
        described = {"cameras": tuple(cameras), "height": height, "width": width, "max_depth": max_depth}
        wanted = parse(DatasetInfo, described, "image dataset")
        self.info = _read_info(self.folder) if (self.folder / DESCRIPTION).exists() else wanted
        if self.info.model_copy(update={"episodes": {}}) != wanted:
            raise InvalidValueError(
                f"{self.folder} holds images of {_described(self.info)}, not of {_described(wanted)}; "
                "use another folder"
            )

    def has(self, episode: int) -> bool:
        """Whether that episode is complete on disk."""
        return episode in self.info.episodes and _episode_path(self.folder, episode).is_file()

    def write(self, episode: int, images: Mapping[str, NDArray[np.floating[Any]]], seed: int, driver: Driver) -> None:
        """Store an episode: images {camera: (T, height, width)}, depth in [0, 1] m."""
        stored = {name: quantise(np.asarray(images[name])) for name in self.info.cameras if name in images}
        frames = len(next(iter(stored.values()), ()))
        expected = (frames, self.info.height, self.info.width)
        if stored.keys() != set(self.info.cameras) or any(depth.shape != expected for depth in stored.values()):
            shapes = {name: np.shape(image) for name, image in images.items()}
            raise InvalidValueError(f"an episode of {_described(self.info)} cannot hold images of shape {shapes}")
        info = parse(EpisodeInfo, {"seed": seed, "driver": driver, "frames": frames}, f"episode {episode}")
        content = io.BytesIO()
        np.savez_compressed(content, allow_pickle=False, **stored)
        write_atomically(_episode_path(self.folder, episode), content.getvalue())
        episodes = dict(sorted({**self.info.episodes, episode: info}.items()))
        self.info = self.info.model_copy(update={"episodes": episodes})
        write_atomically(self.folder / DESCRIPTION, json.dumps(self.info.model_dump(mode="json"), indent=1) + "\n")


class ImageDataset:
    """Reads what `ImageDatasetWriter` wrote. Damaged episodes are left out, named in `damaged` and warned about."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.info = _read_info(self.folder)
        self.damaged: dict[str, str] = {}
        if not self.info.episodes:
            raise PoiseError(f"{self.folder} holds no images; run `poise collect` to make some")

    @property
    def cameras(self) -> tuple[str, ...]:
        return self.info.cameras

    @property
    def episodes(self) -> list[int]:
        """Numbers of the episodes, rising."""
        return sorted(self.info.episodes)

    def load(self, episode: int) -> dict[str, Depths]:
        """An episode's images {camera: (T, height, width)}; `PoiseError` naming the file when it is damaged."""
        path = _episode_path(self.folder, episode)
        content = read_bytes(path, "an episode of depth images")
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                images = {name: arrays[name] for name in self.cameras}
        except (zipfile.BadZipFile, zlib.error, ValueError, KeyError, EOFError, OSError, NotImplementedError) as error:
            raise PoiseError(f"{path} is damaged ({error}); delete it and run `poise collect` again") from error
        expected = (self.info.episodes[episode].frames, self.info.height, self.info.width)
        for name, image in images.items():
            if image.shape != expected or image.dtype != np.uint16:
                raise PoiseError(
                    f"{path} is damaged: {name} is {image.shape} {image.dtype}, expected {expected} uint16; "
                    "delete it and run `poise collect` again"
                )
        return images

    def sample(self, episodes: Sequence[int], limit: int, rng: np.random.Generator) -> Depths:
        """At most `limit` images (n, height, width) drawn without replacement from all cameras of some episodes.

        The draw is made before anything is read, so that no more than the chosen images are held in memory.
        """
        frames = np.array([self.info.episodes[episode].frames * len(self.cameras) for episode in episodes])
        ends = np.cumsum(frames)
        total = int(ends[-1]) if len(ends) else 0
        chosen = np.sort(rng.permutation(total)[:limit])
        parts = [np.empty((0, self.info.height, self.info.width), np.uint16)]
        for episode, start, end in zip(episodes, ends - frames, ends, strict=True):
            own = chosen[(chosen >= start) & (chosen < end)] - start
            if len(own) and (images := self._load_or_warn(episode)) is not None:
                parts.append(np.concatenate([images[name] for name in self.cameras])[own])
        return np.concatenate(parts)

    def _load_or_warn(self, episode: int) -> dict[str, Depths] | None:
        try:
            return self.load(episode)
        except PoiseError as error:
            self.damaged[_episode_path(self.folder, episode).name] = str(error)
            warnings.warn(f"left out: {error}", stacklevel=3)
            return None


def split_episodes(episodes: Sequence[int], validation_fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """Episodes to train on and episodes held out, at least one of each.

    By episode, because two frames of one episode are nearly the same image: held out by frame, it would be no test.
    """
    if len(episodes) < 2:
        raise PoiseError(f"an encoder needs images of at least 2 episodes, one of them held out, got {len(episodes)}")
    shuffled = np.random.default_rng(seed).permutation(np.array(sorted(episodes)))
    held_out = min(max(round(validation_fraction * len(shuffled)), 1), len(shuffled) - 1)
    return sorted(shuffled[held_out:].tolist()), sorted(shuffled[:held_out].tolist())


def _read_info(folder: Path) -> DatasetInfo:
    path = folder / DESCRIPTION
    if not path.is_file():
        raise MissingFileError(f"{folder} holds no depth images ({DESCRIPTION} is missing); run `poise collect` first")
    try:
        content = json.loads(read_bytes(path, "the description of an image dataset"))
    except (ValueError, RecursionError) as error:
        raise PoiseError(f"{path} is damaged ({error}); collect the images into a new folder") from error
    return parse(DatasetInfo, content, str(path))


def _episode_path(folder: Path, episode: int) -> Path:
    return folder / "images" / f"episode_{episode:06d}.npz"


def _described(info: DatasetInfo) -> str:
    depth = "" if info.max_depth is None else f" of up to {info.max_depth:g} m"
    return f"{info.height}x{info.width} pixels{depth} from {', '.join(info.cameras)}"
