"""Features of each camera frame, computed once.

A camera takes a frame every sixth step or so, but every observation carries an image. The encoder is frozen, so an
image that was seen before has features that are known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from poise.envs.vision import AGE
from poise.errors import InvalidValueError
from poise.perception.folded import BLOCK
from poise.perception.frozen import FrozenDepthEncoder

_TOLERANCE = 1e-4  # s; far above float32's rounding of an age, far below a simulation step

Observation = Mapping[str, Any]


class ImageAges:
    """When the images of `num_envs` environments are new ones.

    While an image stays the same its age grows by exactly `step_seconds` from one observation to the next; a smaller
    age means a new one. An age of 0 is always one, and so is the first image after a reset.

    Attributes:
        latest: (num_envs,) s.
    """

    def __init__(self, num_envs: int, step_seconds: float) -> None:
        self.latest = torch.full((num_envs,), torch.inf)  # older than any: everything is new at first
        self._step_seconds = step_seconds

    def fresh(self, observation: Observation) -> Tensor:
        """(num_envs,) bool where the next observation, of `AGE` (num_envs, 1) s, holds new images."""
        before, self.latest = self.latest, self._read(observation, len(self.latest))
        return self._are_younger(self.latest, before)

    def peek(self, observation: Observation, rows: Tensor) -> Tensor:
        """(n,) bool where the next observation of these n environments would hold new images."""
        return self._are_younger(self._read(observation, len(rows)), self.latest[rows])

    def _are_younger(self, ages: Tensor, previous: Tensor) -> Tensor:
        return ages < previous + self._step_seconds - _TOLERANCE

    def _read(self, observation: Observation, count: int) -> Tensor:
        ages = torch.as_tensor(observation[AGE]).reshape(-1).to("cpu", torch.float32, copy=True)
        if len(ages) != count:
            raise InvalidValueError(f"expected the image ages of {count} robots, got {len(ages)}")
        return ages


class EncodedCameras:
    """The camera features of `num_envs` robots, encoding only frames that are new, as `ImageAges` tells.

    Args:
        encoder: for all cameras.
        cameras: names of the images in the observations.
        num_envs: robots.
        step_seconds: time between two observations: the simulation's step times the control decimation, s.
        threads: that encode; features do not depend on how many.
        stack: images that lie one upon the other along the channels; their features lie side by side.
    """

    def __init__(
        self,
        encoder: FrozenDepthEncoder,
        cameras: Sequence[str],
        num_envs: int,
        step_seconds: float,
        threads: int = 1,
        stack: int = 1,
    ) -> None:
        if not cameras or num_envs < 1 or not step_seconds > 0:
            raise InvalidValueError(
                "encoded cameras need a camera, a robot and a positive time between observations, "
                f"got {list(cameras)}, {num_envs} and {step_seconds}"
            )
        self.encoder = encoder
        self.cameras = tuple(cameras)
        self._threads = threads
        self._pool = _single_threaded_workers(threads) if threads > 1 else None
        self._features = torch.zeros(len(self.cameras), num_envs, stack * encoder.spec.latent)
        self._ages = ImageAges(num_envs, step_seconds)

    @property
    def width(self) -> int:
        """Numbers that a camera's images become."""
        return self._features.shape[-1]

    def __call__(self, observation: Observation) -> dict[str, Tensor]:
        """Features {camera: (N, latent)} of the next observation of all robots; the tensors are the caller's.

        observation: images (N, channels, height, width) float32 for each camera, and `relative_image_timestamp`
        (N, 1) s. Call it once for every observation, in their order.
        """
        fresh = self._ages.fresh(observation)
        self._features[:, fresh] = self._encode(observation, fresh)
        return {camera: features.clone() for camera, features in zip(self.cameras, self._features, strict=True)}

    def peek(self, observation: Observation, robots: Sequence[int] | np.ndarray | Tensor) -> dict[str, Tensor]:
        """Features {camera: (n, latent)} of the next observation of some robots, leaving the stored ones as they are.

        For the *final* observations of episodes that end at this step: their images belong to the old episode, so ask
        before the observation that follows the reset goes through `__call__`.

        observation: the final observations of those n robots, stacked.
        """
        rows = torch.as_tensor(np.asarray(robots), dtype=torch.int64)
        fresh = self._ages.peek(observation, rows)
        features = self._features[:, rows]
        features[:, fresh] = self._encode(observation, fresh)
        return dict(zip(self.cameras, features, strict=True))

    def state(self) -> dict[str, Tensor]:
        """What a resumed run needs to continue bit for bit."""
        return {"features": self._features.clone(), "ages": self._ages.latest.clone()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what `state` returned."""
        for name, own in self.state().items():
            if name not in state or state[name].shape != own.shape:
                found = tuple(state[name].shape) if name in state else "nothing"
                raise InvalidValueError(
                    f"the saved camera features do not fit: {name} is {found}, expected {tuple(own.shape)} "
                    "(cameras, robots, features per image)"
                )
        self._features = state["features"].clone()
        self._ages.latest = state["ages"].clone()

    def _encode(self, observation: Observation, fresh: Tensor) -> Tensor:
        """Features (cameras, fresh robots, latent): one call for all cameras, because the encoder works in blocks."""
        spec = self.encoder.spec
        stacks = torch.cat([torch.as_tensor(observation[camera])[fresh] for camera in self.cameras])
        images = stacks.reshape(-1, spec.channels, spec.height, spec.width)
        images = images.to(self.encoder.encoder.project.weight.device)
        if self._pool is None or images.device.type != "cpu" or len(images) <= BLOCK:
            features: Tensor = self.encoder(images)
        else:
            # As few parts as threads, because every block's handful of calls asks for Python's lock.
            blocks = -(-len(images) // BLOCK)
            part = BLOCK * -(-blocks // self._threads)
            features = torch.cat(list(self._pool.map(self.encoder, images.split(part))))
        return features.to(self._features.device).view(len(self.cameras), int(fresh.sum()), self._features.shape[-1])


def _single_threaded_workers(count: int) -> ThreadPoolExecutor:
    """Threads of Python: torch's own would go on spinning after the work, in the way of the simulation's."""
    return ThreadPoolExecutor(count, "poise-encoder", initializer=torch.set_num_threads, initargs=(1,))
