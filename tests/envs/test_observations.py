"""What the robot feels, against scipy and arithmetic by hand."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from poise.envs import BallbotVectorEnv, observations

MakeRobots = Callable[..., BallbotVectorEnv]
DT = 0.002
LEANING = {"tilt": 15.0, "yaw": 90.0, "speed": 0.5}


def pose(env: BallbotVectorEnv) -> tuple[np.ndarray, Rotation]:
    """Positions and orientations of the bases."""
    simulation = env.task.simulation
    q = simulation.qpos[:, simulation.base_qpos : simulation.base_qpos + 7]
    return q[:, :3].copy(), Rotation.from_quat(q[:, [4, 5, 6, 3]])


def tumble(env: BallbotVectorEnv, steps: int, seed: int = 0) -> np.ndarray:
    """Random constant actions until the robots lean; returns the actions."""
    actions = np.random.default_rng(seed).uniform(-1, 1, (env.num_envs, 3))
    for _ in range(steps):
        env.step(actions)
    return actions


def test_components_follow_the_data_sheet(make_robots: MakeRobots) -> None:
    env = make_robots(4, max_tilt=80.0, start=LEANING)
    env.reset(seed=0)
    actions = tumble(env, 30)
    position, orientation = pose(env)
    observation, *_ = env.step(actions)
    now, turned = pose(env)
    assert np.degrees(turned.magnitude()).min() > 10.0
    expected = {
        "orientation": turned.as_rotvec(),
        "angular_vel": np.clip((orientation.inv() * turned).as_rotvec() / DT, -2, 2),
        "vel": np.clip((now - position) / DT, -2, 2),
        "motor_state": np.clip(env.task.simulation.qvel[:, env.task.simulation.wheel_qvel] / 10, -2, 2),
        "actions": actions,
    }
    assert set(observation) == set(expected)
    for name, value in expected.items():
        assert observation[name].dtype == np.float32
        np.testing.assert_allclose(observation[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


def test_velocities_agree_with_the_simulations_own(make_robots: MakeRobots) -> None:
    env = make_robots(4)
    env.reset(seed=0)
    actions = tumble(env, 25)
    observation, *_ = env.step(0.2 * actions)
    simulation = env.task.simulation
    qvel = simulation.qvel[:, simulation.base_qvel : simulation.base_qvel + 6]
    np.testing.assert_allclose(observation["vel"], qvel[:, :3], atol=2e-3)
    np.testing.assert_allclose(observation["angular_vel"], np.clip(qvel[:, 3:], -2, 2), atol=2e-2)


def test_wheel_speeds_are_read_by_dof_address(make_robots: MakeRobots) -> None:
    env = make_robots(1)
    env.reset(seed=0)
    simulation = env.task.simulation
    model = simulation.model
    assert simulation.wheel_qvel.tolist() == [model.jnt_dofadr[model.joint(f"wheel_{i}").id] for i in range(3)]
    simulation.qvel[0, simulation.wheel_qvel] = [5.0, -10.0, 100.0]
    np.testing.assert_allclose(env.task.observe()["motor_state"], [[0.5, -1.0, 2.0]])


def test_everything_but_the_orientation_is_zero_after_a_reset(make_robots: MakeRobots) -> None:
    env = make_robots(2)
    env.reset(seed=0)
    tumble(env, 20)
    observation, _ = env.reset()
    for name in ("orientation", "angular_vel", "vel", "motor_state", "actions"):
        np.testing.assert_array_equal(observation[name], 0.0, err_msg=name)


def test_velocities_are_clipped() -> None:
    fast = np.array([[5.0, -0.01, -7.0]])
    np.testing.assert_allclose(observations.base_velocity(np.zeros((1, 3)), DT * fast, DT), [[2.0, -0.01, -2.0]])
    half_turn = np.array([[0.0, 1.0, 0.0, 0.0]])
    upright = np.array([[1.0, 0.0, 0.0, 0.0]])
    np.testing.assert_allclose(observations.angular_velocity(upright, half_turn, DT), [[2.0, 0.0, 0.0]])
    np.testing.assert_allclose(observations.motor_state(np.array([[5.0, 30.0, -30.0]])), [[0.5, 2.0, -2.0]])


def test_orientation_as_euler_angles(make_robots: MakeRobots) -> None:
    env = make_robots(4, orientation="euler", max_tilt=80.0, start=LEANING)
    env.reset(seed=0)
    actions = tumble(env, 30)
    observation, *_ = env.step(actions)
    roll_pitch_yaw = pose(env)[1].as_euler("ZYX")[:, ::-1]
    np.testing.assert_allclose(observation["orientation"], roll_pitch_yaw, atol=1e-6)


@pytest.mark.parametrize("yaw", [1.0, -2.5])
@pytest.mark.parametrize("orientation", ["rotation_vector", "euler"])
def test_the_heading_frame_does_not_care_which_way_the_robot_faces(
    make_robots: MakeRobots, yaw: float, orientation: str
) -> None:
    """The same fall on flat ground, the second robot's whole world turned by `yaw`."""
    env = make_robots(
        2, frame="heading", orientation=orientation, goal={"kind": "commanded"}, terrain={"kind": "flat", "nodes": 5}
    )
    for model in env.task.simulation._models:
        model.opt.tolerance = 1e-12  # where the solver stops by default, the contacts' forces depend on the axes
    env.reset(seed=0)
    turn = Rotation.from_rotvec([0.0, 0.0, yaw])
    goal = np.array([0.6, 0.8])
    env.set_goal(np.stack([goal, turn.as_matrix()[:2, :2] @ goal]))
    simulation = env.task.simulation
    quaternion = turn.as_quat()[[3, 0, 1, 2]]
    for first in (simulation.base_qpos, simulation.ball_qpos):
        simulation.qpos[1, first + 3 : first + 7] = quaternion
    push = np.array([0.3, 0.1, 0.0])
    simulation.qvel[0, simulation.base_qvel : simulation.base_qvel + 3] = push
    simulation.qvel[1, simulation.base_qvel : simulation.base_qvel + 3] = turn.apply(push)
    for _ in range(80):
        observation, *_ = env.step(np.tile([0.2, -0.1, 0.3], (2, 1)))
    assert np.abs(observation["vel"]).max() > 0.1
    for name, value in observation.items():
        np.testing.assert_allclose(value[1], value[0], atol=1e-3, err_msg=name)


def test_the_world_frame_shows_the_goal_as_it_was_given(make_robots: MakeRobots) -> None:
    env = make_robots(2, goal={"direction": (3.0, 4.0), "observed": True})
    observation, _ = env.reset(seed=0)
    np.testing.assert_allclose(observation["goal"], [[0.6, 0.8]] * 2)
