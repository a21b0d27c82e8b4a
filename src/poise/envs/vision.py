"""What a ballbot sees: images that are taken at the cameras' own rate and stay until the next ones.

camera ─► image, every period ─► faults ─► shots, latest first ─► the latest that is old enough to have arrived
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poise.envs.camera_faults import CameraFaults
from poise.envs.options import CAMERAS, BallbotOptions
from poise.sim.simulation import Indices, Simulation

AGE = "relative_image_timestamp"
MISSING_CAMERAS = "missing_cameras"
"""Name of the component that tells which cameras give nothing, ones where they do not, in the order of `CAMERAS`; of a
stack of images, while any of them is nothing."""

Generators = list[np.random.Generator]

_TOLERANCE = 1e-9
"""s, of times that are sums of steps."""


class Vision:
    """The two cameras of every robot.

    An image array that was handed out never changes: new images go into a new array.
    """

    def __init__(self, simulation: Simulation, options: BallbotOptions) -> None:
        cameras = options.cameras
        self._simulation = simulation
        self._period = 1.0 / cameras.rate
        self._lag = cameras.lag
        self._control_step = options.control_step
        self._noise = options.noise.depth
        self._fault_noise = cameras.faults.noise.std
        self._max_depth = cameras.max_depth
        self._depth = simulation.cameras(CAMERAS, cameras.height, cameras.width, cameras.max_depth)
        self._color = _color_cameras(simulation, options) if cameras.rgb else None
        self._faults = CameraFaults(cameras.faults, simulation.num_robots)
        self._tells_missing = cameras.faults.dropout.share > 0
        self._stack = cameras.stack
        # As many shots as can be under way, and those that have arrived.
        shots = self._stack + int(np.ceil(self._lag / self._period - _TOLERANCE))
        count = simulation.num_robots
        channels = 4 if cameras.rgb else 1
        self._shots = [
            np.zeros((count, len(CAMERAS), channels, cameras.height, cameras.width), np.float32) for _ in range(shots)
        ]
        self._ages = np.zeros((shots, count))
        self._missing = np.zeros((shots, count, len(CAMERAS)), np.bool_)

    def reset(self, robots: Indices, generators: Generators) -> None:
        """New episodes have begun: some robots take new images, which are there at once."""
        self._faults.reset(robots, generators)
        self._take(robots, generators, first=True)

    def advance(self, generators: Generators) -> None:
        """One step of the environment has passed: robots whose images are due take new ones."""
        self._faults.advance(self._control_step)
        self._ages += self._control_step
        due = np.flatnonzero(self._ages[0] >= self._period - _TOLERANCE)
        if len(due):
            self._take(due, generators)

    def observe(self) -> dict[str, NDArray[np.float32]]:
        """The latest images that have arrived, and their age, s."""
        arrived = self._arrived()
        robots = np.arange(len(arrived))
        images = self._shots[0] if len(self._shots) == 1 else self._stacked(arrived)
        seen: dict[str, NDArray[np.float32]] = {name: images[:, i] for i, name in enumerate(CAMERAS)}
        seen[AGE] = self._ages[arrived, robots, None].astype(np.float32)
        if self._tells_missing:
            lost = [self._missing[shots, robots] for shots in self._shown(arrived)]
            seen[MISSING_CAMERAS] = np.any(lost, axis=0).astype(np.float32)
        return seen

    def depth(self, robot: int) -> NDArray[np.float32]:
        """(2, H, W) the depth images of one robot that have arrived latest, m."""
        return self._shots[self._arrived()[robot]][robot, :, -1]

    def state(self) -> dict[str, Any]:
        """The images, their ages and what is wrong with them."""
        return {
            "shots": np.stack(self._shots),
            "ages": self._ages.copy(),
            "missing": self._missing.copy(),
            "faults": self._faults.state(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from `state()`."""
        self._shots = [np.array(shot) for shot in state["shots"]]
        self._ages[...] = state["ages"]
        self._missing[...] = state["missing"]
        self._faults.load_state(state["faults"])

    def close(self) -> None:
        """Release the renderer."""
        if self._color is not None:
            self._color.close()

    def _arrived(self) -> NDArray[np.int64]:
        """(N,) which of the shots each robot has got: the first that is old enough, or the oldest there is."""
        old_enough = self._ages >= self._lag - _TOLERANCE
        old_enough[-1] = True
        return np.argmax(old_enough, axis=0)

    def _stacked(self, latest: NDArray[np.int64]) -> NDArray[np.float32]:
        """(N, 2, stack * channels, H, W) of each robot the shot `latest` (N,) and those before it."""
        every, robots = np.stack(self._shots), np.arange(len(latest))
        return np.concatenate([every[shots, robots] for shots in self._shown(latest)], axis=2)

    def _shown(self, latest: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """(N,) each, which shots are shown, from `latest` (N,) to older ones."""
        return [np.minimum(latest + i, len(self._shots) - 1) for i in range(self._stack)]

    def _take(self, robots: Indices, generators: Generators, first: bool = False) -> None:
        """New images; an episode's first takes the place of all of the episode before."""
        before = self._shots[0]
        taken = np.empty_like(before) if len(robots) == len(before) else before.copy()
        self._render(robots, taken)
        self._spoil(robots, taken, None if first else before, generators)
        for older in range(len(self._shots) - 1, 0, -1):
            source = taken if first else self._shots[older - 1]
            self._shots[older] = self._shots[older].copy()
            self._shots[older][robots] = source[robots]
            self._ages[older, robots] = 0.0 if first else self._ages[older - 1, robots]
            self._missing[older, robots] = self._missing[older - 1, robots]
        self._shots[0], self._ages[0, robots] = taken, 0.0
        self._missing[0, robots] = self._faults.active("dropout", robots)
        if first:
            self._missing[:, robots] = self._missing[0, robots]

    def _render(self, robots: Indices, images: NDArray[np.float32]) -> None:
        """What the cameras see, into images (N, 2, channels, H, W)."""
        simulation = self._simulation
        self._depth.render(simulation.qpos, simulation.heights, robots, images[:, :, -1])
        if self._color is not None:
            for robot in robots:
                images[robot, :, :3] = self._color.render(simulation.qpos[robot], simulation.heights[robot])

    def _spoil(
        self,
        robots: Indices,
        images: NDArray[np.float32],
        before: NDArray[np.float32] | None,
        generators: Generators,
    ) -> None:
        """Noise and faults. A camera that hangs shows what it did `before`; at an episode's begin, what it sees."""
        if self._noise:
            for robot in robots:
                self._blur(images[robot], self._noise, generators[robot])
        if not self._faults.are_possible:
            return
        noisy, frozen, dead = (self._faults.active(kind, robots) for kind in ("noise", "freeze", "dropout"))
        for i, robot in enumerate(robots):
            for camera in np.flatnonzero(noisy[i]):
                self._blur(images[robot, camera], self._fault_noise, generators[robot])
            if before is not None:
                images[robot, frozen[i]] = before[robot, frozen[i]]
            images[robot, dead[i]] = 0.0

    def _blur(self, images: NDArray[np.float32], std: float, generator: np.random.Generator) -> None:
        """Noise upon the depth of images (..., channels, H, W), in place."""
        depth = images[..., -1, :, :]
        depth[...] = np.clip(depth + std * generator.standard_normal(depth.shape), 0.0, self._max_depth)


def _color_cameras(simulation: Simulation, options: BallbotOptions) -> Any:
    """The renderer of the colour channels, imported only where colour is asked for."""
    from poise.sim.renderer import RgbCameras

    return RgbCameras(simulation.model, CAMERAS, options.cameras.height, options.cameras.width)
