"""An episode's start, its reward, what `info` tells, and its end."""

from collections.abc import Callable

import mujoco
import numpy as np
import pytest

from poise.envs import BallbotEnv, BallbotVectorEnv
from poise.errors import InvalidValueError

MakeRobots = Callable[..., BallbotVectorEnv]
MakeRobot = Callable[..., BallbotEnv]
FLAT = {"kind": "flat", "nodes": 5}


def base_position(env: BallbotVectorEnv) -> np.ndarray:
    simulation = env.task.simulation
    return simulation.qpos[:, simulation.base_qpos : simulation.base_qpos + 3]


# --- the reward and its report ------------------------------------------------------------------------------------


def test_reward_and_info_by_hand(make_robots: MakeRobots) -> None:
    env = make_robots(3, goal={"direction": (3.0, 4.0)}, start={"tilt": 10.0, "speed": 0.3})
    env.reset(seed=5)
    before = base_position(env).copy()
    actions = np.array([[1.0, -1.0, 0.5], [0.0, 0.0, 0.0], [0.2, 0.2, 0.2]])
    observation, reward, terminated, truncated, info = env.step(actions)
    position = base_position(env)
    speed = (position - before)[:, :2] @ [0.6, 0.8] / 0.002
    tilt = np.degrees(
        np.arccos(np.cos(np.linalg.norm(observation["orientation"], axis=1)))
    )  # no yaw: all of it is tilt
    np.testing.assert_allclose(info["speed"], speed, rtol=1e-9)
    np.testing.assert_allclose(info["reward_directional"], 0.01 * speed, rtol=1e-9)
    np.testing.assert_allclose(info["reward_effort"], [-0.000225, 0.0, -0.000012], atol=1e-12)
    np.testing.assert_allclose(info["reward_survival"], 0.02)
    np.testing.assert_allclose(reward, 0.01 * speed + 0.02 - [0.000225, 0.0, 0.000012])
    np.testing.assert_allclose(info["position"], position)
    np.testing.assert_allclose(info["tilt"], tilt, atol=1e-4)
    assert tilt.max() > 1.0
    assert info["steps"].tolist() == [1, 1, 1]
    for name in ("success", "failure", "off_map", "diverged"):
        assert info[name].tolist() == [False] * 3
    assert not terminated.any()
    assert not truncated.any()


def test_weights_scale_the_terms(make_robot: MakeRobot) -> None:
    env = make_robot(rewards={"directional": 0.5, "effort": 0.1, "survival": 0.0}, start={"speed": 0.5})
    env.reset(seed=0)
    *_, info = env.step(np.array([0.5, 0.0, 0.0]))
    assert info["reward_directional"] == pytest.approx(0.5 * info["speed"])
    assert info["reward_effort"] == pytest.approx(-0.025)
    assert info["reward_survival"] == 0.0


def test_weights_can_be_changed_between_steps(make_robots: MakeRobots) -> None:
    env = make_robots(2, start={"speed": 0.5}, rewards={"effort": 0.0})
    env.reset(seed=0)
    env.set_reward_weights({"directional": 0.5, "failure": 7.0})
    simulation = env.task.simulation
    simulation.qpos[1, simulation.base_qpos + 3 : simulation.base_qpos + 7] = [0.0, 1.0, 0.0, 0.0]  # upside down
    *_, info = env.step(np.ones((2, 3)))
    assert info["reward_directional"][0] == 0.5 * info["speed"][0]
    assert info["final_info"]["reward_failure"].tolist() == [0.0, -7.0]
    assert info["reward_effort"][0] == 0.0  # as it was
    saved = env.state()
    env.set_reward_weights({"failure": 1.0})
    env.load_state(saved)
    assert env.task.options.rewards.failure == 7.0
    with pytest.raises(InvalidValueError, match="did you mean 'failure'"):
        env.set_reward_weights({"faliure": 1.0})


def test_a_decision_earns_what_its_steps_would_have(make_robot: MakeRobot) -> None:
    action = np.array([0.3, -0.2, 0.1])
    single, decimated = make_robot(), make_robot(decimation=10)
    single.reset(seed=3)
    decimated.reset(seed=3)
    for _ in range(5):
        total = sum(single.step(action)[1] for _ in range(10))
        observation, reward, _, _, info = decimated.step(action)
        assert reward == pytest.approx(total, rel=1e-9)
    last = single.task.observe()
    for name in ("orientation", "motor_state", "actions"):
        np.testing.assert_array_equal(observation[name], last[name][0])
    assert info["steps"] == 50


def test_actions_beyond_the_bounds_are_clipped(make_robots: MakeRobots) -> None:
    env = make_robots(1)
    env.reset(seed=0)
    observation, _, _, _, info = env.step(np.array([[5.0, -np.inf, 0.0]]))
    np.testing.assert_array_equal(observation["actions"], [[1.0, -1.0, 0.0]])
    np.testing.assert_allclose(info["reward_effort"], -0.0002)


def test_a_robot_without_numbers_to_act_on_has_diverged(make_robots: MakeRobots) -> None:
    env = make_robots(2)
    env.reset(seed=0)
    observation, reward, terminated, _, info = env.step(np.array([[0.0, 0.0, 0.0], [0.0, np.nan, 0.0]]))
    assert terminated.tolist() == [False, True]
    assert info["final_info"]["diverged"].tolist() == [False, True]
    assert np.isfinite(reward).all()
    assert all(np.isfinite(values).all() for values in observation.values())
    assert env.task.diverged_episodes == 1


def test_an_incremental_action_moves_the_command(make_robots: MakeRobots) -> None:
    env = make_robots(1, action_increment=0.4)
    env.reset(seed=0)
    seen = [env.step(np.array([[1.0, -0.5, 0.0]]))[0]["actions"][0] for _ in range(3)]
    np.testing.assert_allclose(seen, [[0.4, -0.2, 0.0], [0.8, -0.4, 0.0], [1.0, -0.6, 0.0]], rtol=1e-6)


# --- the end ------------------------------------------------------------------------------------------------------


def test_full_episodes_are_truncated_at_4000_steps(make_robots: MakeRobots) -> None:
    env = make_robots(1, terrain=FLAT)
    env.reset(seed=0)
    task = env.task
    task._steps[:] = 3998
    _, _, terminated, truncated, info = env.step(np.zeros((1, 3)))
    assert not (terminated | truncated).any()
    _, _, terminated, truncated, info = env.step(np.zeros((1, 3)))
    assert truncated.tolist() == [True]
    assert terminated.tolist() == [False]
    assert info["final_info"]["success"].tolist() == [True]
    assert info["final_info"]["steps"].tolist() == [4000]


def test_tilt_beyond_the_limit_terminates_without_pay_for_survival(make_robot: MakeRobot) -> None:
    env = make_robot(max_tilt=3.0, start={"tilt": 2.9})
    env.reset(seed=1)
    for _ in range(2000):
        _, _, terminated, truncated, info = env.step(np.zeros(3))
        assert terminated == (info["tilt"] > 3.0)
        assert info["reward_survival"] == (0.0 if terminated else 0.02)
        if terminated:
            break
    assert terminated
    assert not truncated
    assert info["failure"]
    assert not info["success"]


def test_leaving_the_map_terminates(make_robots: MakeRobots) -> None:
    env = make_robots(4, terrain=FLAT | {"half_size": 1.0})
    env.reset(seed=0)
    simulation = env.task.simulation
    for robot, (axis, place) in enumerate([(0, 0.99), (0, 1.01), (1, -1.01), (1, 0.99)]):
        for first in (simulation.base_qpos, simulation.ball_qpos):
            simulation.qpos[robot, first + axis] = place
    _, _, terminated, truncated, info = env.step(np.zeros((4, 3)))
    assert terminated.tolist() == [False, True, True, False]
    assert info["off_map"].tolist() == [False, True, True, False]
    assert not truncated.any()


# --- the start ----------------------------------------------------------------------------------------------------


def test_spawned_a_centimetre_higher_than_the_highest_node_below_the_ball(make_robots: MakeRobots) -> None:
    env = make_robots(5)
    env.reset(seed=0)
    simulation = env.task.simulation
    axis = np.linspace(-5.0, 5.0, 293)
    near = np.abs(axis) <= 0.09 + axis[1] - axis[0]  # the nodes of every cell below the ball's bounding box
    for robot in range(5):
        lift = 0.1 * simulation.heights[robot][np.ix_(near, near)].max() + 0.01
        assert base_position(env)[robot] == pytest.approx([0.0, 0.0, 0.24 + lift], abs=1e-6)
        assert simulation.ball_centres()[robot] == pytest.approx([0.0, 0.0, 0.12 + lift], abs=1e-6)


def test_nothing_touches_the_ground_at_the_start(make_robots: MakeRobots) -> None:
    env = make_robots(10, terrain={"height": 1.0, "scale": 8.0, "persistence": 0.8})
    env.reset(seed=0)
    simulation = env.task.simulation
    for robot in range(10):
        data = mujoco.MjData(simulation._models[robot])
        data.qpos[:] = simulation.qpos[robot]
        mujoco.mj_forward(simulation._models[robot], data)
        assert data.ncon == 3, "the three wheels on the ball"


def test_robots_come_to_rest_on_flat_ground(make_robots: MakeRobots) -> None:
    env = make_robots(1, terrain=FLAT)
    env.reset(seed=0)
    heights = []
    for _ in range(200):
        env.step(np.zeros((1, 3)))
        heights.append(env.task.simulation.ball_centres()[0, 2])
    assert heights[-1] == pytest.approx(0.09, abs=0.005), "contacts are soft: the robot's weight presses the ball in"
    assert np.ptp(heights[-50:]) < 1e-3


def test_sampled_goals_differ_by_robot_and_episode_and_have_length_one(make_robots: MakeRobots) -> None:
    env = make_robots(4, goal={"kind": "sampled"}, terrain=FLAT)
    first = env.reset(seed=0)[0]["goal"]
    second = env.reset()[0]["goal"]
    goals = np.concatenate([first, second])
    np.testing.assert_allclose(np.linalg.norm(goals, axis=1), 1.0, rtol=1e-6)
    assert len(np.unique(goals[:, 0])) == 8


def test_a_terrain_lasts_for_as_many_episodes_as_asked(make_robots: MakeRobots) -> None:
    env = make_robots(2, terrain={"episodes_per_terrain": 3, "nodes": 9})
    seeds = []
    for episode in range(7):
        env.reset(seed=0 if episode == 0 else None)
        seeds.append(env.task.simulation.terrain_seeds.tolist())
    assert seeds[0] == seeds[1] == seeds[2]
    assert seeds[3] == seeds[4] == seeds[5]
    assert all(a != b for a, b in zip(seeds[2], seeds[3], strict=True))
    assert seeds[6] != seeds[5]
    env.reset(seed=0)
    assert env.task.simulation.terrain_seeds.tolist() == seeds[0]


def test_robots_without_seeds_differ(make_robots: MakeRobots) -> None:
    first, second = make_robots(2, terrain={"nodes": 9}), make_robots(2, terrain={"nodes": 9})
    first.reset()
    second.reset()
    seeds = np.concatenate([env.task.simulation.terrain_seeds for env in (first, second)])
    assert len(set(seeds.tolist())) == 4


def test_a_goal_with_a_distance_ends_the_episodes_of_who_arrives(make_robots: MakeRobots) -> None:
    """Along (3, 4) / 5 lie (0.6, 0.8) at 1 m and (0.5, 0.6) at 0.78 m; (-0.6, -0.8) lies 1 m the other way."""
    env = make_robots(3, terrain=FLAT, goal={"direction": [3.0, 4.0], "distance": 0.95})
    env.reset(seed=0)
    simulation = env.task.simulation
    for robot, place in enumerate([(0.6, 0.8), (0.5, 0.6), (-0.6, -0.8)]):
        for first in (simulation.base_qpos, simulation.ball_qpos):
            simulation.qpos[robot, first : first + 2] = place
    env.task._steps[2] = 3999
    _, _, terminated, truncated, info = env.step(np.zeros((3, 3)))
    assert not terminated.any()
    assert truncated.tolist() == [True, False, True]
    assert info["final_info"]["success"].tolist() == [True, False, False]


def test_who_falls_where_the_goal_is_has_failed(make_robot: MakeRobot) -> None:
    env = make_robot(goal={"distance": 0.0001}, max_tilt=1.0, start={"tilt": 20.0})
    env.reset(seed=3)
    simulation = env.task.simulation
    for first in (simulation.base_qpos, simulation.ball_qpos):
        simulation.qpos[0, first + 1] = 0.5
    _, _, terminated, truncated, info = env.step(np.zeros(3))
    assert (terminated, truncated) == (True, False)
    assert not info["success"]
