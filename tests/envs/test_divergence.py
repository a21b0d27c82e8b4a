"""A simulation that blows up ends an episode, and nothing else."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest
from mujoco.batch import SimulationError

from poise.envs import BallbotVectorEnv

MakeRobots = Callable[..., BallbotVectorEnv]
OPTIONS: dict[str, Any] = {"cameras": {"height": 8, "width": 8}, "terrain": {"nodes": 33}}
ZERO = np.zeros((3, 3))


@pytest.fixture(autouse=True)
def _mujoco_stays_silent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> Iterator[None]:
    """It prints no warning of what is counted here, and leaves no MUJOCO_LOG.TXT."""
    monkeypatch.chdir(tmp_path)
    yield
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


def assert_finite(values: Any, where: str = "") -> None:
    if isinstance(values, dict):
        for name, value in values.items():
            assert_finite(value, f"{where}/{name}")
    elif isinstance(values, np.ndarray) and values.dtype == object:
        for value in values:
            assert_finite(value, where)
    elif values is not None:
        assert np.isfinite(values).all(), where


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e308, 1e30, 1e6])
@pytest.mark.parametrize("decimation", [1, 5])
@pytest.mark.parametrize("field", ["qvel", "qpos"])
def test_a_robot_that_blows_up_is_terminated_and_counted(
    make_robots: MakeRobots, value: float, decimation: int, field: str
) -> None:
    env, calm = (make_robots(3, decimation=decimation, **OPTIONS) for _ in range(2))
    for robots in (env, calm):
        robots.reset(seed=0)
        robots.step(ZERO)
    simulation = env.task.simulation
    place = simulation.base_qvel if field == "qvel" else simulation.base_qpos
    getattr(simulation, field)[1, place + 1] = value
    outcome, expected = env.step(ZERO), calm.step(ZERO)
    observation, reward, terminated, truncated, info = outcome
    assert terminated.tolist() == [False, True, False]
    assert truncated.tolist() == [False] * 3
    assert info["final_info"]["diverged"].tolist() == [False, True, False]
    assert info["final_info"]["failure"][1]
    assert env.task.diverged_episodes == 1
    assert env.single_observation_space.contains(info["final_obs"][1])
    assert_finite(observation)
    assert_finite(info)
    assert abs(reward[1]) < 1.0
    for _ in range(10):
        for name, seen in observation.items():
            np.testing.assert_array_equal(seen[[0, 2]], expected[0][name][[0, 2]], err_msg=name)
        (observation, *_), expected = env.step(ZERO), calm.step(ZERO)
        assert_finite(observation)
    assert env.task.diverged_episodes == 1


def test_a_robot_that_mujoco_gives_up_on_is_terminated(
    make_robots: MakeRobots, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = make_robots(3, **OPTIONS)
    env.reset(seed=0)
    batch = env.task.simulation._batch
    step = batch.step

    def failing(**keywords: int) -> None:
        step(**keywords)
        raise SimulationError(np.array([2]), "out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(batch, "step", failing)
        observation, _, terminated, _, info = env.step(ZERO)
    assert terminated.tolist() == [False, False, True]
    assert info["final_info"]["diverged"].tolist() == [False, False, True]
    assert_finite(observation)
    assert not env.step(ZERO)[2].any()


def test_other_simulations_are_warned_of_as_before(make_robots: MakeRobots) -> None:
    env = make_robots(1, **OPTIONS)
    env.reset(seed=0)
    model = mujoco.MjModel.from_xml_string(
        "<mujoco><worldbody><body><freejoint/><geom size='1'/></body></worldbody></mujoco>"
    )
    data = mujoco.MjData(model)
    data.qpos[0] = np.nan
    heard: list[str] = []
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(heard.append)
    try:
        env.task.simulation.qvel[0, 0] = np.nan
        env.step(np.zeros((1, 3)))
        assert heard == []
        mujoco.mj_step(model, data)
    finally:
        mujoco.set_mju_user_warning(before)
    assert len(heard) == 1
    assert "QPOS" in heard[0]
