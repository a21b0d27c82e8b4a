"""From an environment's observation to what a policy takes: tensors, with camera frames encoded once each.

body ───────────────────────────────────────────► tensors
camera ─┬─► frozen encoder, where it is new ────► codes
        └─► as it is, for a policy that learns ─► frames, which know where they are new
"""

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from poise.envs.options import CAMERAS
from poise.envs.vision import AGE, MISSING_CAMERAS
from poise.errors import InvalidValueError, did_you_mean
from poise.fusion import ObsSegments
from poise.nn.frames import FrameStream, dense
from poise.perception import EncodedCameras, FrozenDepthEncoder
from poise.perception.cache import ImageAges
from poise.policies.config import Shape

ARRAY = "observation"
"""Name of the one component of an observation that is an array and not a mapping."""

Segments = Mapping[str, Shape]
"""`obs_segments`: what the numbers of a vector are, in their order, by name and width or shape."""


class Sensing:
    """Prepares the observations of `num_envs` environments for a policy.

    Which cameras give nothing (`missing_cameras`) passes beside the components, unless it is asked for as one.
    The frozen encoder takes all images but those that the policy encodes itself. Without it, images of a ballbot's
    cameras are refused, since hardly anybody wants them flat, and other arrays pass as they are.

    Args:
        space: of one environment's observation, a Dict or a Box.
        encoder: turns images into features; None where nobody else does.
        num_envs: environments.
        control_step: time between two observations, s; read only where there are images.
        names: components to keep; all by default.
        threads: that encode images; features do not depend on how many.
        segments: components of an observation that is a vector, by name and width or shape, one after another.
        learned: components that the policy has encoders of its own for.
    """

    def __init__(
        self,
        space: spaces.Space[Any],
        encoder: FrozenDepthEncoder | None,
        num_envs: int,
        control_step: float,
        names: tuple[str, ...] | None = None,
        threads: int = 1,
        segments: Segments | None = None,
        learned: Collection[str] = (),
    ) -> None:
        components = _components(space, segments)
        self._segments = None if segments is None else ObsSegments(segments)
        self._names = _chosen(components, names)
        self._pictures = [name for name in self._names if len(components[name]) == 3]
        images = [name for name in self._pictures if name not in learned]
        flat = [name for name in images if name in CAMERAS]
        if flat and encoder is None:
            raise InvalidValueError(
                f"the observation holds images ({', '.join(flat)}) but policy.encoder names no encoder; "
                "name the one that comes with poise (--policy.encoder models/ballbot/encoder) or make one with "
                "'poise collect' and 'poise pretrain', let the policy learn to encode them (policy.fusion, "
                "policy.encoders), "
                "or turn the cameras off (--env.options.cameras.enabled false)"
            )
        if encoder is not None:
            _check_used(images, [name for name in self._names if name in learned and name in CAMERAS])
            _check_images({name: components[name] for name in images}, encoder)
            _check_depths(space, images, encoder.max_depth)
            _check_ages(images, components)
        self._cameras: EncodedCameras | None = None
        if encoder is not None and images:
            stack = components[images[0]][0] // encoder.spec.channels
            self._cameras = EncodedCameras(encoder, images, num_envs, control_step, threads, stack)
        self._streams = {name: FrameStream() for name in self._pictures if name in learned}
        coded = {} if self._cameras is None else dict.fromkeys(images, (self._cameras.width,))
        self._ages = ImageAges(num_envs, control_step)
        self._tells_age = AGE in components and set(self._streams) <= set(CAMERAS)
        self.shapes = {name: components[name] for name in self._names} | coded

    @staticmethod
    def component_names(space: spaces.Space[Any], segments: Segments | None = None) -> tuple[str, ...]:
        """Of the parts of an observation.

        Raises:
            InvalidValueError: a policy could not read them.
        """
        return _chosen(_components(space, segments), None)

    def __call__(self, observation: Any) -> dict[str, Tensor]:
        """The next observation of all environments; call once for each, in order."""
        components = self._merge(observation, self._cameras(observation) if self._cameras else {})
        return self.as_frames(components, self._fresh(observation))

    def as_frames(self, components: dict[str, Any], fresh: Tensor | None = None) -> dict[str, Any]:
        """The next observation, with frames in place of images that the policy learns to encode.

        fresh: (N,) bool, where the images are new, if that is known.
        """
        return components | {name: stream(dense(components[name]), fresh) for name, stream in self._streams.items()}

    def _fresh(self, observation: Any) -> Tensor | None:
        """(N,) bool where images to be learned from are new, if their age is told."""
        if not (self._streams and self._tells_age):
            return None
        return self._ages.fresh(observation)

    @property
    def frames(self) -> tuple[str, ...]:
        """Components that are held as images, each once for all the steps that it lasts."""
        return tuple(self._streams)

    def forget(self) -> None:
        """Have all images encoded anew by the policy, whatever came before."""
        for stream in self._streams.values():
            stream.forget()

    def final(self, observations: Any, robots: np.ndarray[Any, np.dtype[np.int64]]) -> dict[str, Tensor]:
        """The final observations of episodes of `robots` that end with this step; ask before the observation after it.

        Args:
            observations: (N,) objects, one environment's observation each, as `info["final_obs"]` has them.
            robots: (K,) indices.
        """
        rows = [self._mapping(observations[robot]) for robot in robots]
        chosen = {name: np.stack([row[name] for row in rows]) for name in rows[0] if name in self._keep}
        return self._merge(chosen, self._cameras.peek(chosen, robots) if self._cameras else {})

    def pictures(self, observation: Any) -> dict[str, np.ndarray[Any, Any]]:
        """{name: (N, C, H, W)} the images of an observation as they are, whoever encodes them."""
        values = self._mapping(observation) if self._pictures else {}
        return {name: np.asarray(values[name], np.float32) for name in self._pictures}

    def state(self) -> dict[str, Any]:
        """The features of the latest images, or how old these are."""
        frames = {"frame_ages": self._ages.latest.clone()} if self._streams else {}
        return frames | (self._cameras.state() if self._cameras else {})

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from `state()`."""
        if self._streams:
            self._ages.latest = state["frame_ages"].clone()
        if self._cameras:
            self._cameras.load_state(state)

    @property
    def _keep(self) -> set[str]:
        return {*self._names, AGE, MISSING_CAMERAS}

    def _merge(self, observation: Any, encoded: Mapping[str, Tensor]) -> dict[str, Tensor]:
        values = self._mapping(observation)
        told = [MISSING_CAMERAS] if MISSING_CAMERAS in values and MISSING_CAMERAS not in self._names else []
        return {
            name: encoded[name] if name in encoded else torch.from_numpy(self._own(name, values[name]))
            for name in (*self._names, *told)
        }

    def _own(self, name: str, value: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
        """A component that nobody else changes; a ballbot's images never change, and are large."""
        return np.array(value, np.float32, copy=None if self._tells_age and name in self._streams else True)

    def _mapping(self, observation: Any) -> Mapping[str, Any]:
        """Arrays of an observation by their names."""
        if isinstance(observation, Mapping):
            return observation
        if self._segments is None:
            return {ARRAY: observation}
        parts = self._segments.split(torch.from_numpy(observation))
        return {name: part.numpy() for name, part in parts.items()}


def _components(space: spaces.Space[Any], segments: Segments | None) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the parts of an observation."""
    if segments is not None:
        return _segmented(space, ObsSegments(segments))
    parts = space.spaces if isinstance(space, spaces.Dict) else {ARRAY: space}
    unknown = [name for name, part in parts.items() if not isinstance(part, spaces.Box)]
    if unknown:
        raise InvalidValueError(
            f"no policy for the observation {', '.join(unknown)} of {space}; expected arrays, or a mapping of arrays"
        )
    return {name: tuple(part.shape or ()) for name, part in parts.items()}


def _segmented(space: spaces.Space[Any], segments: ObsSegments) -> dict[str, tuple[int, ...]]:
    if not isinstance(space, spaces.Box) or space.shape != (segments.size,):
        raise InvalidValueError(
            f"policy.obs_segments names {segments.size} numbers ({', '.join(segments.shapes)}), but the environment's "
            f"observation is {_described(space)}"
        )
    return segments.shapes


def _described(space: spaces.Space[Any]) -> str:
    if isinstance(space, spaces.Dict):
        return f"a mapping of {', '.join(space.spaces)} already"
    return f"an array of shape {space.shape}" if isinstance(space, spaces.Box) else str(space)


def _check_used(images: Collection[str], learned: Collection[str]) -> None:
    """An encoder that is named has images to encode, unless there are none at all."""
    if learned and not images:
        raise InvalidValueError(
            f"policy.encoder is to encode {', '.join(learned)}, for which policy.encoders has networks that learn; "
            "leave one of the two away"
        )


def _check_images(images: Mapping[str, tuple[int, ...]], encoder: FrozenDepthEncoder) -> None:
    expected = (encoder.spec.channels, encoder.spec.height, encoder.spec.width)
    stack = next((shape[0] // expected[0] for shape in images.values()), 1)  # each of a stack is encoded by itself
    stacked = (max(stack, 1) * expected[0], *expected[1:])
    wrong = [f"{name} has {shape}" for name, shape in images.items() if shape != stacked]
    if wrong:
        raise InvalidValueError(
            f"the encoder reads images of shape {expected} (channels, height, width), but {' and '.join(wrong)}; "
            "pretrain one on images of these cameras, or set env.options.cameras to its size"
        )


def _check_depths(space: spaces.Space[Any], images: Collection[str], max_depth: float | None) -> None:
    """Images clipped elsewhere would look like others to the encoder."""
    parts = space.spaces if isinstance(space, spaces.Dict) else {}
    clips = {float(part.high.max()) for name in images if isinstance(part := parts.get(name), spaces.Box)}
    if max_depth is not None and not all(math.isclose(clip, max_depth, rel_tol=1e-6) for clip in clips):
        raise InvalidValueError(
            f"the encoder learned from depth images clipped at {max_depth:g} m, but these are at "
            f"{', '.join(f'{clip:g}' for clip in sorted(clips))} m; pretrain one on images of these cameras, or set "
            "env.options.cameras.max_depth to its"
        )


def _check_ages(images: Collection[str], components: Collection[str]) -> None:
    """How old images are says which of them the encoder has seen already."""
    if images and AGE not in components:
        raise InvalidValueError(
            f"the encoder takes {', '.join(images)}, but the observation does not tell their age, '{AGE}' of shape "
            f"(1,), s; it holds {', '.join(components)}"
        )


def _chosen(components: Mapping[str, tuple[int, ...]], names: tuple[str, ...] | None) -> tuple[str, ...]:
    unknown = [name for name in names or () if name not in components]
    if unknown:
        raise InvalidValueError(
            f"the observation holds no '{unknown[0]}', which a policy or a teacher is to see"
            f"{did_you_mean(unknown[0], components)}; the environment gives {', '.join(components)}"
        )
    return tuple(name for name in components if name != MISSING_CAMERAS) if names is None else names
