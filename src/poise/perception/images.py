"""The depth images an encoder learns from, and what the robots felt at the same moments, on disk by episode.

    <folder>/dataset.json                 cameras, image size, names and shapes of what was felt, and for each complete
                                          episode its seed, driver and frames
    <folder>/images/episode_000123.npz    camera name -> (T, height, width) uint16, component -> (T, ...) float32

Depth in [0, 1] m is stored in steps of 1/65535 m: an error of at most 7.7e-6 m, at half the size of float32 before and
about a fifth after compression. An episode counts as complete once `dataset.json` names it, which is written last.
Datasets that older versions collected tell nothing of what was felt.
"""

from __future__ import annotations

import io
import json
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from poise.config import Config, parse
from poise.errors import InvalidValueError, MissingFileError, PoiseError
from poise.files import read_bytes, write_atomically

Depths = NDArray[np.uint16]
Felt = NDArray[np.float32]
Driver = Literal["random", "pid"]
STEPS = 65535  # of stored depth in a metre
DESCRIPTION = "dataset.json"
Loaded = TypeVar("Loaded")


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
    felt: dict[str, tuple[int, ...]] = Field(default_factory=dict, description="components and their shapes")
    episodes: dict[int, EpisodeInfo] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        if both := sorted(self.felt.keys() & set(self.cameras)):
            raise ValueError(f"{', '.join(both)} cannot be a camera and a component that is felt")
        return self


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
        self,
        folder: Path | str,
        cameras: Sequence[str],
        height: int = 64,
        width: int = 64,
        max_depth: float = 1.0,
        felt: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        self.folder = Path(folder)
        described = {"cameras": tuple(cameras), "height": height, "width": width, "max_depth": max_depth}
        wanted = parse(DatasetInfo, described | {"felt": dict(felt or {})}, "image dataset")
        self.info = _read_info(self.folder) if (self.folder / DESCRIPTION).exists() else wanted
        if self.info.model_copy(update={"episodes": {}}) != wanted:
            raise InvalidValueError(
                f"{self.folder} holds images of {_described(self.info)}, not of {_described(wanted)}; "
                "use another folder"
            )

    def has(self, episode: int) -> bool:
        """Whether that episode is complete on disk."""
        return episode in self.info.episodes and _episode_path(self.folder, episode).is_file()

    def write(
        self,
        episode: int,
        images: Mapping[str, NDArray[np.floating[Any]]],
        seed: int,
        driver: Driver,
        felt: Mapping[str, NDArray[np.floating[Any]]] | None = None,
    ) -> None:
        """Store an episode.

        Args:
            episode: its number.
            images: {camera: (T, height, width)}, depth in [0, 1] m.
            seed: of the environment.
            driver: what acted.
            felt: {component: (T, ...)} at the moments of the images.
        """
        info, felt = self.info, felt or {}
        stored = {name: quantise(np.asarray(images[name])) for name in info.cameras if name in images}
        frames = len(next(iter(stored.values()), ()))
        expected = (frames, info.height, info.width)
        if stored.keys() != set(info.cameras) or any(depth.shape != expected for depth in stored.values()):
            raise InvalidValueError(f"an episode of {_described(info)} cannot hold images of shape {_shapes(images)}")
        if _shapes(felt) != {name: (frames, *shape) for name, shape in info.felt.items()}:
            raise InvalidValueError(f"{frames} frames of {_described(info)} cannot hold what was felt: {_shapes(felt)}")
        if not all(np.isfinite(values).all() for values in felt.values()):
            raise InvalidValueError("what was felt must be finite")
        described = parse(EpisodeInfo, {"seed": seed, "driver": driver, "frames": frames}, f"episode {episode}")
        content = io.BytesIO()
        components = {name: np.asarray(felt[name], np.float32) for name in info.felt}
        np.savez_compressed(content, allow_pickle=False, **stored, **components)
        write_atomically(_episode_path(self.folder, episode), content.getvalue())
        episodes = dict(sorted({**info.episodes, episode: described}.items()))
        self.info = info.model_copy(update={"episodes": episodes})
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
        size = (self.info.height, self.info.width)
        return self._arrays(episode, dict.fromkeys(self.cameras, size), np.uint16)

    def load_felt(self, episode: int) -> dict[str, Felt]:
        """What an episode's robot felt {component: (T, ...)}; `PoiseError` naming the file when it is damaged."""
        return self._arrays(episode, self.info.felt, np.float32)

    def sample(self, episodes: Sequence[int], limit: int, rng: np.random.Generator) -> Depths:
        """At most `limit` images (n, height, width) drawn without replacement from all cameras of some episodes."""
        parts = [np.empty((0, self.info.height, self.info.width), np.uint16)]
        for episode, own in self.draw(episodes, len(self.cameras), limit, rng):
            if (images := self.unless_damaged(self.load, episode)) is not None:
                parts.append(np.concatenate([images[name] for name in self.cameras])[own])
        return np.concatenate(parts)

    def draw(
        self, episodes: Sequence[int], per_frame: int, limit: int, rng: np.random.Generator
    ) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Which to take of each episode, when at most `limit` are drawn without replacement and a frame has several.

        The draw is made before anything is read, so that no more than the chosen ones are held in memory.
        """
        counts = np.array([self.info.episodes[episode].frames * per_frame for episode in episodes])
        ends = np.cumsum(counts)
        total = int(ends[-1]) if len(ends) else 0
        chosen = np.sort(rng.permutation(total)[:limit])
        for episode, start, end in zip(episodes, ends - counts, ends, strict=True):
            own = chosen[(chosen >= start) & (chosen < end)] - start
            if len(own):
                yield episode, own

    def unless_damaged(self, load: Callable[[int], Loaded], episode: int) -> Loaded | None:
        """What `load` makes of an episode; None, with a warning, when its file is damaged."""
        try:
            return load(episode)
        except PoiseError as error:
            self.damaged[_episode_path(self.folder, episode).name] = str(error)
            warnings.warn(f"left out: {error}", stacklevel=3)
            return None

    def _arrays(self, episode: int, shapes: Mapping[str, tuple[int, ...]], kind: type[Any]) -> dict[str, NDArray[Any]]:
        """Arrays of an episode by name, one row for each frame."""
        path = _episode_path(self.folder, episode)
        content = read_bytes(path, "an episode of depth images")
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                arrays = {name: file[name] for name in shapes}
        except (zipfile.BadZipFile, zlib.error, ValueError, KeyError, EOFError, OSError, NotImplementedError) as error:
            raise PoiseError(f"{path} is damaged ({error}); delete it and run `poise collect` again") from error
        for name, array in arrays.items():
            expected = (self.info.episodes[episode].frames, *shapes[name])
            if array.shape != expected or array.dtype != kind or not np.isfinite(array).all():
                raise PoiseError(
                    f"{path} is damaged: {name} is {array.shape} {array.dtype}, expected {expected} {np.dtype(kind)}"
                    f"{' of finite numbers' if kind is np.float32 else ''}; delete it and run `poise collect` again"
                )
        return arrays


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
    felt = f" with {', '.join(info.felt)}" if info.felt else ""
    return f"{info.height}x{info.width} pixels{depth} from {', '.join(info.cameras)}{felt}"


def _shapes(arrays: Mapping[str, NDArray[Any]]) -> dict[str, tuple[int, ...]]:
    return {name: np.shape(array) for name, array in arrays.items()}
