"""Writing demonstrations in LeRobot's format, block by block of episodes; what is begun can be gone on with."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poise.errors import InvalidValueError
from poise.files import write_atomically
from poise.imitation.layout import (
    ACTION,
    CHUNK_SIZE,
    DATA_PATH,
    DEPTH_STEPS,
    EPISODES,
    FILE,
    INFO,
    NOTE,
    OBSERVATION,
    STATS,
    TASKS,
    VERSION,
    Info,
    described,
    read_info,
)
from poise.imitation.statistics import KINDS, Statistics, of_frames, together
from poise.imitation.tables import frames_table, read_table, rows_table, tasks_table, write_table


@dataclass(frozen=True)
class Demonstration:
    """One episode of T decisions.

    Attributes:
        observation: by component (T, ...), pictures (T, C, H, W) uint8.
        actions: (T, A).
        notes: numbers to keep with it, by name.
    """

    observation: Mapping[str, NDArray[Any]]
    actions: NDArray[np.floating[Any]]
    notes: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.actions)

    def beginning(self, decisions: int) -> Demonstration:
        """The first so many."""
        observation = {name: values[:decisions] for name, values in self.observation.items()}
        return replace(self, observation=observation, actions=self.actions[:decisions])


class DemonstrationWriter:
    """Adds episodes to a folder.

    Each `write` makes one file of frames and one that describes them, of the same number. An episode counts once
    `info.json` says so, which is written last: what a crash leaves beyond that, who goes on writes over.

    Args:
        folder: of a new data set, or of one to go on with.
        components: of an observation, name and shape.
        action_width: numbers in an action.
        fps: decisions a second.
        task: what is demonstrated, in words.
        robot: its type.
        depths: components that are depth images (1, H, W) in [0, 1], which 16 bits keep.

    Raises:
        InvalidValueError: the folder holds demonstrations of something else, or files that others laid out.
    """

    def __init__(
        self,
        folder: Path | str,
        components: Mapping[str, tuple[int, ...]],
        action_width: int,
        fps: float,
        task: str,
        robot: str | None = None,
        depths: Collection[str] = (),
    ) -> None:
        self.folder = Path(folder)
        new = Info(
            codebase_version=VERSION,
            robot_type=robot,
            total_episodes=0,
            total_frames=0,
            fps=fps,
            features=described(components, action_width, depths),
        )
        self.info = read_info(self.folder) if (self.folder / INFO).exists() else new
        if (self.info.features, self.info.fps) != (new.features, new.fps):
            raise InvalidValueError(
                f"{self.folder} holds demonstrations of {_told(self.info)}, not of {_told(new)}; use another folder"
            )
        self._task = task
        self._rows: list[dict[str, Any]] = []
        self._files = 0
        if self.info.total_episodes:
            self._go_on()

    @property
    def notes(self) -> list[dict[str, int]]:
        """What was noted of each episode that is there."""
        marked = [{key: value for key, value in row.items() if key.startswith(NOTE)} for row in self._rows]
        return [{key.removeprefix(NOTE): value for key, value in row.items()} for row in marked]

    def write(self, demonstrations: Sequence[Demonstration]) -> None:
        """Some more episodes, in a file of their own.

        Raises:
            InvalidValueError: one has other components, other shapes, pictures that are not uint8 (or, of depth,
                floating-point), no steps, or numbers that are not finite.
            PoiseError: the disk refuses; what was there before stays.
        """
        if isinstance(demonstrations, Demonstration):
            raise InvalidValueError("expected a sequence of demonstrations, got one; write [demonstration]")
        if not demonstrations:
            return
        for demonstration in demonstrations:
            self._check(demonstration)
        place = self._place()
        episodes = self._numbered(demonstrations)
        columns = {key: np.concatenate([frames[key] for frames in episodes]) for key in self.info.features}
        rows = [self._described(one, frames, place) for one, frames in zip(demonstrations, episodes, strict=True)]
        write_table(self.folder / self.info.data_path.format(**place), frames_table(columns, self.info.features))
        write_table(self.folder / EPISODES / f"{FILE.format(**place)}.parquet", rows_table(rows))
        self._rows += rows
        self._files += 1
        self._tell()

    def _tell(self) -> None:
        """Statistics, tasks and at last what there is."""
        statistics = {key: together([_statistics(row, key) for row in self._rows]) for key in self.info.features}
        content = {key: {name: value.tolist() for name, value in of.items()} for key, of in statistics.items()}
        write_atomically(self.folder / STATS, json.dumps(content, indent=1) + "\n")
        write_table(self.folder / TASKS, tasks_table([self._task]))
        episodes, frames = len(self._rows), self._rows[-1]["dataset_to_index"]
        totals = {"total_episodes": episodes, "total_frames": frames, "splits": {"train": f"0:{episodes}"}}
        self.info = self.info.model_copy(update=totals)
        write_atomically(self.folder / INFO, json.dumps(_as_json(self.info), indent=1) + "\n")

    def _go_on(self) -> None:
        """Read the descriptions of what is there."""
        while len(self._rows) < self.info.total_episodes:
            path = self.folder / EPISODES / f"{FILE.format(**self._place())}.parquet"
            rows = read_table(path).to_pylist() if path.exists() else []
            if not rows or not all(self._is_ours(row, number) for number, row in enumerate(rows, len(self._rows))):
                break
            self._rows += rows
            self._files += 1
        if len(self._rows) != self.info.total_episodes or self.info.data_path != DATA_PATH:
            raise InvalidValueError(
                f"{self.folder} does not keep frames and description of each of its {self.info.total_episodes} "
                "episodes in two files of one number, as poise does: others wrote it, or it is damaged, and nothing "
                "can be added; use another folder"
            )
        others = sorted({str(task) for row in self._rows for task in row.get("tasks") or ()} - {self._task})
        if others:
            raise InvalidValueError(
                f"{self.folder} holds demonstrations of the task '{others[0]}', not of '{self._task}'; "
                "use another folder"
            )

    def _place(self) -> dict[str, int]:
        """Of the next file."""
        return {"chunk_index": self._files // CHUNK_SIZE, "file_index": self._files % CHUNK_SIZE}

    def _is_ours(self, row: Mapping[str, Any], number: int) -> bool:
        """Whether it describes that episode, with its frames in the file of the same place, as is done here."""
        told = {"episode_index": number, **{f"data/{name}": value for name, value in self._place().items()}}
        needed = ["dataset_to_index", *(f"stats/{key}/{name}" for key in self.info.features for name in KINDS)]
        alike = all(row.get(name) == value for name, value in told.items())
        return alike and all(row.get(name) is not None for name in needed)

    def _check(self, demonstration: Demonstration) -> None:
        length, components, width = len(demonstration), self.info.components, self.info.action_width
        if not length:
            raise InvalidValueError("a demonstration has no steps, expected one or more")
        observation = {name: np.atleast_1d(values) for name, values in demonstration.observation.items()}
        if {name: values.shape[1:] for name, values in observation.items()} != components:
            expected = {name: (length, *shape) for name, shape in components.items()}
            shapes = {name: values.shape for name, values in observation.items()}
            raise InvalidValueError(f"a demonstration must have observations {expected}, got {shapes}")
        if np.shape(demonstration.actions) != (length, width):
            raise InvalidValueError(f"actions must be ({length}, {width}), got {np.shape(demonstration.actions)}")
        for name, values in observation.items():
            if len(values) != length:
                raise InvalidValueError(
                    f"a demonstration has {length} actions and {len(values)} observations '{name}', "
                    "expected one of each for every step"
                )
            self._check_kind(name, values)
        numbers = {**observation, ACTION: demonstration.actions}
        wrong = [name for name, values in numbers.items() if not np.isfinite(values).all()]
        if wrong:
            raise InvalidValueError(f"a demonstration must be of finite numbers, {wrong[0]} is not")

    def _check_kind(self, name: str, values: NDArray[Any]) -> None:
        """Pictures are stored as they are: other numbers would not survive it."""
        is_depth = self.info.features[OBSERVATION + name].is_depth
        if name in self.info.pictures and not (values.dtype.kind == "f" if is_depth else values.dtype == np.uint8):
            kind, expected = ("depth image", "floats in [0, 1]") if is_depth else ("picture", "uint8 from 0 to 255")
            raise InvalidValueError(f"the {kind} '{name}' must be of {expected}, got {values.dtype}")
        if is_depth and (values.min() < 0.0 or values.max() > 1.0):
            raise InvalidValueError(
                f"the depth image '{name}' must be of floats in [0, 1], got {values.min():g} to {values.max():g}; "
                "bring depths there, by the camera's range"
            )

    def _numbered(self, demonstrations: Sequence[Demonstration]) -> list[dict[str, NDArray[Any]]]:
        """The frames of each, by feature, following those that are there."""
        episodes, first = [], self.info.total_frames
        for number, demonstration in enumerate(demonstrations, start=self.info.total_episodes):
            episodes.append(self._frames(demonstration, number, first))
            first += len(demonstration)
        return episodes

    def _frames(self, demonstration: Demonstration, number: int, first: int) -> dict[str, NDArray[Any]]:
        """Of one episode, by feature."""
        steps = np.arange(len(demonstration))
        return {
            **{OBSERVATION + name: self._stored(name, of) for name, of in demonstration.observation.items()},
            ACTION: np.asarray(demonstration.actions, np.float32),
            "timestamp": (steps / self.info.fps).astype(np.float32),
            "frame_index": steps,
            "episode_index": np.full_like(steps, number),
            "index": steps + first,
            "task_index": np.zeros_like(steps),
        }

    def _stored(self, name: str, values: NDArray[Any]) -> NDArray[Any]:
        if self.info.features[OBSERVATION + name].is_depth:
            return np.rint(np.clip(values, 0.0, 1.0) * DEPTH_STEPS).astype(np.uint16)
        return np.asarray(values, np.uint8 if name in self.info.pictures else np.float32)

    def _described(
        self, demonstration: Demonstration, frames: Mapping[str, NDArray[Any]], place: Mapping[str, int]
    ) -> dict[str, Any]:
        """What is kept of an episode beside its frames."""
        statistics = {key: of_frames(frames[key]) for key in self.info.features}
        first = int(frames["index"][0])
        return {
            "episode_index": int(frames["episode_index"][0]),
            "tasks": [self._task],
            "length": len(demonstration),
            "data/chunk_index": place["chunk_index"],
            "data/file_index": place["file_index"],
            "dataset_from_index": first,
            "dataset_to_index": first + len(demonstration),
            "meta/episodes/chunk_index": place["chunk_index"],
            "meta/episodes/file_index": place["file_index"],
            **{f"stats/{key}/{name}": value.tolist() for key, of in statistics.items() for name, value in of.items()},
            **{f"{NOTE}{name}": int(value) for name, value in demonstration.notes.items()},
        }


def _as_json(info: Info) -> dict[str, Any]:
    """As others write it: what a feature does not tell is not there, but for its names."""
    content = info.model_dump(mode="json")
    for feature in content["features"].values():
        if feature["info"] is None:
            del feature["info"]
    return content


def _statistics(row: Mapping[str, Any], key: str) -> Statistics:
    """Of a feature, as an episode's row has them."""
    return {name: np.asarray(row[f"stats/{key}/{name}"]) for name in KINDS}


def _told(info: Info) -> str:
    shown = ", ".join(f"{name} {shape}" for name, shape in info.components.items())
    return f"{shown} and actions of {info.action_width} at {info.fps:g} a second"
