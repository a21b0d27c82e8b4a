from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from worlds import many

from poise.training.evaluation import evaluate
from poise.training.statistics import mean_interval, wilson_interval


class Still:
    """Does nothing, and counts whom it was told to forget."""

    def __init__(self, env: Any) -> None:
        self.num_envs = env.num_envs
        self.forgotten = np.zeros(env.num_envs, np.int64)

    def act(self, observation: Any) -> np.ndarray:
        return np.full((self.num_envs, 2), 7.0)  # beyond what the environment accepts

    def reset(self, dones: np.ndarray) -> None:
        self.forgotten += dones


def test_each_seed_is_one_episode() -> None:
    result = evaluate(Still, lambda n: many(n, length=5, by_seed=True), episodes=7, seed=100)
    assert result.lengths == [1 + (100 + i) % 5 for i in range(7)]
    assert result.returns == [float(length) for length in result.lengths]
    assert result.successes == [length == 5 for length in result.lengths]  # told in the information of the last step
    # the speed is half the number of the step, its mean over 1 ... n therefore (n + 1) / 4
    assert result.speeds == pytest.approx([(length + 1) / 4 for length in result.lengths])


def test_the_outcome_does_not_depend_on_how_many_run_side_by_side() -> None:
    results = [
        evaluate(Still, lambda n: many(n, length=5, by_seed=True), episodes=7, seed=3, max_parallel=parallel)
        for parallel in (100, 7, 3, 1)
    ]
    assert all(result == results[0] for result in results)


def test_the_summary_has_the_intervals() -> None:
    result = evaluate(Still, lambda n: many(n, length=5, by_seed=True), episodes=10, seed=0)
    summary = result.summary()
    assert summary["success_rate"]["mean"] == result.metric("success_rate") == 0.2
    assert (summary["success_rate"]["low"], summary["success_rate"]["high"]) == wilson_interval(2, 10)
    assert summary["return"]["mean"] == result.metric("return") == 3.0
    assert (summary["return"]["low"], summary["return"]["high"]) == mean_interval(result.returns)
    assert (summary["episodes"], summary["seed"]) == (10, 0)
    assert len(result.to_json()["episodes"]["lengths"]) == 10


def test_continuous_actions_are_clipped_and_discrete_ones_are_not() -> None:
    envs = []

    def make(count: int, **settings: Any) -> Any:
        envs.append(many(count, **settings))
        return envs[-1]

    evaluate(Still, make, episodes=2, seed=0)
    assert np.max([env.actions for env in envs[0].envs]) == 1.0
    evaluate(Still, lambda n: make(n, action_space=spaces.MultiDiscrete([9, 9])), episodes=2, seed=0)
    assert np.max([env.actions for env in envs[1].envs]) == 7.0


def test_progress_and_endings_are_reported() -> None:
    agents, over = [], []

    def agent_for(env: Any) -> Still:
        agents.append(Still(env))
        return agents[-1]

    evaluate(agent_for, lambda n: many(n, length=4, by_seed=True), 6, 0, max_parallel=4, on_step=over.append)
    assert over == [1, 2, 3, 4, 5, 6]
    assert [len(agent.forgotten) for agent in agents] == [4, 2]
    assert all(agent.forgotten.all() for agent in agents)


def test_lengths_are_in_time_steps_of_the_physics() -> None:
    def make(count: int) -> Any:
        env = many(count, length=4)
        env.options = type("Options", (), {"decimation": 5})
        return env

    assert evaluate(Still, make, 2, 0).lengths == [20, 20]
