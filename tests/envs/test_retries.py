"""Who falls may begin again shortly before: where, when, and who not."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from poise.envs import BallbotEnv, BallbotVectorEnv
from poise.envs.options import RetryOptions
from poise.envs.retries import Retries
from poise.errors import InvalidValueError

MakeRobots = Callable[..., BallbotVectorEnv]
MakeRobot = Callable[..., BallbotEnv]
ALWAYS: dict[str, Any] = {"share": 1.0, "shortest": 0.2, "longest": 0.2}
FALLING = np.array([1.0, -1.0, 0.0])  # opposite torques throw the robot over within half a second


def remembering(options: dict[str, Any], moments: int, control_step: float = 0.05) -> Retries:
    """One robot whose i-th moment is the number i."""
    retries = Retries(RetryOptions(**options), 1, 1, control_step)
    for moment in range(moments):
        retries.record(np.array([[float(moment)]]))
    return retries


def test_the_moment_is_as_long_ago_as_asked() -> None:
    retries = remembering({"share": 1.0, "shortest": 0.3, "longest": 0.3}, 20)
    assert retries.recall(0, np.random.default_rng(0)) == 19 - 6  # 0.3 s are six moments, 0.05 s apart


def test_of_short_steps_only_some_moments_are_remembered() -> None:
    retries = remembering({"share": 1.0, "shortest": 0.1, "longest": 0.1}, 200, control_step=0.002)
    assert retries.recall(0, np.random.default_rng(0)) == 199 - 50  # moments 24, 49, ... 199


def test_times_are_drawn_evenly() -> None:
    retries = remembering({"share": 1.0, "shortest": 0.5, "longest": 1.5}, 50)
    generator = np.random.default_rng(0)
    back = np.array([49 - retries.recall(0, generator)[0] for _ in range(4000)])  # type: ignore[index]
    assert (back.min(), back.max()) == (11, 30), "not less than asked, and less than a moment more"
    assert back.mean() == pytest.approx(20.5, abs=0.4)
    assert back.std() == pytest.approx(20 / np.sqrt(12), rel=0.05)


def test_a_share_begins_anew_and_so_do_short_episodes() -> None:
    retries = remembering({"share": 0.25, "shortest": 0.2, "longest": 0.2}, 10)
    generator = np.random.default_rng(0)
    assert np.mean([retries.recall(0, generator) is not None for _ in range(2000)]) == pytest.approx(0.25, abs=0.03)
    retries = remembering(ALWAYS, 4)
    assert retries.recall(0, generator) is None, "0.2 s ago the episode had not begun"
    retries.record(np.array([[4.0]]))
    assert retries.recall(0, generator) == 0.0
    retries.forget(np.array([0]))
    assert retries.recall(0, generator) is None


def fall(env: BallbotVectorEnv) -> tuple[list[np.ndarray], dict[str, Any], dict[str, Any]]:
    """Moments of robot 0 until it falls, what the step of the fall told, and the observation after it."""
    moments = []
    for _ in range(400):
        moments.append(env.task._moments()[0].copy())
        observation, _, terminated, _, info = env.step(np.tile(FALLING, (env.num_envs, 1)))
        if terminated[0]:
            return moments, info, observation
    raise AssertionError("nobody fell")


def test_a_fallen_robot_continues_where_it_was_on_the_same_terrain(make_robots: MakeRobots) -> None:
    env = make_robots(1, decimation=5, start={"retry": ALWAYS}, cameras={"height": 16, "width": 16})
    env.reset(seed=3)
    terrain = env.task.simulation.heights.copy()
    moments, info, observation = fall(env)
    now = env.task._moments()[0]
    earlier = [k for k, moment in enumerate(moments) if np.array_equal(moment, now)]
    # The last of moments kept 0.05 s apart is up to 0.05 s old, and the one recalled is 0.2 s older.
    assert len(earlier) == 1
    assert 0.2 <= 0.01 * (len(moments) - earlier[0]) <= 0.25
    np.testing.assert_array_equal(env.task.simulation.heights, terrain)
    assert info["final_info"]["failure"][0]
    assert env.task._steps[0] == 0, "the episode is a new one"
    assert observation["relative_image_timestamp"][0] == 0.0
    np.testing.assert_allclose(observation["actions"][0], now[-9:-6])
    following = env.step(np.tile(FALLING, (1, 1)))
    np.testing.assert_array_equal(env.task._moments()[0][:-9], moments[earlier[0] + 1][:-9])  # the same future
    assert following[4]["steps"][0] == 5


def test_nobody_begins_in_the_moment_of_the_fall() -> None:
    retries = remembering({"share": 1.0, "shortest": 0.0, "longest": 0.001}, 9)
    assert retries.recall(0, np.random.default_rng(0)) == 7.0  # 8 is the moment of the fall


def test_a_seed_determines_what_follows_whatever_was_before(make_robots: MakeRobots) -> None:
    env = make_robots(2, decimation=10, start={"retry": ALWAYS})
    runs = []
    for before in (0, 3, 4):  # moments are remembered every second step here
        env.reset(seed=9)
        for _ in range(before):
            env.step(np.zeros((2, 3)))
        env.reset(seed=3)
        runs.append([env.step(np.tile(FALLING, (2, 1)))[0]["vel"] for _ in range(120)])
    np.testing.assert_array_equal(runs[0], runs[1])
    np.testing.assert_array_equal(runs[0], runs[2])


def test_truncated_robots_start_as_usual(make_robots: MakeRobots) -> None:
    env = make_robots(2, start={"retry": ALWAYS}, max_steps=150, decimation=5)
    env.reset(seed=0)
    for _ in range(30):
        env.step(np.zeros((2, 3)))
    assert (env.task._velocity == 0.0).all()


def test_one_robot_begins_again_at_a_reset_unless_it_has_a_seed(make_robot: MakeRobot) -> None:
    usual = make_robot(decimation=5)
    start, _ = usual.reset(seed=3)
    for seed in (None, 3):
        env = make_robot(decimation=5, start={"retry": ALWAYS})
        env.reset(seed=3)
        fallen = False
        while not fallen:
            _, _, fallen, _, _ = env.step(FALLING)
        after, _ = env.reset(seed=seed)
        if seed is None:
            assert np.linalg.norm(after["vel"]) > 0.01
        else:
            for name in start:
                np.testing.assert_array_equal(after[name], start[name])


def test_a_refused_seed_moves_nobody(make_robots: MakeRobots) -> None:
    env = make_robots(2, decimation=5, start={"retry": ALWAYS})
    env.reset(seed=3)
    before = env.task._moments()
    with pytest.raises(InvalidValueError, match="a seed must be"):
        env.reset(seed=[None, -1])
    np.testing.assert_array_equal(env.task._moments(), before)
