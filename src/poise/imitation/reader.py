"""Reading demonstrations in LeRobot's format, anybody's: episodes that are damaged are told of and left out."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from poise.errors import InvalidValueError, PoiseError, did_you_mean
from poise.imitation.films import Film
from poise.imitation.layout import ACTION, DEPTH_STEPS, EPISODES, OBSERVATION, Info, check_channels, read_info
from poise.imitation.tables import read_table

Size = tuple[int, int]
_NEEDED = ("length", "data/chunk_index", "data/file_index")


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
        InvalidValueError: they lack a component, are of an older version, or have pictures that cannot be read.
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
        for name in self.names:
            check_channels(name, self.info.features[OBSERVATION + name])
        self._size = size
        self.damaged: dict[int, str] = {}
        self.episodes = self._listed()
        self._films: dict[str, Film] = {}

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
        try:
            for loaded in self._usable(chosen):
                found += [loaded] if loaded is not None else []
                if progress is not None:
                    progress(len(found))
        finally:
            self._close_films()
        damaged = {number: why for number, why in self.damaged.items() if wanted is None or number in wanted}
        if not found:
            why = _told(damaged) or "it has no episodes"
            raise PoiseError(f"{self.folder} holds no demonstration that can be used: {why}")
        if damaged:
            left_out = f"{len(damaged)} of the demonstrations in {self.folder} are left out"
            warnings.warn(f"{left_out} ({_told(damaged)})", stacklevel=2)
        return found

    def _listed(self) -> list[Episode]:
        """What the descriptions tell of, as far as it goes; a file of them that is damaged costs its episodes."""
        rows: dict[int, Mapping[str, Any]] = {}
        unread: list[str] = []
        for path in sorted((self.folder / EPISODES).glob("*/*.parquet")):
            try:
                table = read_table(path)
            except PoiseError as error:
                unread.append(str(error))
                continue
            rows |= {row["episode_index"]: row for row in table.to_pylist() if _is_whole(row.get("episode_index"))}
        for number in range(self.info.total_episodes):
            wrong = _wrong_with(rows[number]) if number in rows else "; ".join(["nothing describes it", *unread])
            if wrong is not None:
                self.damaged[number] = wrong
        sound = [number for number in range(self.info.total_episodes) if number not in self.damaged]
        return [Episode(number, int(rows[number]["length"]), rows[number]) for number in sound]

    def _usable(self, episodes: Sequence[Episode]) -> Iterator[LoadedEpisode | None]:
        """Each of them, None for one that is damaged itself."""
        for path, stored in self._by_file(episodes):
            table = self._unless_damaged(stored, partial(self._table, path))
            for episode in stored if table is not None else []:
                yield self._unless_damaged([episode], partial(self._loaded, episode, table))

    def _by_file(self, episodes: Sequence[Episode]) -> Iterator[tuple[Path, list[Episode]]]:
        groups: dict[Path, list[Episode]] = {}
        for episode in episodes:
            place = {name: int(episode.row[f"data/{name}"]) for name in ("chunk_index", "file_index")}
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
        return read_table(path, [*keys, "episode_index", "frame_index"])

    def _loaded(self, episode: Episode, table: Any) -> LoadedEpisode:
        """An episode from the table of its file."""
        rows = table.filter(table.column("episode_index").to_numpy() == episode.number)
        if rows.num_rows != episode.length:
            raise PoiseError(f"it has {rows.num_rows} frames, expected {episode.length}")
        rows = _in_order(rows)
        observation = {name: self._component(name, episode, rows) for name in self.names}
        actions = self._numbers(ACTION, rows, (self.info.action_width,))
        return LoadedEpisode(episode.number, observation, actions)

    def _component(self, name: str, episode: Episode, rows: Any) -> NDArray[Any]:
        key = OBSERVATION + name
        if name not in self.info.pictures:
            return self._numbers(key, rows, self.info.components[name])
        if self._is_film(name):
            return self._from_film(key, episode)
        return np.stack([self._picture(cell, key) for cell in rows.column(key).to_pylist()])

    def _numbers(self, key: str, rows: Any, shape: tuple[int, ...]) -> NDArray[np.float32]:
        try:
            values = np.asarray(rows.column(key).to_pylist(), np.float32).reshape(rows.num_rows, -1)
        except (TypeError, ValueError) as error:
            raise PoiseError(f"{key} must be {int(np.prod(shape))} numbers in each frame, and is not") from error
        if values.shape[1] != np.prod(shape):
            raise PoiseError(f"{key} has {values.shape[1]} numbers, expected {int(np.prod(shape))}")
        if not np.isfinite(values).all():
            raise PoiseError(f"{key} holds numbers that are not finite")
        return values.reshape(-1, *shape)

    def _picture(self, cell: Any, key: str) -> NDArray[Any]:
        """(C, H, W) uint8, of depth float32 in [0, 1]."""
        is_depth = self.info.features[key].is_depth
        channels, *expected = self.info.features[key].layout
        try:
            image = Image.open(self._file(cell, key)).convert("F" if is_depth else "RGB" if channels == 3 else "L")
        except UnidentifiedImageError as error:
            raise PoiseError(f"a picture of {key} is damaged (it is of no known format)") from error
        except (OSError, ValueError, SyntaxError) as error:
            raise PoiseError(f"a picture of {key} is damaged ({error})") from error
        if [image.height, image.width] != expected:
            raise PoiseError(
                f"a picture of {key} has {image.height}x{image.width} pixels, expected {expected[0]}x{expected[1]}"
            )
        if self._size is not None and (image.height, image.width) != self._size:
            image = image.resize(self._size[::-1], Image.Resampling.BILINEAR)
        pixels = np.asarray(image) / np.float32(DEPTH_STEPS) if is_depth else np.asarray(image)
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)

    def _file(self, cell: Any, key: str) -> io.BytesIO | Path:
        """A picture's, in the table or beside it."""
        content, place = (cell.get("bytes"), cell.get("path")) if isinstance(cell, Mapping) else (cell, None)
        if content is None and place is None:
            raise PoiseError(f"a picture of {key} is missing")
        if not isinstance(cell, Mapping) or not isinstance(content, bytes | None):
            raise PoiseError(f"a picture of {key} is {type(content).__name__}, expected a struct of bytes and path")
        return io.BytesIO(content) if content is not None else self.folder / str(place)

    def _is_film(self, name: str) -> bool:
        return self.info.features[OBSERVATION + name].dtype == "video"

    def _from_film(self, key: str, episode: Episode) -> NDArray[np.uint8]:
        """(T, C, H, W) from the part of a video that is this episode's."""
        row, prefix, pattern = episode.row, f"videos/{key}", self.info.video_path
        told: dict[str, Any] = {name: row.get(f"{prefix}/{name}") for name in ("chunk_index", "file_index")}
        start = row.get(f"{prefix}/from_timestamp")
        if pattern is None or not all(map(_is_whole, told.values())) or start is None or not 0 <= start < np.inf:
            raise PoiseError(f"nothing tells where the video of {key} is")
        place = {name: int(value) for name, value in told.items()}
        film = self._film(key, self.folder / pattern.format(video_key=key, **place))
        return film.frames(round(start * self.info.fps), episode.length).transpose(0, 3, 1, 2)

    def _film(self, key: str, path: Path) -> Film:
        """The one that is open for a feature, if it is that one."""
        found = self._films.get(key)
        if found is None or found.path != path:
            if found is not None:
                found.close()
            found = self._films[key] = Film(path, self.info.features[key].layout, self._size)
        return found

    def _close_films(self) -> None:
        for film in self._films.values():
            film.close()


def _wrong_with(row: Mapping[str, Any]) -> str | None:
    """What an episode's description lacks to be of use."""
    lacking = [name for name in _NEEDED if not _is_whole(row.get(name))]
    if lacking:
        return f"its description tells no {', '.join(lacking)}"
    return None if row["length"] > 0 else f"it has {row['length']} frames, expected 1 or more"


def _is_whole(value: Any) -> bool:
    """Whether it is a whole number; beside one that is missing, pandas makes the others floating-point ones."""
    return isinstance(value, int | float) and value % 1 == 0


def _in_order(rows: Any) -> Any:
    """An episode's frames as `frame_index` counts them."""
    steps = rows.column("frame_index").to_numpy()
    order, counted = np.argsort(steps, kind="stable"), np.arange(len(steps))
    if not np.array_equal(steps[order], counted):
        raise PoiseError(f"its frames are not numbered 0 to {len(steps) - 1}, each once")
    return rows if np.array_equal(order, counted) else rows.take(order)


def _told(damaged: Mapping[int, str]) -> str:
    """`episodes 3, 7-12: a reason; episode 5: another`."""
    by_reason: dict[str, list[int]] = {}
    for number, why in sorted(damaged.items()):
        by_reason.setdefault(why, []).append(number)
    groups = by_reason.items()
    return "; ".join(f"episode{'s' if len(of) > 1 else ''} {_ranges(of)}: {why}" for why, of in groups)


def _ranges(numbers: Sequence[int]) -> str:
    """`3, 7-12` of numbers in order."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
