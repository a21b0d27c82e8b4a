"""What a robot feels, told whatever way it faces."""

import numpy as np

from poise.envs import rotations
from poise.training.feeling import FELT, in_heading


def turned(yaw: float, tilt: float) -> np.ndarray:
    """Leaned about its own x axis, then turned about the vertical."""
    lean = rotations.about(np.array([[1.0, 0.0, 0.0]]), np.array([tilt]))
    return rotations.product(rotations.about(np.array([[0.0, 0.0, 1.0]]), np.array([yaw])), lean)


def felt(yaw: float) -> dict[str, np.ndarray]:
    """By a robot that leans by 0.2 rad to its side and travels straight ahead at 0.5 m/s."""
    velocity = np.array([[0.5 * np.cos(yaw), 0.5 * np.sin(yaw), 0.1]])
    observation = {name: np.ones((1, 3), np.float32) for name in FELT}
    return in_heading(observation | {"orientation": rotations.rotation_vector(turned(yaw, 0.2)), "vel": velocity})


def test_where_a_robot_faces_cannot_be_told() -> None:
    for yaw in (-3.0, -1.0, 0.0, 0.5, 2.0):
        told = felt(yaw)
        np.testing.assert_allclose(told["orientation"], [[0.2, 0.0, 0.0]], atol=1e-6)
        np.testing.assert_allclose(told["vel"], [[0.5, 0.0, 0.1]], atol=1e-6)
        assert told["angular_vel"].tolist() == told["motor_state"].tolist() == told["actions"].tolist() == [[1, 1, 1]]
        assert {name: value.shape[1:] for name, value in told.items()} == FELT
        assert {value.dtype for value in told.values()} == {np.dtype(np.float32)}
