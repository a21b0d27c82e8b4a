"""Many robots in one simulation are the same as many simulations of one robot each."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from poise.envs import BallbotEnv, BallbotVectorEnv

MakeRobots = Callable[..., BallbotVectorEnv]
SMALL = {"nodes": 65, "half_size": 1.0, "scale": 8.0}
EVERYTHING: dict[str, Any] = {
    "terrain": SMALL | {"episodes_per_terrain": 2},
    "cameras": {"height": 8, "width": 8},
    "noise": {"orientation": 0.01, "angular_vel": 0.1, "vel": 0.05, "motor_state": 0.05, "depth": 0.01},
    "pushes": {"speed": 0.3, "interval": 0.1},
    "latency": 2,
    "goal": {"kind": "sampled"},
    "start": {"tilt": 10.0, "yaw": 90.0, "speed": 0.3, "retry": {"share": 0.7, "shortest": 0.02, "longest": 0.1}},
    "max_tilt": 14.0,
    "max_steps": 33,
}
OPTIONS = {
    "plain": {"cameras": {"enabled": False}, "terrain": SMALL, "max_steps": 25},
    "cameras": {"cameras": {}, "terrain": SMALL, "max_steps": 25},
    "everything": EVERYTHING,
    "heading": EVERYTHING | {"frame": "heading", "decimation": 3, "action_increment": 0.3},
    "retries": EVERYTHING | {"decimation": 10, "max_steps": 4000},
}


@pytest.fixture(params=OPTIONS.values(), ids=OPTIONS.keys())
def options(request: pytest.FixtureRequest) -> Any:
    return request.param


def actions_for(step: int, count: int) -> np.ndarray:
    """(count, 3) of a robot's own stream, whatever the other robots do."""
    return np.array([np.random.default_rng([robot, step]).uniform(-1, 1, 3) for robot in range(count)]).astype(
        np.float32
    )


def assert_same(ours: Any, theirs: Any, where: str = "") -> None:
    """Equal bit for bit, where gymnasium's masks say that there is something."""
    for name, value in theirs.items():
        place = f"{where}/{name}"
        if name.startswith("_"):
            np.testing.assert_array_equal(ours[name], value, err_msg=place)
        elif isinstance(value, dict):
            assert_same(ours[name], value, place)
        else:
            mask = theirs.get(f"_{name}", slice(None))
            for mine, other in zip(ours[name][mask], value[mask], strict=True):
                if isinstance(other, dict):
                    assert_same(mine, other, place)
                else:
                    np.testing.assert_array_equal(mine, other, err_msg=place)


def test_the_same_as_gymnasiums_vector_of_single_robots(options: dict[str, Any], make_robots: MakeRobots) -> None:
    ours = make_robots(3, **options)
    theirs = SyncVectorEnv([lambda: BallbotEnv(**options)] * 3, autoreset_mode=AutoresetMode.SAME_STEP)
    assert ours.single_observation_space == theirs.single_observation_space
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    assert ours.metadata["autoreset_mode"] == theirs.metadata["autoreset_mode"]
    endings = 0
    assert_same(ours.reset(seed=7)[0], theirs.reset(seed=7)[0], "reset")
    for step in range(80):
        mine, other = (env.step(actions_for(step, 3)) for env in (ours, theirs))
        assert_same(mine[0], other[0], f"step {step}")
        for i in (1, 2, 3):
            np.testing.assert_array_equal(mine[i], other[i])
            assert mine[i].dtype == other[i].dtype
        assert_same(mine[4], other[4], f"step {step}")
        endings += "final_obs" in other[4]
        assert ("final_obs" in mine[4]) == ("final_obs" in other[4])
    assert endings >= 2
    theirs.close()


def test_information_of_ended_episodes_is_that_of_their_last_step(make_robots: MakeRobots) -> None:
    env = make_robots(2, max_steps=3)
    env.reset(seed=0)
    env.reset(seed=1, options={"reset_mask": np.array([True, False])})
    env.step(np.zeros((2, 3)))
    env.task._steps[:] = [1, 2]
    observation, _, _, truncated, info = env.step(np.full((2, 3), 0.5))
    assert truncated.tolist() == [False, True]
    assert info["_tilt"].tolist() == [True, False]
    assert info["final_info"]["_tilt"].tolist() == [False, True]
    assert info["final_info"]["steps"][1] == 3
    assert info["final_obs"][0] is None
    np.testing.assert_allclose(info["final_obs"][1]["actions"], 0.5)
    np.testing.assert_array_equal(observation["actions"], [[0.5] * 3, [0.0] * 3])


def run(env: BallbotVectorEnv, steps: int, first: int = 0) -> list[dict[str, np.ndarray]]:
    """Observations, rewards and flags of some steps."""
    result = []
    for step in range(first, first + steps):
        observation, reward, terminated, truncated, _ = env.step(actions_for(step, env.num_envs))
        result.append(observation | {"reward": reward, "terminated": terminated, "truncated": truncated})
    return result


def assert_same_runs(first: list[dict[str, Any]], second: list[dict[str, Any]], robots: int) -> None:
    for step, (a, b) in enumerate(zip(first, second, strict=True)):
        for name in a:
            np.testing.assert_array_equal(a[name][:robots], b[name][:robots], err_msg=f"{step}/{name}")


@pytest.mark.parametrize(("robots", "threads"), [(5, 2), (5, 3), (2, 1)])
def test_neither_threads_nor_company_matter(make_robots: MakeRobots, robots: int, threads: int) -> None:
    alone, company = make_robots(5, threads=1, **EVERYTHING), make_robots(robots, threads=threads, **EVERYTHING)
    alone.reset(seed=3)
    company.reset(seed=3)
    assert_same_runs(run(alone, 50), run(company, 50), robots)


def test_a_saved_state_continues_bit_for_bit_in_another_environment(
    options: dict[str, Any], make_robots: MakeRobots
) -> None:
    env = make_robots(3, **options)
    env.reset(seed=11)
    last = run(env, 34)[-1]
    state = env.state()
    expected = run(env, 45, first=34)
    other = make_robots(3, threads=1, **options)
    observation = other.load_state(state)
    for name, value in observation.items():
        np.testing.assert_array_equal(value, last[name], err_msg=name)
    assert_same_runs(run(other, 45, first=34), expected, 3)


def test_a_saved_state_does_not_change_later_and_is_arrays_and_json(make_robots: MakeRobots) -> None:
    env = make_robots(2, **EVERYTHING)
    env.reset(seed=0)
    run(env, 7)
    state = env.state()

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(part) for name, part in value.items()}
        if isinstance(value, list):
            return [plain(part) for part in value]
        return value.tolist() if isinstance(value, np.ndarray) else value

    before = json.dumps(plain(state))
    run(env, 20, first=7)
    assert json.dumps(plain(state)) == before


def test_a_masked_reset_leaves_the_others_alone(make_robots: MakeRobots) -> None:
    env = make_robots(3)
    env.reset(seed=0)
    before = run(env, 5)[-1]
    after, _ = env.reset(seed=[4, 5, 6], options={"reset_mask": np.array([False, True, False])})
    np.testing.assert_array_equal(after["vel"][[0, 2]], before["vel"][[0, 2]])
    np.testing.assert_array_equal(after["vel"][1], 0.0)
    single = make_robots(1)
    single.reset(seed=5)
    assert env.task.simulation.terrain_seeds[1] == single.task.simulation.terrain_seeds[0]
