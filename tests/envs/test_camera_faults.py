"""What befalls cameras: failing, hanging, noise and lag, each against the same robots whose cameras are well."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from poise.envs import BallbotVectorEnv
from poise.errors import InvalidValueError

OPTIONS: dict[str, Any] = {"terrain": {"nodes": 65}, "decimation": 10, "max_tilt": 60.0}
CAMERAS = {"height": 16, "width": 16, "rate": 25.0}  # an image every second step of 20 ms
STEPS = 20


def watch(steps: int = STEPS, num_envs: int = 3, **cameras: Any) -> dict[str, NDArray[np.float32]]:
    """What robots that are pushed about observe, {name: (1 + steps, robots, ...)}, whatever their cameras do."""
    env = BallbotVectorEnv(num_envs, threads=1, cameras=CAMERAS | cameras, **OPTIONS)
    observation, _ = env.reset(seed=5)
    seen = [observation]
    rng = np.random.default_rng(0)
    for _ in range(steps):
        seen.append(env.step(rng.uniform(-0.2, 0.2, (num_envs, 3)))[0])
    env.close()
    return {name: np.stack([each[name] for each in seen]) for name in seen[0]}


@pytest.fixture(scope="module")
def well() -> dict[str, NDArray[np.float32]]:
    return watch()


def test_a_dead_camera_gives_nothing_and_the_robot_is_told(well: dict[str, NDArray[np.float32]]) -> None:
    seen = watch(faults={"dropout": {"share": 1.0, "cameras": ["rgbd_1"]}})
    assert not seen["rgbd_1"].any()
    assert (seen["missing_cameras"] == [0.0, 1.0]).all()
    for name in ("rgbd_0", "orientation", "relative_image_timestamp"):
        np.testing.assert_array_equal(seen[name], well[name])
    assert "missing_cameras" not in well


def test_a_camera_fails_with_its_next_image_and_recovers(well: dict[str, NDArray[np.float32]]) -> None:
    fault = {"share": 1.0, "cameras": ["rgbd_0"], "onset": [0.1, 0.1], "duration": 0.12}
    seen = watch(faults={"dropout": fault})
    # From 0.10 to 0.22 s; images come every 0.04 s, at steps 2, 4, ...: those of 0.12, 0.16 and 0.20 are lost.
    lost = np.zeros(1 + STEPS, np.bool_)
    lost[6:12] = True
    np.testing.assert_array_equal(seen["missing_cameras"][:, 1, 0], lost)
    np.testing.assert_array_equal(seen["rgbd_0"][~lost], well["rgbd_0"][~lost])
    assert not seen["rgbd_0"][lost].any()


def test_a_stack_is_missing_while_any_of_its_images_is() -> None:
    fault = {"share": 1.0, "cameras": ["rgbd_0"], "onset": [0.1, 0.1], "duration": 0.06}
    seen = watch(faults={"dropout": fault}, stack=2)
    dark = ~seen["rgbd_0"].any(axis=(-2, -1))  # (1 + steps, robots, 2)
    assert list(np.flatnonzero(dark[:, 0, 0])) == [6, 7]  # the image of 0.12 s
    assert list(np.flatnonzero(dark[:, 0, 1])) == [8, 9]
    np.testing.assert_array_equal(seen["missing_cameras"][..., 0], dark.any(axis=-1))


def test_a_camera_hangs_and_nobody_is_told(well: dict[str, NDArray[np.float32]]) -> None:
    seen = watch(faults={"freeze": {"share": 1.0, "onset": [0.1, 0.1], "cameras": ["rgbd_1"]}})
    np.testing.assert_array_equal(seen["rgbd_1"][:6], well["rgbd_1"][:6])
    assert (seen["rgbd_1"][6:] == well["rgbd_1"][5]).all()
    np.testing.assert_array_equal(seen["relative_image_timestamp"], well["relative_image_timestamp"])
    assert "missing_cameras" not in seen
    frozen_from_the_start = watch(faults={"freeze": {"share": 1.0}})
    assert (frozen_from_the_start["rgbd_0"] == well["rgbd_0"][0]).all()


def test_noise_has_the_strength_asked_for(well: dict[str, NDArray[np.float32]]) -> None:
    seen = watch(faults={"noise": {"share": 1.0, "std": 0.01, "cameras": ["rgbd_0"]}})
    assert np.std(seen["rgbd_0"] - well["rgbd_0"]) == pytest.approx(0.01, rel=0.05)
    assert 0.0 <= seen["rgbd_0"].min() <= seen["rgbd_0"].max() <= 1.0
    np.testing.assert_array_equal(seen["rgbd_1"], well["rgbd_1"])


def test_images_arrive_late(well: dict[str, NDArray[np.float32]]) -> None:
    seen = watch(lag=0.06)  # three steps
    np.testing.assert_array_equal(seen["rgbd_0"][3:], well["rgbd_0"][:-3])
    assert (seen["rgbd_0"][:3] == well["rgbd_0"][0]).all()
    ages = np.round(50 * seen["relative_image_timestamp"][:, 0, 0]).astype(int)
    assert ages.tolist() == [0, 1, 2, *[3, 4] * 9]
    bounds = BallbotVectorEnv(1, threads=1, cameras=CAMERAS | {"lag": 0.06}, **OPTIONS).single_observation_space
    assert seen["relative_image_timestamp"].max() <= bounds["relative_image_timestamp"].high[0]  # type: ignore[index]


def test_faults_come_to_the_share_asked_for_and_to_cameras_apart() -> None:
    missing = watch(0, 400, faults={"dropout": {"share": 0.3}})["missing_cameras"][0]
    counts = missing.mean(axis=0)
    assert (np.abs(counts - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 400)).all()
    both = missing.all(axis=1).mean()
    assert abs(both - 0.09) < 4 * np.sqrt(0.09 * 0.91 / 400)


def test_a_robots_faults_depend_on_its_seed_alone() -> None:
    faults = {"dropout": {"share": 0.5, "onset": [0.0, 0.3]}, "noise": {"share": 0.5}}
    many, few = watch(faults=faults, num_envs=3, lag=0.03), watch(faults=faults, num_envs=2, lag=0.03)
    np.testing.assert_array_equal(many["missing_cameras"][:1, :2], few["missing_cameras"][:1])
    np.testing.assert_array_equal(many["rgbd_0"][:1, :2], few["rgbd_0"][:1])


def test_going_on_is_as_if_nothing_had_happened() -> None:
    faults = {"dropout": {"share": 0.5, "onset": [0.0, 0.3]}, "freeze": {"share": 0.5}, "noise": {"share": 0.5}}
    first, second = (
        BallbotVectorEnv(3, threads=1, cameras=CAMERAS | {"faults": faults, "lag": 0.05}, **OPTIONS) for _ in range(2)
    )
    first.reset(seed=1)
    action = np.zeros((3, 3))
    for _ in range(7):
        first.step(action)
    second.reset(seed=9)
    observation = second.load_state(first.state())
    for _ in range(7):
        expected = first.task.observe()
        for name, value in expected.items():
            np.testing.assert_array_equal(observation[name], value)
        first.step(action)
        observation = second.step(action)[0]
    first.close()
    second.close()


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        ({"dropout": {"share": 1.5}}, "must be at most 1, got 1.5"),
        ({"freeze": {"onset": [2.0, 1.0]}}, r"must be \[earliest, latest\]"),
        ({"noise": {"cameras": ["rgbd_2"]}}, "rgbd_0"),
        ({"blur": {}}, "blur"),
    ],
)
def test_impossible_faults_are_refused(faults: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidValueError, match=words):
        BallbotVectorEnv(1, cameras={"faults": faults})
