from io import StringIO
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from rich.console import Console
from worlds import many

from poise.policies.baselines import do_nothing
from poise.training.comparison import comparison_table
from poise.training.environments import make_vector_env
from poise.training.evaluation import Evaluation, evaluate
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


def test_where_something_is_to_get_somewhere_the_summary_tells_when_and_how_near() -> None:
    """Two of four arrived, after 10 and 20 steps; the distances at the end are 1, 2, 3 and 6 cm."""
    result = Evaluation(0, [0.0] * 4, [10, 50, 20, 50], [True, False, True, False], [0.0] * 4, [0.01, 0.02, 0.03, 0.06])
    summary = result.summary()
    assert summary["time_to_success"]["mean"] == 15.0
    assert summary["distance"]["mean"] == pytest.approx(0.03)
    told = StringIO()
    Console(file=told, width=80).print(comparison_table({"one": result}))
    assert "steps to success" in told.getvalue()
    assert " 15.0 " in told.getvalue()
    untold = evaluate(Still, lambda n: many(n, length=5, by_seed=True), episodes=4, seed=0)
    assert untold.distances == []
    assert untold.summary()["distance"] == {"mean": None, "low": None, "high": None}
    none = Evaluation(0, [0.0], [50], [False], [0.0], [0.1]).summary()
    assert none["time_to_success"]["mean"] is None


def test_distances_are_those_at_the_end_of_each_episode() -> None:
    """`poise/Push-v0` tells them; whoever does nothing is left as far away as the cube was."""
    blind = {"camera": {"enabled": False}, "max_steps": 2}
    result = evaluate(do_nothing, lambda n: make_vector_env("poise/Push-v0", n, blind, 1), 3, 0, max_parallel=2)
    env = make_vector_env("poise/Push-v0", 3, blind, 1)
    observation, _ = env.reset(seed=0)
    env.close()
    expected = np.linalg.norm(observation["cube"] - observation["goal"], axis=1)
    np.testing.assert_allclose(result.distances, expected, atol=2e-3)


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
