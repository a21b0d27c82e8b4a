"""Where the robot's moving parts are, from `qpos` alone.

MuJoCo's derived fields lag one substep behind the state, so cameras and observations take what they need from `qpos`:
two free bodies (base and ball) and three hinges that turn the wheels.
"""

from typing import NamedTuple

import mujoco
import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]


class RobotGeometry(NamedTuple):
    """Constants of the ballbot's model; positions in the frame of the base unless said otherwise."""

    base_qpos: int
    """Where the base's free joint starts in `qpos`: position (3), quaternion w, x, y, z (4)."""
    ball_qpos: int
    wheel_qpos: Array
    """(3,) int64: where each wheel's angle is in `qpos`."""
    ball_centre: Array
    """(3,) centre of the sphere in the frame of the ball's body, m."""
    ball_radius: float
    wheel_anchor: Array
    """(3, 3) a point on each wheel's axis, m."""
    wheel_axis: Array
    """(3, 3) unit vectors."""
    wheel_ends: Array
    """(3, 2, 3) centres of each capsule's end caps at angle zero, m."""
    wheel_radius: float
    camera_position: Array
    """(C, 3) m."""
    camera_rotation: Array
    """(C, 3, 3) base from camera; a camera looks along its -z, its +x points right and its +y up in the image."""


def robot_geometry(model: mujoco.MjModel, cameras: tuple[str, ...]) -> RobotGeometry:
    """Read the constants from a compiled model in its reference configuration."""
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    base = data.body("base")
    rotation = base.xmat.reshape(3, 3)

    def in_base(point: Array) -> Array:
        return np.asarray((point - base.xpos) @ rotation)

    wheels = [data.geom(f"wheel_{i}") for i in range(3)]
    half_length = model.geom("wheel_0").size[1]
    ends = [[w.xpos + side * half_length * w.xmat.reshape(3, 3)[:, 2] for side in (-1.0, 1.0)] for w in wheels]
    joints = [data.joint(f"wheel_{i}") for i in range(3)]
    views = [data.camera(name) for name in cameras]
    return RobotGeometry(
        base_qpos=int(model.joint("base").qposadr[0]),
        ball_qpos=int(model.joint("ball").qposadr[0]),
        wheel_qpos=np.array([model.joint(f"wheel_{i}").qposadr[0] for i in range(3)], np.int64),
        ball_centre=np.array(model.geom("ball").pos),
        ball_radius=float(model.geom("ball").size[0]),
        wheel_anchor=np.array([in_base(joint.xanchor) for joint in joints]),
        wheel_axis=np.array([joint.xaxis @ rotation for joint in joints]),
        wheel_ends=np.array([[in_base(end) for end in pair] for pair in ends]),
        wheel_radius=float(model.geom("wheel_0").size[0]),
        camera_position=np.array([in_base(view.xpos) for view in views]).reshape(-1, 3),
        camera_rotation=np.array([rotation.T @ view.xmat.reshape(3, 3) for view in views]).reshape(-1, 3, 3),
    )


@njit(cache=True, error_model="numpy", nogil=True)
def rotation_matrix(quaternion: Array, out: Array) -> None:
    """Rotation matrix of a unit quaternion (w, x, y, z), written into `out` (3, 3)."""
    w, x, y, z = quaternion[0], quaternion[1], quaternion[2], quaternion[3]
    out[0, 0] = 1.0 - 2.0 * (y * y + z * z)
    out[0, 1] = 2.0 * (x * y - w * z)
    out[0, 2] = 2.0 * (x * z + w * y)
    out[1, 0] = 2.0 * (x * y + w * z)
    out[1, 1] = 1.0 - 2.0 * (x * x + z * z)
    out[1, 2] = 2.0 * (y * z - w * x)
    out[2, 0] = 2.0 * (x * z - w * y)
    out[2, 1] = 2.0 * (y * z + w * x)
    out[2, 2] = 1.0 - 2.0 * (x * x + y * y)


@njit(cache=True, error_model="numpy", nogil=True)
def rotate_about(axis: Array, angle: float, vector: Array, out: Array) -> None:
    """Rotate `vector` about the unit vector `axis` by `angle` (Rodrigues' formula), written into `out` (3,)."""
    c = np.cos(angle)
    s = np.sin(angle)
    along = (1.0 - c) * (axis[0] * vector[0] + axis[1] * vector[1] + axis[2] * vector[2])
    out[0] = c * vector[0] + s * (axis[1] * vector[2] - axis[2] * vector[1]) + along * axis[0]
    out[1] = c * vector[1] + s * (axis[2] * vector[0] - axis[0] * vector[2]) + along * axis[1]
    out[2] = c * vector[2] + s * (axis[0] * vector[1] - axis[1] * vector[0]) + along * axis[2]


@njit(cache=True, error_model="numpy", nogil=True)
def camera_views(qpos: Array, robots: NDArray[np.int64], geometry: RobotGeometry, out: Array) -> None:
    """Where the cameras of some robots are, and what moves before them.

    Args:
        qpos: (N, nq) configurations of all robots.
        robots: (K,) of which.
        geometry: of the robot.
        out: (K, C, 11, 3) m: the camera's position and its axes to the right, up and ahead, in the world frame; then,
            in the frame of these axes, the centres of the ball and of the end caps of wheel 0, 1 and 2.
    """
    base = np.empty((3, 3))
    ball_rotation = np.empty((3, 3))
    points = np.empty((7, 3))
    turned = np.empty(3)
    arm = np.empty(3)
    for k in range(len(robots)):
        q = qpos[robots[k]]
        rotation_matrix(q[geometry.base_qpos + 3 : geometry.base_qpos + 7], base)
        rotation_matrix(q[geometry.ball_qpos + 3 : geometry.ball_qpos + 7], ball_rotation)
        for i in range(3):
            points[0, i] = q[geometry.ball_qpos + i]
            for j in range(3):
                points[0, i] += ball_rotation[i, j] * geometry.ball_centre[j]
        for end in range(6):
            wheel = end // 2
            for i in range(3):
                arm[i] = geometry.wheel_ends[wheel, end % 2, i] - geometry.wheel_anchor[wheel, i]
            rotate_about(geometry.wheel_axis[wheel], q[geometry.wheel_qpos[wheel]], arm, turned)
            for i in range(3):
                points[1 + end, i] = q[geometry.base_qpos + i]
                for j in range(3):
                    points[1 + end, i] += base[i, j] * (geometry.wheel_anchor[wheel, j] + turned[j])
        for camera in range(out.shape[1]):
            view = out[k, camera]
            for i in range(3):
                view[0, i] = q[geometry.base_qpos + i]
                for j in range(3):
                    view[0, i] += base[i, j] * geometry.camera_position[camera, j]
            for axis in range(3):
                for i in range(3):
                    component = 0.0
                    for j in range(3):
                        component += base[i, j] * geometry.camera_rotation[camera, j, axis]
                    view[1 + axis, i] = component if axis < 2 else -component
            for point in range(7):
                for axis in range(3):
                    view[4 + point, axis] = 0.0
                    for i in range(3):
                        view[4 + point, axis] += view[1 + axis, i] * (points[point, i] - view[0, i])
