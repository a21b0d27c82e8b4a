"""Where things are in a data set of LeRobot's format, version 3.0, and what they are called.

    meta/info.json                             version, frame rate, features, how much there is
    meta/stats.json                            of each feature: min, max, mean, std, count
    meta/tasks.parquet                         what is to be done, numbered
    meta/episodes/chunk-000/file-000.parquet   of each episode: length, task, which file holds it, its statistics
    data/chunk-000/file-000.parquet            frames of several episodes, one row each; pictures as PNG
    videos/KEY/chunk-000/file-000.mp4          or as videos of several episodes (these are read, not written)

(https://huggingface.co/docs/lerobot/lerobot-dataset-v3)

A component `name` of an observation is the feature `observation.name` there. Pictures are (channels, height, width)
here and mostly (height, width, channels) there, which a feature's `names` decide.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from poise.config import Config, parse
from poise.errors import InvalidValueError, MissingFileError, PoiseError
from poise.files import read_bytes

VERSION = "v3.0"
INFO = "meta/info.json"
STATS = "meta/stats.json"
TASKS = "meta/tasks.parquet"
EPISODES = "meta/episodes"
FILE = "chunk-{chunk_index:03d}/file-{file_index:03d}"
DATA_PATH = f"data/{FILE}.parquet"
CHUNK_SIZE = 1000
"""Files in a folder."""
OBSERVATION = "observation."
ACTION = "action"
NOTE = "poise/"
"""Before the name of what poise notes of an episode."""
DEPTH = "is_depth_map"
"""What the `info` of a feature says of pictures that hold distances."""
DEPTH_STEPS = 65535
"""Of stored depth, in what is 1."""
INDICES = ("frame_index", "episode_index", "index", "task_index")
"""Whole numbers that every frame has, beside its `timestamp`."""
_PLACE = {"chunk_index": 0, "file_index": 0}
_PLACEHOLDERS: dict[str, dict[str, int | str]] = {"data_path": {**_PLACE}, "video_path": {**_PLACE, "video_key": ""}}
"""What is filled into patterns of paths, for example."""


class Feature(Config):
    """One column of the frames."""

    model_config = ConfigDict(extra="allow")  # others note more

    dtype: str
    shape: tuple[int, ...]
    names: Any = None
    info: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _check_picture(self) -> Self:
        if self.is_picture and len(self.shape) != 3:
            raise ValueError(f"a picture's shape must be (height, width, channels), got {self.shape}")
        return self

    @property
    def layout(self) -> tuple[int, ...]:
        """Its shape here: of pictures (channels, height, width)."""
        first = self.names[0] if isinstance(self.names, list) and self.names else None
        if not self.is_picture or first in ("channel", "channels"):
            return self.shape
        return (self.shape[2], *self.shape[:2])

    @property
    def is_picture(self) -> bool:
        """Whether it is an image, or a video's."""
        return self.dtype in ("image", "video")

    @property
    def is_depth(self) -> bool:
        """Whether it is an image of distances: one channel, 16 bits, of which 0 is 0 and 65,535 is 1."""
        return self.dtype == "image" and bool((self.info or {}).get(DEPTH))


class Info(Config):
    """The content of `meta/info.json`."""

    model_config = ConfigDict(extra="allow")

    codebase_version: str
    robot_type: str | None = None
    total_episodes: int = Field(ge=0)
    total_frames: int = Field(ge=0)
    total_tasks: int = Field(1, ge=0)
    chunks_size: int = CHUNK_SIZE
    fps: int | float = Field(gt=0)
    splits: dict[str, str] = Field(default_factory=dict)
    data_path: str = DATA_PATH
    video_path: str | None = None
    features: dict[str, Feature]

    @field_validator("data_path", "video_path")
    @classmethod
    def _check_pattern(cls, pattern: str | None, field: ValidationInfo) -> str | None:
        known = _PLACEHOLDERS[field.field_name or ""]
        try:
            (pattern or "").format(**known)
        except (LookupError, ValueError, TypeError, AttributeError):
            named = ", ".join(f"{{{name}}}" for name in known)
            raise ValueError(f"must have no placeholders but {named}") from None
        return pattern

    @property
    def components(self) -> dict[str, tuple[int, ...]]:
        """Of an observation: name and shape, pictures with their channels first."""
        found = {key: feature for key, feature in self.features.items() if key.startswith(OBSERVATION)}
        return {key.removeprefix(OBSERVATION): feature.layout for key, feature in found.items()}

    @property
    def pictures(self) -> tuple[str, ...]:
        """Components that are pictures."""
        keys = [key for key, feature in self.features.items() if feature.is_picture and key.startswith(OBSERVATION)]
        return tuple(key.removeprefix(OBSERVATION) for key in keys)

    @property
    def action_width(self) -> int:
        """Numbers in an action."""
        return int(np.prod(self.features[ACTION].shape))


def described(
    components: Mapping[str, tuple[int, ...]], action_width: int, depths: Collection[str] = ()
) -> dict[str, Feature]:
    """Features of frames that hold these components, (channels, height, width) being pictures.

    Raises:
        InvalidValueError: a picture has channels that its files cannot hold.
    """
    features = {}
    for name, shape in components.items():
        if len(shape) == 3:
            names = ["height", "width", "channels"]
            info = {DEPTH: True} if name in depths else None
            picture = Feature(dtype="image", shape=(*shape[1:], shape[0]), names=names, info=info)
            check_channels(name, picture)
            features[OBSERVATION + name] = picture
        else:
            features[OBSERVATION + name] = Feature(dtype="float32", shape=shape)
    features[ACTION] = Feature(dtype="float32", shape=(action_width,))
    features["timestamp"] = Feature(dtype="float32", shape=(1,))
    return features | {name: Feature(dtype="int64", shape=(1,)) for name in INDICES}


def check_channels(name: str, feature: Feature) -> None:
    """Depth images are of one channel, other pictures of one or three.

    Raises:
        InvalidValueError: this component's are not.
    """
    if feature.is_picture and feature.layout[0] not in ((1,) if feature.is_depth else (1, 3)):
        kind, expected = ("depth image", "one channel") if feature.is_depth else ("picture", "one channel or three")
        raise InvalidValueError(
            f"the {kind} '{name}' must have {expected} to be kept, got {feature.layout[0]} of shape {feature.layout}, "
            "channels first; split it up, or leave it out"
        )


def read_info(folder: Path) -> Info:
    """What a data set says of itself.

    Raises:
        MissingFileError: there is none.
        InvalidValueError: it is of another version or damaged, or tells of no actions.
    """
    path = folder / INFO
    if not path.is_file():
        hint = (
            "an old layout, before version 3.0, is not read" if (folder / "meta").is_dir() else "poise demos makes one"
        )
        raise MissingFileError(f"{folder} holds no demonstrations: there is no {INFO}; {hint}")
    try:
        content = json.loads(read_bytes(path, "the description of a data set"))
    except (ValueError, RecursionError) as error:
        raise PoiseError(f"{path} is damaged ({error}); expected JSON") from error
    version = content.get("codebase_version") if isinstance(content, dict) else None
    if not str(version).startswith("v3."):
        raise InvalidValueError(
            f"{folder} is of LeRobot's format {version}, expected {VERSION}; LeRobot converts older data sets"
        )
    info = parse(Info, content, str(path))
    if ACTION not in info.features or not info.components:
        raise InvalidValueError(
            f"{path} must name a feature '{ACTION}' and at least one '{OBSERVATION}…', got {', '.join(info.features)}"
        )
    return info
