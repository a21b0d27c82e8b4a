"""Rotations against scipy's."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from poise.envs import rotations

COUNT = 500


def quaternions(seed: int = 0) -> np.ndarray:
    """(N, 4) random unit quaternions (w, x, y, z), both signs of the same rotation among them."""
    values = np.random.default_rng(seed).normal(size=(COUNT, 4))
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def scipy_rotation(quaternion: np.ndarray) -> Rotation:
    return Rotation.from_quat(quaternion[:, [1, 2, 3, 0]])


def test_rotation_vectors_are_scipys() -> None:
    q = quaternions()
    np.testing.assert_allclose(rotations.rotation_vector(q), scipy_rotation(q).as_rotvec(), atol=1e-12)


@pytest.mark.parametrize("angle", [0.0, 1e-14, 1e-9, 1e-5, np.pi - 1e-9, np.pi])
def test_rotation_vectors_of_tiny_and_half_turns(angle: float) -> None:
    q = np.array([[np.cos(angle / 2), 0.0, np.sin(angle / 2), 0.0]])
    np.testing.assert_allclose(rotations.rotation_vector(q), [[0.0, angle, 0.0]], rtol=1e-9, atol=1e-20)
    np.testing.assert_allclose(np.abs(rotations.rotation_vector(-q)), [[0.0, angle, 0.0]], rtol=1e-9, atol=1e-20)


def test_rotation_vectors_and_back() -> None:
    vectors = np.concatenate([np.random.default_rng(0).uniform(-1.5, 1.5, (50, 3)), np.zeros((1, 3))])
    expected = Rotation.from_rotvec(vectors).as_quat()[:, [3, 0, 1, 2]]
    np.testing.assert_allclose(rotations.from_rotation_vector(vectors), expected, atol=1e-12)


def test_relative_product_and_inverse_are_scipys() -> None:
    a, b = quaternions(1), quaternions(2)
    first, second = scipy_rotation(a), scipy_rotation(b)
    for ours, theirs in (
        (rotations.relative(a, b), first.inv() * second),
        (rotations.product(a, b), first * second),
        (rotations.inverse(a), first.inv()),
    ):
        np.testing.assert_allclose(scipy_rotation(ours).as_matrix(), theirs.as_matrix(), atol=1e-12)


def test_rotated_vectors_are_scipys() -> None:
    q, vectors = quaternions(3), np.random.default_rng(4).normal(size=(COUNT, 3))
    np.testing.assert_allclose(rotations.rotate(q, vectors), scipy_rotation(q).apply(vectors), atol=1e-12)


def test_euler_angles_are_scipys() -> None:
    q = quaternions(5)
    yaw_pitch_roll = scipy_rotation(q).as_euler("ZYX")
    np.testing.assert_allclose(rotations.euler_angles(q), yaw_pitch_roll[:, ::-1], atol=1e-7)


def test_tilt_is_the_angle_between_the_z_axes() -> None:
    q = quaternions(6)
    cosine = scipy_rotation(q).as_matrix()[:, 2, 2]
    np.testing.assert_allclose(rotations.tilt_angle(q), np.arccos(cosine), atol=1e-7)


def test_heading_turns_about_the_vertical_and_leaves_a_tilt_about_a_level_axis() -> None:
    q = quaternions(7)
    heading = scipy_rotation(rotations.heading(q))
    np.testing.assert_allclose(heading.as_rotvec()[:, :2], 0.0, atol=1e-12)
    left = (heading.inv() * scipy_rotation(q)).as_rotvec()
    np.testing.assert_allclose(left[:, 2], 0.0, atol=1e-9)


def test_heading_of_a_robot_on_its_head_is_a_rotation_all_the_same() -> None:
    np.testing.assert_array_equal(rotations.heading(np.array([[0.0, 1.0, 0.0, 0.0]])), [[1.0, 0.0, 0.0, 0.0]])


def test_about_is_scipys() -> None:
    rng = np.random.default_rng(8)
    axis = rng.normal(size=(COUNT, 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    angle = rng.uniform(-3, 3, COUNT)
    expected = Rotation.from_rotvec(axis * angle[:, None]).as_matrix()
    np.testing.assert_allclose(scipy_rotation(rotations.about(axis, angle)).as_matrix(), expected, atol=1e-12)
