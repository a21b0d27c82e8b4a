"""The linear-quadratic regulator balances, follows, and is optimal for the model it identified."""

from typing import Any

import numpy as np
import pytest

from poise.envs import BallbotVectorEnv
from poise.errors import InvalidValueError
from poise.policies.lqr import LqrController, LqrWeights, identify

ROBOTS = 8
OPTIONS: dict[str, Any] = {
    "cameras": {"enabled": False},
    "decimation": 10,
    "frame": "heading",
    "goal": {"observed": True},
}
STEP = 0.02


def travel(seconds: float, options: dict[str, Any], **asked: float) -> tuple[np.ndarray, np.ndarray]:
    """(T, N, 2) velocities along the goal and to its left, and (N,) whether each robot is up at the end."""
    env = BallbotVectorEnv(ROBOTS, **OPTIONS | options)
    agent = LqrController(ROBOTS, env.options, **asked)
    observation, _ = env.reset(seed=700)
    up, velocities = np.ones(ROBOTS, np.bool_), []
    for _ in range(round(seconds / STEP)):
        observation, _, terminated, truncated, _ = env.step(agent.act(observation))
        agent.reset(terminated | truncated)
        up &= ~terminated
        goal, velocity = observation["goal"], observation["vel"][:, :2]
        left = np.stack([-goal[:, 1], goal[:, 0]], axis=1)
        velocities.append(np.stack([(velocity * goal).sum(1), (velocity * left).sum(1)], axis=1))
    env.close()
    return np.array(velocities), up


def test_the_gain_is_optimal_and_stable() -> None:
    """K is where the cost of a long course of the linear model is least."""
    model, weights = identify(0.002, 10, "implicitfast"), LqrWeights()

    def cost(gain: np.ndarray) -> float:
        state, total = np.array([0.1, 0.2, -0.1, 0.0]), 0.0
        for _ in range(600):
            drive = -gain @ state
            squares = state**2 @ [weights.tilt, weights.tilt_rate, weights.velocity, weights.last_drive]
            total += float(squares + weights.drive * drive**2)
            state = model.a @ state + model.b[:, 0] * drive
        return total

    best = model.gain(weights)
    assert np.abs(np.linalg.eigvals(model.a - model.b @ best[None])).max() < 1.0
    for i in range(4):
        for change in (-0.02, 0.02):
            other = best.copy()
            other[i] += change * max(abs(best[i]), 1.0)
            assert cost(other) > cost(best)


def test_a_lean_speeds_the_model_up_as_physics_has_it() -> None:
    """Falling: what leans leans more; rolling: what is driven gets faster and leans back."""
    model = identify(0.002, 10, "implicitfast")
    assert model.b[1, 0] < 0.0 < model.b[2, 0]
    assert 2.0 < model.steady_drive < 3.0  # 0.5 m/s would take more torque than there is, see benchmarks/top_speed.py


@pytest.mark.parametrize("options", [{"terrain": {"kind": "flat"}}, {"frame": "world", "terrain": {"kind": "flat"}}])
def test_it_follows_a_velocity_on_level_ground(options: dict[str, Any]) -> None:
    velocities, up = travel(5.0, options, speed=0.2)
    assert up.all()
    np.testing.assert_allclose(velocities[-100:].mean(axis=(0, 1)), [0.2, 0.0], atol=0.02)


@pytest.mark.parametrize("drift", [0.1, -0.05])
def test_it_drifts_to_the_left_of_its_goal(drift: float) -> None:
    velocities, up = travel(5.0, {"terrain": {"kind": "flat"}}, speed=0.15, drift=drift)
    assert up.all()
    np.testing.assert_allclose(velocities[-100:].mean(axis=(0, 1)), [0.15, drift], atol=0.02)


def test_it_weaves() -> None:
    velocities, up = travel(8.0, {"terrain": {"kind": "flat"}}, speed=0.1, weave=0.1, frequency=0.5)
    assert up.all()
    sideways = velocities[200:, :, 1]  # whole periods, after the beginning
    assert sideways.std(axis=0) == pytest.approx(0.1 / 2**0.5, rel=0.25)
    spectrum = np.abs(np.fft.rfft(sideways.mean(axis=1)))
    assert np.argmax(spectrum) == round(0.5 * len(sideways) * STEP)


def test_it_stands_on_hills_at_any_rate_of_decisions() -> None:
    assert travel(4.0, {})[1].all()
    assert travel(0.5, {"decimation": 1, "max_steps": 4000})[1].all()
    assert travel(3.0, {"action_increment": 0.5})[1].all()


def test_it_must_know_the_goal_to_travel() -> None:
    env = BallbotVectorEnv(1, cameras={"enabled": False}, frame="heading")
    with pytest.raises(InvalidValueError, match="env.options.goal.observed"):
        LqrController(1, env.options, speed=0.1)
    env.close()


def test_each_robot_is_driven_as_if_it_were_alone() -> None:
    env = BallbotVectorEnv(ROBOTS, **OPTIONS)
    together = LqrController(ROBOTS, env.options, speed=0.1)
    alone = [LqrController(1, env.options, speed=0.1) for _ in range(ROBOTS)]
    observation, _ = env.reset(seed=3)
    for _ in range(20):
        actions = together.act(observation)
        each = [agent.act({k: v[i : i + 1] for k, v in observation.items()}) for i, agent in enumerate(alone)]
        np.testing.assert_array_equal(actions, np.concatenate(each))
        observation, *_ = env.step(actions)
    env.close()
