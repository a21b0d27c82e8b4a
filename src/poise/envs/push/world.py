"""The table, the arm, the cube and its goal: panda-gym's `PandaPush-v3` in PyBullet."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poise.envs.push.options import PushColourOptions
from poise.errors import PoiseError

REACHED = 0.05
"""Distance of the cube's centre from its goal at which an episode is a success, m (panda-gym's)."""
HIDDEN_LINKS = range(-1, 6)
"""Of the arm, from its base to its wrist: what stays without the hand, and has nine tenths of its triangles."""
HAND_LINKS = (6, 8, 9, 10)
_AWAY = np.array([3.0, 3.0, 5.0])
_UPRIGHT = np.array([0.0, 0.0, 0.0, 1.0])
_MAGENTA = np.array([0.9, 0.1, 0.9, 1.0])


class PushWorld:
    """One simulation. Positions are of centres, (3,) in m in the world's frame, whose origin is on the table.

    Args:
        colours: of what can be seen.
        distractor: whether there is another cube, to be seen and not to be touched.

    Raises:
        PoiseError: panda-gym is not installed.
    """

    def __init__(self, colours: PushColourOptions, distractor: bool) -> None:
        with _quiet():
            panda, push, bullet = _panda_gym()
            self.sim = bullet(render_mode="rgb_array", renderer="Tiny")
            self._robot = panda(self.sim, block_gripper=True, base_position=np.array([-0.6, 0.0, 0.0]))
            self._task = push(self.sim, distance_threshold=REACHED)
        self.client: Any = self.sim.physics_client
        if distractor:
            size = self._task.object_size
            self.sim.create_box("distractor", np.full(3, size / 2), 0.0, _AWAY, _MAGENTA, ghost=True)
        self._paint(colours)

    @property
    def gripper(self) -> NDArray[np.float64]:
        """Where the tip is."""
        return np.array(self._robot.get_ee_position(), np.float64)

    @property
    def cube(self) -> NDArray[np.float64]:
        """Where the cube is."""
        return np.array(self.sim.get_base_position("object"), np.float64)

    @property
    def goal(self) -> NDArray[np.float64]:
        """Where it is to go."""
        return np.array(self._task.goal, np.float64)

    @property
    def distance(self) -> float:
        """From the cube to its goal, m."""
        return float(np.linalg.norm(self.cube - self.goal))

    @property
    def is_solved(self) -> bool:
        """Whether the cube is near enough to its goal."""
        return self.distance < REACHED

    def reset(self, generator: np.random.Generator) -> None:
        """A new episode, drawn from the generator and from nothing else.

        Bullet remembers contacts and warm-starts from them, so that one episode would leak into the next: what can be
        touched is taken away first, and collisions looked for, which forgets them.
        """
        self.sim.set_base_pose("object", _AWAY, _UPRIGHT)
        self.client.performCollisionDetection()
        self._robot.reset()
        self._task.np_random = generator
        self._task.reset()

    def place_distractor(self, generator: np.random.Generator) -> None:
        """Where it lies in a new episode: on the table, clear of cube and goal."""
        for _ in range(100):
            place = np.append(generator.uniform(-0.18, 0.18, 2), self._task.object_size / 2)
            if min(np.linalg.norm(place - self.cube), np.linalg.norm(place - self.goal)) > 0.08:
                break
        self.sim.set_base_pose("distractor", place, _UPRIGHT)

    def step(self, action: NDArray[np.floating[Any]]) -> None:
        """0.04 s in which the gripper is asked to move by the action times 5 cm, (3,) in [-1, 1]."""
        self._robot.set_action(np.asarray(action, np.float64))
        self.sim.step()

    def body(self, name: str) -> int:
        """PyBullet's number of a body: 'panda', 'table', 'object', 'target'."""
        return int(self.sim._bodies_idx[name])

    def close(self) -> None:
        """Free the simulation."""
        self.sim.close()

    def _paint(self, colours: PushColourOptions) -> None:
        for name, colour in (("object", colours.cube), ("target", colours.goal), ("table", colours.table)):
            self.client.changeVisualShape(self.body(name), -1, rgbaColor=[*colour, 1.0])
        for link in HAND_LINKS:
            self.client.changeVisualShape(self.body("panda"), link, rgbaColor=[*colours.hand, 1.0])


def _panda_gym() -> tuple[Any, Any, Any]:
    try:
        from panda_gym.envs.robots.panda import Panda
        from panda_gym.envs.tasks.push import Push
        from panda_gym.pybullet import PyBullet
    except ImportError as error:
        raise PoiseError(f"poise/Push-v0 needs panda-gym ({error}); install it: pip install 'poise[push]'") from error
    return Panda, Push, PyBullet


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep off the terminal what PyBullet's C code prints: when it was built, and its arguments."""
    sys.stdout.flush()
    sys.stderr.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    kept = {stream: os.dup(stream) for stream in (1, 2)}
    for stream in kept:
        os.dup2(nowhere, stream)
    try:
        yield
    finally:
        ctypes.CDLL(None).fflush(None)  # what C holds back would come later
        for stream, copy in kept.items():
            os.dup2(copy, stream)
            os.close(copy)
        os.close(nowhere)
