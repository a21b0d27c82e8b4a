"""What a ballbot feels at the moment of an image, told as it could be seen: whatever way the robot faces.

No image tells the heading of a robot on a terrain that nobody knows, and every episode begins with another one. So
`orientation` and `vel` are kept in the heading's frame (`frame: heading` of the environment), the others as they are.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poise.envs import observations, rotations

FELT = {"orientation": (3,), "angular_vel": (3,), "vel": (3,), "motor_state": (3,), "actions": (3,)}
"""Components and their shapes."""


def in_heading(observation: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    """The components of `FELT`, (N, 3) each, of an observation in the world's frame with rotation vectors."""
    orientation, velocity = (np.asarray(observation[name], np.float64) for name in ("orientation", "vel"))
    quaternion = rotations.from_rotation_vector(orientation)
    frame = rotations.heading(quaternion)
    turned = {
        "orientation": observations.orientation(quaternion, frame, "rotation_vector"),
        "vel": observations.velocity(velocity, frame),
    }
    return {name: np.asarray(turned.get(name, observation[name]), np.float32) for name in FELT}
