"""Reading demonstrations in LeRobot's format, anybody's: episodes that are damaged are told of and left out."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from poise.errors import InvalidValueError, PoiseError, did_you_mean
from poise.imitation.films import read_film
from poise.imitation.layout import ACTION, DEPTH_STEPS, EPISODES, OBSERVATION, Info, read_info
from poise.imitation.tables import read_table

Size = tuple[int, int]
_NEEDED = ("episode_index", "length", "data/chunk_index", "data/file_index", "dataset_from_index")


class Episode(NamedTuple):
    """Where an episode's frames are."""

    number: int
    length: int
    row: Mapping[str, Any]


class LoadedEpisode(NamedTuple):
    """An episode of T frames.

    Attributes:
        number: its index.
        observation: by component (T, ...): pictures (T, C, H, W) uint8, all else float32, depth images in [0, 1], too.
        actions: (T, A) float32.
    """

    number: int
    observation: Mapping[str, NDArray[Any]]
    actions: NDArray[np.float32]


class Demonstrations:
    """A data set on disk.

    Args:
        folder: which.
        components: of the observation, to be read; all by default.
        size: height and width that pictures are brought to; by default they stay as they are.

    Raises:
        MissingFileError: there are no demonstrations.
        InvalidValueError: they lack a component, or are of an older version.
    """

    def __init__(self, folder: Path | str, components: Sequence[str] | None = None, size: Size | None = None) -> None:
        self.folder = Path(folder)
        self.info: Info = read_info(self.folder)
        known = self.info.components
        unknown = [name for name in components or () if name not in known]
        if unknown:
            raise InvalidValueError(
                f"{self.folder} holds no component '{unknown[0]}'{did_you_mean(unknown[0], known)}; "
                f"it has {', '.join(known)}"
            )
        self.names = tuple(known if components is None else components)
        self._size = size
        self.damaged: dict[int, str] = {}
        self.episodes = self._listed()
        self._film = lru_cache(maxsize=2)(read_film)

    @property
    def components(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of what is read."""
        shapes = {name: self.info.components[name] for name in self.names}
        if self._size is None:
            return shapes
        return {
            name: (shape[0], *self._size) if name in self.info.pictures else shape for name, shape in shapes.items()
        }

    def __len__(self) -> int:
        """Episodes that are described, damaged ones among them."""
        return self.info.total_episodes

    def load(
        self, numbers: Sequence[int] | None = None, progress: Callable[[int], None] | None = None
    ) -> list[LoadedEpisode]:
        """Episodes, all of them or those of these numbers; who is damaged is named in `damaged`, and warned of.

        Args:
            numbers: of the episodes.
            progress: told how many have been read.

        Raises:
            PoiseError: not one of them can be used.
        """
        wanted = None if numbers is None else set(numbers)
        chosen = [episode for episode in self.episodes if wanted is None or episode.number in wanted]
        found: list[LoadedEpisode] = []
        for path, episodes in self._by_file(chosen):
            table = self._unless_damaged(episodes, partial(self._table, path))
            for episode in episodes if table is not None else []:
                loaded = self._unless_damaged([episode], partial(self._loaded, episode, table))
                found += [loaded] if loaded is not None else []
                if progress is not None:
                    progress(len(found))
        if not found:
            first = next(iter(self.damaged.values()), "it has no episodes")
            raise PoiseError(f"{self.folder} holds no demonstration that can be used: {first}")
        if self.damaged:
            warnings.warn(_told(self.folder, self.damaged), stacklevel=2)
        return found

    def _listed(self) -> list[Episode]:
        """What the descriptions tell of, as far as it goes; a file of them that is damaged costs its episodes."""
        rows: dict[int, Episode] = {}
        for path in sorted((self.folder / EPISODES).glob("*/*.parquet")):
            try:
                table = read_table(path)
            except PoiseError as error:
                warnings.warn(f"left out: the episodes that {error}", stacklevel=3)
                continue
            for row in table.to_pylist():
                missing = [name for name in _NEEDED if row.get(name) is None]
                if missing:
                    raise PoiseError(f"{path} is damaged: an episode lacks {', '.join(missing)}")
                rows[row["episode_index"]] = Episode(row["episode_index"], row["length"], row)
        for number in range(self.info.total_episodes):
            if number not in rows:
                self.damaged[number] = "nothing describes it"
        return [rows[number] for number in sorted(rows) if number < self.info.total_episodes]

    def _by_file(self, episodes: Sequence[Episode]) -> Iterator[tuple[Path, list[Episode]]]:
        groups: dict[Path, list[Episode]] = {}
        for episode in episodes:
            place = {name: episode.row[f"data/{name}"] for name in ("chunk_index", "file_index")}
            groups.setdefault(self.folder / self.info.data_path.format(**place), []).append(episode)
        yield from groups.items()

    def _unless_damaged(self, episodes: Sequence[Episode], load: Callable[[], Any]) -> Any:
        """None, and a note for each, where what is to be loaded is damaged."""
        try:
            return load()
        except PoiseError as error:
            self.damaged |= dict.fromkeys([episode.number for episode in episodes], str(error))
            return None

    def _table(self, path: Path) -> Any:
        films = {OBSERVATION + name for name in self.info.pictures if self._is_film(name)}
        keys = [key for key in (*(OBSERVATION + name for name in self.names), ACTION) if key not in films]
        table = read_table(path)
        absent = [key for key in (*keys, "episode_index") if key not in table.column_names]
        if absent:
            raise PoiseError(f"{path} is damaged: it has no column '{absent[0]}'")
        return table.select([*keys, "episode_index"])

    def _loaded(self, episode: Episode, table: Any) -> LoadedEpisode:
        """An episode from the table of its file."""
        rows = table.filter(table.column("episode_index").to_numpy() == episode.number)
        if rows.num_rows != episode.length:
            raise PoiseError(f"it has {rows.num_rows} frames, expected {episode.length}")
        observation = {name: self._component(name, episode, rows) for name in self.names}
        actions = self._numbers(ACTION, rows, (self.info.action_width,))
        return LoadedEpisode(episode.number, observation, actions)

    def _component(self, name: str, episode: Episode, rows: Any) -> NDArray[Any]:
        key = OBSERVATION + name
        if name not in self.info.pictures:
            return self._numbers(key, rows, self.info.components[name])
        if self._is_film(name):
            return self._from_film(key, episode)
        return np.stack([self._picture(row, key) for row in rows.column(key).to_pylist()])

    def _numbers(self, key: str, rows: Any, shape: tuple[int, ...]) -> NDArray[np.float32]:
        values = np.asarray(rows.column(key).to_pylist(), np.float32).reshape(rows.num_rows, -1)
        if values.shape[1] != np.prod(shape):
            raise PoiseError(f"{key} has {values.shape[1]} numbers, expected {int(np.prod(shape))}")
        if not np.isfinite(values).all():
            raise PoiseError(f"{key} holds numbers that are not finite")
        return values.reshape(-1, *shape)

    def _picture(self, row: Mapping[str, Any] | None, key: str) -> NDArray[Any]:
        """(C, H, W) uint8, of depth float32 in [0, 1]."""
        is_depth = self.info.features[key].is_depth
        content, place = (row or {}).get("bytes"), (row or {}).get("path")
        try:
            opened = Image.open(io.BytesIO(content) if content is not None else self.folder / str(place))
            image = opened.convert("F" if is_depth else "RGB" if self.info.features[key].shape[2] == 3 else "L")
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
            raise PoiseError(f"a picture of {key} is damaged ({error})") from error
        expected = self.info.features[key].shape
        if (image.height, image.width) != tuple(expected[:2]):
            raise PoiseError(
                f"a picture of {key} has {image.height}x{image.width} pixels, expected {expected[0]}x{expected[1]}"
            )
        if self._size is not None and (image.height, image.width) != self._size:
            image = image.resize(self._size[::-1], Image.Resampling.BILINEAR)
        pixels = np.asarray(image) / np.float32(DEPTH_STEPS) if is_depth else np.asarray(image)
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)

    def _is_film(self, name: str) -> bool:
        return self.info.features[OBSERVATION + name].dtype == "video"

    def _from_film(self, key: str, episode: Episode) -> NDArray[np.uint8]:
        """(T, C, H, W) from the part of a video that is this episode's."""
        row, prefix = episode.row, f"videos/{key}"
        place = {name: row.get(f"{prefix}/{name}") for name in ("chunk_index", "file_index")}
        start = row.get(f"{prefix}/from_timestamp")
        if self.info.video_path is None or None in place.values() or start is None:
            raise PoiseError(f"nothing tells where the video of {key} is")
        height, width, _ = self.info.features[key].shape
        film = self._film(
            self.folder / self.info.video_path.format(video_key=key, **place), self._size or (height, width)
        )
        first = round(start * self.info.fps)
        if len(film) < first + episode.length:
            raise PoiseError(f"the video of {key} has {len(film)} frames, expected {first + episode.length} or more")
        return film[first : first + episode.length].transpose(0, 3, 1, 2)


def _told(folder: Path, damaged: Mapping[int, str]) -> str:
    shown = "; ".join(f"episode {number}: {why}" for number, why in sorted(damaged.items())[:5])
    more = f"; and {len(damaged) - 5} more" if len(damaged) > 5 else ""
    return f"{len(damaged)} of the demonstrations in {folder} are left out ({shown}{more})"
