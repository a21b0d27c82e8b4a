"""A course's fields are what was asked for, in metres and degrees."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import poise.envs  # noqa: F401  (registers the ballbot)
from poise.config import parse
from poise.errors import InvalidValueError
from poise.sim.course import FIELDS, CourseOptions, layout
from poise.sim.terrain import TerrainOptions

SEEDS = range(12)


def course(**options: Any) -> TerrainOptions:
    """On a fine map: 1 cm from node to node."""
    return parse(TerrainOptions, {"kind": "course", "nodes": 1001, "height": 0.5, "course": options})


def along(terrain: TerrainOptions, seed: int, x: float, y: np.ndarray) -> np.ndarray:
    """Ground heights in metres."""
    points = np.stack([np.full_like(y, x), y], axis=-1)
    return terrain.ground(terrain.generate(seed)[None], points[None])[0]


def inner(terrain: TerrainOptions, index: int, margin: float = 0.1) -> np.ndarray:
    """Places well within a field."""
    start = terrain.course.start + index * terrain.course.length
    return np.linspace(start + margin * terrain.course.length, start + (1 - margin) * terrain.course.length, 50)


@pytest.mark.parametrize(("slope", "length"), [(12.0, 0.8), (5.0, 1.0), (20.0, 0.5)])
def test_slopes_are_as_steep_as_asked(slope: float, length: float) -> None:
    terrain = course(slope=slope, length=length, fields=["flat", "up", "down"])
    measured: dict[str, list[float]] = {"flat": [], "up": [], "down": []}
    for seed in SEEDS:
        for index, kind in enumerate(layout(terrain.course, seed)[: int(4 / length)]):
            y = inner(terrain, index)
            for x in (-2.0, 0.0, 1.3):
                rise = along(terrain, seed, x, y)
                measured[kind].append(float(np.degrees(np.arctan((rise[-1] - rise[0]) / (y[-1] - y[0])))))
    for kind, degrees in (("flat", 0.0), ("up", slope), ("down", -slope)):
        np.testing.assert_allclose(measured[kind], degrees, atol=0.02)


def test_what_is_rough_is_as_rough_as_asked_and_the_rest_is_smooth() -> None:
    terrain = course(roughness=0.06, slope=10.0)
    spans = []
    for seed in SEEDS:
        heights = terrain.generate(seed) * terrain.height
        rows = np.linspace(-5.0, 5.0, 1001)
        for index, kind in enumerate(layout(terrain.course, seed)[:5]):
            y = inner(terrain, index)
            inside = heights[(rows > y[0]) & (rows < y[-1])]
            if kind == "rough":
                spans.append(float(np.ptp(inside)))
            else:
                assert np.ptp(inside, axis=1).max() < 1e-6  # level along x
    assert 0.03 < min(spans) <= max(spans) < 0.0601


def test_rough_fields_lie_about_the_level_of_their_neighbours_and_are_not_walled() -> None:
    """A centimetre into the field no more than a tenth of what it may reach, 3 cm, and on average about none."""
    terrain = course(roughness=0.06, fields=["flat", "rough"])
    level, entries = terrain.generate(0)[0, 0] * terrain.height, []
    assert level == pytest.approx(0.03, abs=1e-6)
    for seed in range(40):
        for index, kind in enumerate(layout(terrain.course, seed)[:5]):
            if kind == "rough":
                y = terrain.course.start + index * terrain.course.length + np.array([0.01, 0.4])
                entries.append(along(terrain, seed, 0.7, y) - level)
    edge, middle = np.array(entries).T
    assert np.abs(edge).max() < 0.003
    assert abs(middle.mean()) < 0.006
    assert middle.min() < -0.01
    assert middle.max() > 0.01


def test_there_are_no_steps_and_it_stays_within_its_bounds() -> None:
    for seed in SEEDS:
        terrain = course(slope=15.0, roughness=0.05)
        heights = terrain.generate(seed) * terrain.height
        steepest = np.abs(np.diff(heights, axis=0)).max() / terrain.cell
        assert steepest < 1.5  # of the noise; a step would be ten times that
        assert heights.min() >= 0.0
        assert heights.max() <= terrain.course.highest + 1e-6
        assert np.ptp(heights[:500]) < 1e-6  # behind the robot it is flat


def test_the_seed_determines_the_order_and_all_kinds_come() -> None:
    options = CourseOptions()
    orders = [layout(options, seed) for seed in SEEDS]
    assert orders == [layout(options, seed) for seed in SEEDS]
    assert len(set(orders)) == len(SEEDS)
    counts = {kind: sum(order.count(kind) for order in orders) for kind in FIELDS}
    assert min(counts.values()) > 0.1 * sum(counts.values())
    for order in orders:
        level = np.cumsum([{"up": 1, "down": -1}.get(kind, 0) for kind in order])
        assert set(level) <= {0, 1}


def test_the_robot_is_told_the_field_ahead() -> None:
    terrain = {"kind": "course", "height": 0.3, "nodes": 65, "course": {"start": 0.1, "length": 0.3}}
    options = {"terrain": terrain, "cameras": {"enabled": False}, "field_ahead": {"enabled": True, "distance": 0.25}}
    env = gym.make_vec("poise/Ballbot-v0", num_envs=8, **options)
    observation, _ = env.reset(seed=3)
    assert env.single_observation_space["engaging_block"].shape == (4,)
    task = env.unwrapped.task
    told = []
    for _ in range(60):
        y = task.simulation.ball_centres()[:, 1]
        for robot in range(8):
            course = task.options.terrain.course
            order = layout(course, int(task.simulation.terrain_seeds[robot]))
            index = int(np.floor((y[robot] + 0.25 - 0.1) / 0.3))
            expected = order[index] if index >= 0 else "flat"
            assert observation["engaging_block"][robot].tolist() == [float(kind == expected) for kind in FIELDS]
            told.append(expected)
        observation, *_ = env.step(np.full((8, 3), 0.3, np.float32))
    assert len(set(told)) >= 3
    env.close()


def test_slopes_may_be_one_field_with_a_sign() -> None:
    terrain = {"kind": "course", "height": 0.3, "nodes": 65, "course": {"start": 0.1, "length": 0.3, "slope": 30.0}}
    told = []
    for signed in (False, True):
        ahead = {"enabled": True, "distance": 0.5, "signed": signed}  # the second field: the first goes never down
        options = {"terrain": terrain, "cameras": {"enabled": False}, "field_ahead": ahead}
        env = gym.make_vec("poise/Ballbot-v0", num_envs=64, **options)
        observation, _ = env.reset(seed=3)
        assert env.observation_space["engaging_block"].contains(observation["engaging_block"])
        told.append(observation["engaging_block"])
        env.close()
    apart, together = told
    rise = 0.3 / np.sqrt(3.0)  # of 30 degrees over 0.3 m
    assert apart[:, 2:].any(axis=0).all()
    np.testing.assert_array_equal(together[:, :2], apart[:, :2])
    np.testing.assert_array_equal(together[:, 2], apart[:, 2] + apart[:, 3])
    np.testing.assert_allclose(together[:, 3], rise * (apart[:, 2] - apart[:, 3]), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fields": []}, "fields"),
        ({"fields": ["flat", "up"]}, "both 'up' and 'down' or neither"),
        ({"fields": ["flat", "steep"]}, "'flat', 'rough', 'up' or 'down'"),
        ({"slope": 50}, "slope must be less than 45"),
        ({"slope": 40.0, "length": 2.0}, "height must be at least 1.73, the course's highest point"),
    ],
)
def test_impossible_courses_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidValueError, match=words):
        course(**options)


def test_a_field_ahead_needs_a_course() -> None:
    with pytest.raises(InvalidValueError, match="set terrain.kind to 'course'"):
        gym.make_vec("poise/Ballbot-v0", num_envs=1, field_ahead={"enabled": True})
    course = {"kind": "course", "height": 0.3}
    with pytest.raises(InvalidValueError, match="what is ahead along y"):
        gym.make_vec(
            "poise/Ballbot-v0", num_envs=1, terrain=course, field_ahead={"enabled": True}, goal={"kind": "sampled"}
        )
