"""The PID controller balances ballbots, however they are observed; doing nothing does nothing."""

from collections.abc import Callable, Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import VectorEnv

from poise.envs import BallbotVectorEnv
from poise.errors import InvalidValueError
from poise.policies.baselines import BASELINES, DoNothing
from poise.policies.pid import PidController, PidGains

FLAT = {"kind": "flat", "nodes": 5}
MakeRobots = Callable[..., BallbotVectorEnv]


@pytest.fixture
def make_robots() -> Iterator[MakeRobots]:
    made: list[BallbotVectorEnv] = []

    def make(num_envs: int, **options: Any) -> BallbotVectorEnv:
        made.append(BallbotVectorEnv(num_envs, **({"cameras": {"enabled": False}} | options)))
        return made[-1]

    yield make
    for env in made:
        env.close()


def upright(count: int = 1) -> dict[str, np.ndarray]:
    return {name: np.zeros((count, 3), np.float32) for name in ("orientation", "angular_vel", "vel", "actions")}


def drive(env: VectorEnv[Any, Any, Any], agent: Any, steps: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Who never fell (N,), and the mean speed (N,) along the goal over the last half of the steps."""
    observation, _ = env.reset(seed=seed)
    standing, speed = np.ones(env.num_envs, np.bool_), np.zeros(env.num_envs)
    for step in range(steps):
        observation, _, terminated, truncated, info = env.step(agent.act(observation))
        agent.reset(terminated | truncated)
        standing &= ~terminated
        speed += info["speed"] * (step >= steps // 2)
    return standing, speed / (steps - steps // 2)


@pytest.mark.parametrize("decimation", [1, 5])
def test_it_stands_on_hills(make_robots: MakeRobots, decimation: int) -> None:
    env = make_robots(8, decimation=decimation)
    agent = PidController(8, env.options.control_step)
    standing, _ = drive(env, agent, 1500 // decimation)
    assert standing.all()


def test_without_it_they_fall_and_with_the_wrong_sign_too(make_robots: MakeRobots) -> None:
    start = {"tilt": 3.0}
    env = make_robots(8, terrain=FLAT, start=start)
    assert drive(env, PidController(8, 0.002), 700)[0].all()
    assert not drive(env, DoNothing(8), 700)[0].any()
    wrong = PidController(8, 0.002, gains=PidGains(proportional=-15.0, integral=-400.0, derivative=-2.0))
    assert not drive(env, wrong, 700)[0].any()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"orientation": "euler"},
        {"goal": {"direction": (0.6, -0.8)}},
        {"goal": {"kind": "sampled"}, "frame": "heading", "start": {"yaw": 180.0}},
        {"goal": {"kind": "sampled"}, "frame": "heading", "orientation": "euler", "start": {"yaw": 180.0}},
        {"goal": {"kind": "sampled"}, "start": {"yaw": 180.0}},
        {"action_increment": 0.5},
    ],
    ids=lambda options: "-".join(options) or "data sheet",
)
def test_the_baseline_travels_along_the_goal_on_flat_ground(make_robots: MakeRobots, options: dict[str, Any]) -> None:
    env = make_robots(4, terrain=FLAT, **options)
    standing, speed = drive(env, BASELINES["pid"](env), 2000)
    assert standing.all()
    np.testing.assert_allclose(speed, 0.2, atol=0.04)


def test_where_it_cannot_know_the_goal_it_stands(make_robots: MakeRobots) -> None:
    env = make_robots(4, terrain=FLAT, frame="heading", start={"yaw": 180.0})
    standing, speed = drive(env, BASELINES["pid"](env), 1000)
    assert standing.all()
    np.testing.assert_allclose(speed, 0.0, atol=0.05)


def test_the_wheels_that_are_asked_by_hand() -> None:
    """Leaning by 0.01 rad to +x (turned about +y): wheel i gets its share sin(azimuth) of 15 * 0.01."""
    agent = PidController(1, 0.002, gains=PidGains(integral=0.0, speed=0.0, drift=0.0))
    leaning = upright() | {"orientation": np.array([[0.0, 0.01, 0.0]])}
    expected = 15.0 * np.sin(0.01) * np.sin(np.radians([-102.7, 17.3, 137.3]))
    np.testing.assert_allclose(agent.act(leaning), expected[None], rtol=1e-6)
    falling = upright() | {"angular_vel": np.array([[0.0, 0.1, 0.0]])}  # about +y, so towards +x
    np.testing.assert_allclose(agent.act(falling), 2.0 * 0.1 / (15.0 * np.sin(0.01)) * expected[None], rtol=1e-6)


def test_the_integral_grows_is_held_at_the_bound_and_is_forgotten() -> None:
    agent = PidController(2, 0.002, gains=PidGains(proportional=0.0, derivative=0.0, speed=0.0, drift=0.0))
    leaning = upright(2) | {"orientation": np.array([[0.0, 0.1, 0.0], [0.0, 0.0, 0.0]])}
    first, second = (np.abs(agent.act(leaning)).max(axis=1) for _ in range(2))
    np.testing.assert_allclose(second, 2.0 * first)
    assert first[1] == 0.0
    for _ in range(1000):
        agent.act(leaning)
    leaning["orientation"] = -leaning["orientation"]
    back = [np.abs(agent.act(leaning)).max(axis=1)[0] for _ in range(15)]
    assert min(back) < 0.1, "an integral that was held unwinds as fast as it grew"
    agent.reset(np.array([True, False]))
    np.testing.assert_allclose(np.abs(agent.act(leaning)).max(axis=1), first)


def test_actions_stay_within_bounds() -> None:
    agent = PidController(50, 0.002)
    rng = np.random.default_rng(0)
    for _ in range(20):
        wild = {name: rng.normal(scale=3.0, size=(50, 3)) for name in upright()}
        actions = agent.act(wild)
        assert actions.shape == (50, 3)
        assert np.abs(actions).max() <= 1.0


def test_do_nothing_in_any_environment() -> None:
    env = gym.make_vec("Pendulum-v1", num_envs=3)
    agent = BASELINES["do-nothing"](env)
    np.testing.assert_array_equal(agent.act({}), np.zeros((3, 1)))
    agent.reset(np.ones(3, np.bool_))
    env.close()


def test_do_nothing_refuses_actions_none_of_which_does_nothing() -> None:
    env = gym.make_vec("CartPole-v1", num_envs=1)
    with pytest.raises(InvalidValueError, match=r"do-nothing needs continuous actions.*, not Discrete\(2\)"):
        BASELINES["do-nothing"](env)
    env.close()


def test_pid_refuses_what_is_no_ballbot() -> None:
    env = gym.make_vec("Pendulum-v1", num_envs=1)
    with pytest.raises(InvalidValueError, match="drives ballbots only"):
        BASELINES["pid"](env)
    env.close()
