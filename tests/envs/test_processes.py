"""Environments in several processes: against gymnasium's own in one."""

import os
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from poise.envs.processes import ProcessVectorEnv
from poise.errors import InvalidValueError, PoiseError
from poise.training.environments import make_vector_env


class Counting(gym.Env[dict[str, Any], Any]):
    """Counts its steps, and ends after as many as its seed says; tells of it in some steps only."""

    observation_space = gym.spaces.Dict(
        {"count": gym.spaces.Box(0, 99, (1,), np.float32), "picture": gym.spaces.Box(0, 255, (1, 2, 2), np.uint8)}
    )
    action_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.length, self.count = int(self.np_random.integers(2, 6)), 0
        return self._seen(), {"length": self.length}

    def step(self, action: Any) -> Any:
        self.count += 1
        self.steps += 1
        if action[0] > 0.9:
            raise InvalidValueError("too much")
        if action[0] < -0.9:
            os._exit(3)
        over = self.count == self.length
        info = {"odd": True} if self.count % 2 else {"steps": self.steps}
        return self._seen(), float(action.sum()), over, False, info

    def _seen(self) -> dict[str, Any]:
        picture = np.full((1, 2, 2), self.count, np.uint8)
        return {"count": np.full(1, self.count, np.float32), "picture": picture}


def same(one: Any, other: Any) -> bool:
    """Whether mappings and arrays are equal."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, tuple) or (isinstance(one, np.ndarray) and one.dtype == object):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return bool(np.all(one == other))


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_it_is_gymnasiums_vector_environment(processes: int) -> None:
    theirs = SyncVectorEnv([Counting] * 5, autoreset_mode=AutoresetMode.SAME_STEP)
    ours = ProcessVectorEnv(Counting, 5, processes)
    assert ours.single_observation_space == theirs.single_observation_space
    assert ours.action_space == theirs.action_space
    assert ours.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    assert same(ours.reset(seed=3), theirs.reset(seed=3))
    generator = np.random.default_rng(0)
    for _ in range(12):
        actions = generator.uniform(-0.5, 0.5, (5, 2)).astype(np.float32)
        for one, other in zip(ours.step(actions), theirs.step(actions), strict=True):
            assert same(one, other)
    assert same(ours.reset(seed=[9, 8, 7, 6, 5]), theirs.reset(seed=[9, 8, 7, 6, 5]))
    ours.close()
    theirs.close()


@pytest.mark.parametrize("processes", [1, 2])
def test_who_is_retired_stands_still_until_the_next_reset(processes: int) -> None:
    env = ProcessVectorEnv(Counting, 3, processes)
    actions = np.full((3, 2), 0.1, np.float32)
    env.reset(seed=0)
    before, *_ = env.step(actions)
    env.retire(np.array([False, True, False]))
    for _ in range(8):
        observation, reward, terminated, _, _ = env.step(actions)
        assert (observation["count"][1], reward[1], terminated[1]) == (before["count"][1], 0.0, False)
        assert reward[0] == pytest.approx(0.2)
    env.reset(seed=0)
    observation, reward, *_ = env.step(actions)
    assert (observation["count"][1], reward[1]) == (1.0, pytest.approx(0.2))
    env.close()


@pytest.mark.parametrize("processes", [1, 2])
def test_what_is_raised_there_is_raised_here(processes: int) -> None:
    env = ProcessVectorEnv(Counting, 2, processes)
    env.reset(seed=0)
    with pytest.raises(InvalidValueError, match="too much"):
        env.step(np.full((2, 2), 0.95, np.float32))
    env.close()


def test_a_process_that_dies_is_told_of() -> None:
    env = ProcessVectorEnv(Counting, 2, 2)
    env.reset(seed=0)
    with pytest.raises(PoiseError, match="died"):
        env.step(np.full((2, 2), -0.95, np.float32))
    env.close()


@pytest.mark.parametrize("threads", [1, 2])
def test_each_draws_itself(threads: int) -> None:
    env = make_vector_env("poise/Push-v0", 3, {"camera": {"enabled": False}, "render_mode": "rgb_array"}, threads)
    env.reset(seed=0)
    drawn = env.render()
    env.close()
    assert drawn is not None
    assert [picture.shape for picture in drawn] == 3 * [(480, 480, 3)]
    assert not np.array_equal(drawn[0], drawn[1])
    silent = make_vector_env("poise/Push-v0", 1, {"camera": {"enabled": False}}, threads)
    silent.reset(seed=0)
    assert silent.render() is None
    silent.close()
