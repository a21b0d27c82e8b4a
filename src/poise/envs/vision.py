"""What a ballbot sees: images that are taken at the cameras' own rate and stay until the next ones."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poise.envs.options import BallbotOptions
from poise.sim.simulation import Indices, Simulation

CAMERAS = ("rgbd_0", "rgbd_1")
AGE = "relative_image_timestamp"

Generators = list[np.random.Generator]


class Vision:
    """The two cameras of every robot.

    An image array that was handed out never changes: new images go into a new array.
    """

    def __init__(self, simulation: Simulation, options: BallbotOptions) -> None:
        cameras = options.cameras
        self._simulation = simulation
        self._period = 1.0 / cameras.rate
        self._control_step = options.control_step
        self._noise = options.noise.depth
        self._max_depth = cameras.max_depth
        self._depth = simulation.cameras(CAMERAS, cameras.height, cameras.width, cameras.max_depth)
        self._color = _color_cameras(simulation, options) if cameras.rgb else None
        channels = 4 if cameras.rgb else 1
        count = simulation.num_robots
        self._images = np.zeros((count, len(CAMERAS), channels, cameras.height, cameras.width), np.float32)
        self._age = np.zeros(count)

    def reset(self, robots: Indices, generators: Generators) -> None:
        """New episodes have begun: some robots take new images."""
        self._take(robots, generators)

    def advance(self, generators: Generators) -> None:
        """One step of the environment has passed: robots whose images are due take new ones."""
        self._age += self._control_step
        due = np.flatnonzero(self._age >= self._period - 1e-9)
        if len(due):
            self._take(due, generators)

    def observe(self) -> dict[str, NDArray[np.float32]]:
        """The latest images and their age, s."""
        images = {name: self._images[:, i] for i, name in enumerate(CAMERAS)}
        return images | {AGE: self._age[:, None].astype(np.float32)}

    def depth(self, robot: int) -> NDArray[np.float32]:
        """(2, H, W) the latest depth images of one robot, m."""
        return self._images[robot, :, -1]

    def state(self) -> dict[str, Any]:
        """The images and their ages."""
        return {"images": self._images, "age": self._age.copy()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from `state()`."""
        self._images = np.array(state["images"])
        self._age[...] = state["age"]

    def close(self) -> None:
        """Release the renderer."""
        if self._color is not None:
            self._color.close()

    def _take(self, robots: Indices, generators: Generators) -> None:
        self._age[robots] = 0.0
        everyone = len(robots) == len(self._images)
        self._images = np.empty_like(self._images) if everyone else self._images.copy()
        depth = self._images[:, :, -1]
        self._depth.render(self._simulation.qpos, self._simulation.heights, robots, depth)
        if self._color is not None:
            for robot in robots:
                self._images[robot, :, :3] = self._color.render(
                    self._simulation.qpos[robot], self._simulation.heights[robot]
                )
        if self._noise:
            for robot in robots:
                noise = self._noise * generators[robot].standard_normal(depth[robot].shape)
                depth[robot] = np.clip(depth[robot] + noise, 0.0, self._max_depth)


def _color_cameras(simulation: Simulation, options: BallbotOptions) -> Any:
    """The renderer of the colour channels, imported only where colour is asked for."""
    from poise.sim.renderer import RgbCameras

    return RgbCameras(simulation.model, CAMERAS, options.cameras.height, options.cameras.width)
