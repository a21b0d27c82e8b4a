"""Collecting depth images: new frames only, the same images however the work is cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poise.config import parse
from poise.envs.options import CAMERAS
from poise.errors import InvalidValueError
from poise.perception import ImageDataset
from poise.perception.images import quantise
from poise.training.collection import CollectConfig, Recording, collect, driving
from poise.training.environments import make_vector_env

SMALL = {
    "episodes": 4,
    "seconds": 0.3,
    "rate": 20.0,
    "height": 8,
    "width": 8,
    "images_per_episode": 5,
    "terrain": {"nodes": 33},
}


def small(**changes: object) -> CollectConfig:
    return parse(CollectConfig, {**SMALL, **changes})


def everything(folder: Path) -> dict[tuple[int, str], np.ndarray]:
    dataset = ImageDataset(folder)
    return {(episode, name): image for episode in dataset.episodes for name, image in dataset.load(episode).items()}


def everything_felt(folder: Path) -> dict[tuple[int, str], np.ndarray]:
    dataset = ImageDataset(folder)
    return {(episode, name): felt for episode in dataset.episodes for name, felt in dataset.load_felt(episode).items()}


def assert_same(one: Path, other: Path) -> None:
    left, right = everything(one), everything(other)
    assert left.keys() == right.keys()
    for key, images in left.items():
        np.testing.assert_array_equal(images, right[key])


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    collect(small(), folder)
    return folder


def test_half_the_episodes_are_random_and_half_pid(collected: Path) -> None:
    dataset = ImageDataset(collected)
    assert [dataset.info.episodes[i].driver for i in dataset.episodes] == ["random", "pid", "random", "pid"]
    assert (dataset.info.height, dataset.info.width, dataset.cameras) == (8, 8, CAMERAS)
    assert len({info.seed for info in dataset.info.episodes.values()}) == 4


def test_every_image_is_new(collected: Path) -> None:
    for images in everything(collected).values():
        assert 2 <= len(images) <= 5
        assert (np.abs(np.diff(images.astype(int), axis=0)).max(axis=(1, 2)) > 0).all()


def alone(dataset: ImageDataset, episode: int, **options: Any) -> tuple[Any, Any, Any]:
    """The environment of one robot that lives a collected episode again, who drives it, and its first observation."""
    whole = {
        "terrain": {"nodes": 33},
        "cameras": {"rate": 20.0, "height": 8, "width": 8},
        "start": {"tilt": 5.0, "yaw": 180.0},
        "decimation": 5,
    }
    env = make_vector_env("poise/Ballbot-v0", 1, whole | options, 1)
    agent = driving("random", [np.random.default_rng([0, episode, 1])], 0.01)
    observation, _ = env.reset(seed=dataset.info.episodes[episode].seed)
    return env, agent, observation


def test_the_images_are_those_of_the_environment(tmp_path: Path) -> None:
    """An independent drive of one robot: of 0.3 s at 20 Hz and 100 decisions a second, frames 0, 5, ..., 25."""
    config = small(driver="random", images_per_episode=10)
    collect(config, tmp_path)
    dataset = ImageDataset(tmp_path)
    episode, expected = 1, []
    env, agent, observation = alone(dataset, episode)
    for step in range(30):
        if step % 5 == 0:
            expected.append(quantise(observation["rgbd_1"][0, 0]))
        observation, _, terminated, _, _ = env.step(agent.act(observation))
        if terminated.any():
            break
    env.close()
    np.testing.assert_array_equal(dataset.load(episode)["rgbd_1"], expected)


def test_what_was_felt_is_of_the_moment_of_the_image(tmp_path: Path) -> None:
    """An independent drive of one robot, told in the heading's frame, with ground heights, by its environment."""
    collect(small(driver="random", ground_heights=True, images_per_episode=10), tmp_path)
    dataset = ImageDataset(tmp_path)
    episode = 1
    env, agent, observation = alone(dataset, episode, frame="heading", heights={"enabled": True})
    felt = dataset.load_felt(episode)
    assert felt.keys() == {"orientation", "angular_vel", "vel", "motor_state", "actions", "heights"}
    for frame in range(len(felt["vel"])):
        for name, values in felt.items():
            np.testing.assert_allclose(values[frame], observation[name][0], atol=2e-6, err_msg=f"{name} {frame}")
        for _ in range(5):
            observation, _, terminated, _, _ = env.step(agent.act(observation))
            assert frame == len(felt["vel"]) - 1 or not terminated.any()
    env.close()
    assert np.abs(felt["vel"][1:]).max() > 0.01


def test_ground_heights_change_no_image_and_are_not_kept_unasked(collected: Path, tmp_path: Path) -> None:
    collect(small(ground_heights=True), tmp_path)
    assert_same(tmp_path, collected)
    assert ImageDataset(tmp_path).info.felt["heights"] == (7, 7)
    assert "heights" not in ImageDataset(collected).info.felt
    with pytest.raises(InvalidValueError, match="another ground_heights"):
        collect(small(), tmp_path)


def test_robots_side_by_side_and_interruptions_change_no_image(collected: Path, tmp_path: Path) -> None:
    told: list[int] = []
    assert collect(small(episodes=3, robots=1), tmp_path).skipped == 0
    result = collect(small(robots=3), tmp_path, progress=told.append)
    assert (result.skipped, result.episodes, told) == (3, 4, [4])
    assert_same(tmp_path, collected)
    one, other = everything_felt(tmp_path), everything_felt(collected)
    assert one.keys() == other.keys()
    assert all(np.array_equal(values, other[key]) for key, values in one.items())


def test_a_lost_episode_is_collected_again(collected: Path, tmp_path: Path) -> None:
    collect(small(), tmp_path)
    (tmp_path / "images" / "episode_000002.npz").unlink()
    assert collect(small(), tmp_path).skipped == 3
    assert_same(tmp_path, collected)


def test_the_seed_changes_the_images(collected: Path, tmp_path: Path) -> None:
    collect(small(seed=1), tmp_path)
    other, one = everything(tmp_path), everything(collected)
    assert any(not np.array_equal(other[key], one[key]) for key in one)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 1}, "another seed"),
        ({"terrain": {"nodes": 33, "height": 0.2}}, "another terrain"),
        ({"rate": 10.0, "driver": "pid"}, "another driver and rate"),
    ],
)
def test_images_of_other_settings_are_not_mixed_in(collected: Path, changes: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidValueError, match=words):
        collect(small(**changes), collected)


def test_an_episode_of_a_single_decision_has_an_image(tmp_path: Path) -> None:
    assert collect(small(seconds=0.01, driver="random"), tmp_path).images == 4 * len(CAMERAS)


@pytest.mark.parametrize(
    ("frames", "kept"),
    [
        (3, [0, 1, 2]),
        (4, [0, 1, 2, 3]),
        (5, [0, 2, 4]),
        (8, [0, 2, 4, 6]),
        (9, [0, 4, 8]),
        (100, [0, 32, 64, 96]),
    ],
)
def test_a_recording_stays_short_and_evenly_spaced(frames: int, kept: list[int]) -> None:
    recording = Recording(4)
    for frame in range(frames):
        recording.add({"eye": np.full((1, 2), frame, np.float32), "vel": np.full(3, -frame, np.float32)})
    assert recording.stacked(["eye"])["eye"][:, 0, 1].tolist() == kept
    assert recording.stacked(["vel"])["vel"].tolist() == [[-frame] * 3 for frame in kept]


def test_random_actions_keep_their_course() -> None:
    """Standard normal at strength one, with correlation exp(-step / 0.1 s) from step to step, unless clipped."""
    driver = driving("random", [np.random.default_rng(i) for i in range(200)], 0.02)
    actions = np.stack([driver.act({}) for _ in range(200)])
    assert actions.shape == (200, 200, 3)
    assert np.abs(actions).max() <= 1.0
    weak = np.abs(actions).max(axis=(0, 2)) < 1.0  # never clipped
    chosen = actions[:, weak]
    correlation = (chosen[1:] * chosen[:-1]).mean(axis=(0, 2)) / (chosen**2).mean(axis=(0, 2))
    assert weak.sum() > 10
    assert correlation.mean() == pytest.approx(np.exp(-0.2), abs=0.03)
