"""Noise, latency and pushes do what their numbers say."""

from collections.abc import Callable

import numpy as np
import pytest

from poise.envs import BallbotVectorEnv

MakeRobots = Callable[..., BallbotVectorEnv]
FLAT = {"kind": "flat", "nodes": 5}


def test_noise_has_the_standard_deviation_asked_for(make_robots: MakeRobots) -> None:
    std = {"orientation": 0.01, "angular_vel": 0.02, "vel": 0.03, "motor_state": 0.04}
    noisy, clean = make_robots(200, noise=std, terrain=FLAT), make_robots(200, terrain=FLAT)
    noisy.reset(seed=0)
    clean.reset(seed=0)
    errors: dict[str, list[np.ndarray]] = {name: [] for name in std}
    for _ in range(10):
        seen, truth = (env.step(np.zeros((200, 3)))[0] for env in (noisy, clean))
        np.testing.assert_array_equal(seen["actions"], truth["actions"])
        for name in std:
            errors[name].append(seen[name] - truth[name])
    for name, expected in std.items():
        error = np.array(errors[name])
        assert error.std() == pytest.approx(expected, rel=0.05)
        assert abs(error.mean()) < 0.1 * expected
        assert abs(np.mean(error[1:] * error[:-1])) < 0.1 * expected**2, "noise of successive steps is independent"


def test_asking_twice_gives_the_same_noise(make_robots: MakeRobots) -> None:
    env = make_robots(3, noise={"vel": 0.1})
    observation, _ = env.reset(seed=0)
    np.testing.assert_array_equal(env.task.observe()["vel"], observation["vel"])


@pytest.mark.parametrize("latency", [1, 3])
def test_latency_is_exact(make_robots: MakeRobots, latency: int) -> None:
    late, prompt = make_robots(2, latency=latency, terrain=FLAT), make_robots(2, terrain=FLAT)
    late.reset(seed=0)
    prompt.reset(seed=0)
    actions = np.random.default_rng(0).uniform(-1, 1, (20, 2, 3))
    for action in [*np.zeros((latency, 2, 3)), *actions]:
        expected = prompt.step(action)[0]
    for action in [*actions, *np.ones((latency, 2, 3))]:
        observation = late.step(action)[0]
    for name in ("orientation", "vel", "motor_state"):
        np.testing.assert_array_equal(observation[name], expected[name])
    np.testing.assert_array_equal(observation["actions"], 1.0)


def test_a_reset_forgets_actions_under_way(make_robots: MakeRobots) -> None:
    used, fresh = (make_robots(1, latency=2, terrain=FLAT) for _ in range(2))
    used.reset(seed=0)
    used.step(np.ones((1, 3)))
    for env in (used, fresh):
        env.reset(seed=0)
        for _ in range(2):
            env.step(np.zeros((1, 3)))
    np.testing.assert_array_equal(used.task.simulation.qvel, fresh.task.simulation.qvel)


def test_pushes_come_as_often_and_as_hard_as_asked(make_robots: MakeRobots) -> None:
    robots, steps = 100, 100
    pushed = make_robots(robots, pushes={"speed": 0.5, "interval": 0.05}, terrain=FLAT, max_tilt=90.0)
    pushed.reset(seed=0)
    simulation = pushed.task.simulation
    first = simulation.base_qvel
    jumps = []
    for _ in range(steps):
        before = simulation.qvel[:, first : first + 2].copy()
        pushed.task._disturbances.push(simulation, pushed.task._generators)
        jumps.append(simulation.qvel[:, first : first + 2] - before)
    sizes = np.linalg.norm(jumps, axis=2)
    hit = sizes > 0
    np.testing.assert_allclose(sizes[hit], 0.5, rtol=1e-9)
    assert hit.mean() == pytest.approx(0.002 / 0.05, rel=0.15)
    assert np.linalg.norm(np.array(jumps)[hit].mean(axis=0)) < 0.1, "no direction is preferred"


def test_pushes_move_the_base(make_robots: MakeRobots) -> None:
    env = make_robots(1, pushes={"speed": 1.0, "interval": 0.002}, terrain=FLAT)
    env.reset(seed=0)
    observation, *_ = env.step(np.zeros((1, 3)))
    assert np.linalg.norm(observation["vel"][0, :2]) == pytest.approx(1.0, rel=0.2)
