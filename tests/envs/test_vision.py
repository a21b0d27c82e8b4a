"""When images are taken, and what they are."""

from collections.abc import Callable

import numpy as np
import pytest

from poise.envs import BallbotVectorEnv
from poise.sim.renderer import OpenGLError, opengl_available

MakeRobots = Callable[..., BallbotVectorEnv]
TINY = {"height": 8, "width": 8}
FLAT = {"kind": "flat", "nodes": 5}
START = {"speed": 0.5}


def test_83_images_a_second_with_their_age(make_robots: MakeRobots) -> None:
    """90 Hz asked of a 500 Hz simulation: every sixth step, the first at least 1/90 s after the last."""
    env = make_robots(2, cameras=TINY, terrain=FLAT, start=START)
    observation, _ = env.reset(seed=0)
    ages, changed = [], []
    for _ in range(24):
        ages.append(observation["relative_image_timestamp"][:, 0])
        last = observation["rgbd_0"]
        observation, *_ = env.step(np.zeros((2, 3)))
        changed.append((observation["rgbd_0"] != last).any(axis=(1, 2, 3)))
    np.testing.assert_allclose(ages, np.tile(np.arange(24)[:, None] % 6 * 0.002, 2), atol=1e-9)
    assert np.array(changed).tolist() == [[step % 6 == 5] * 2 for step in range(24)]


@pytest.mark.parametrize(("decimation", "ages"), [(4, [0, 8, 0, 8]), (5, [0, 10, 0, 10]), (6, [0, 0, 0, 0])])
def test_images_with_decimation(make_robots: MakeRobots, decimation: int, ages: list[int]) -> None:
    env = make_robots(1, cameras=TINY, terrain=FLAT, decimation=decimation)
    observations = [env.reset(seed=0)[0]] + [env.step(np.zeros((1, 3)))[0] for _ in range(3)]
    seen = [1000 * observation["relative_image_timestamp"][0, 0] for observation in observations]
    np.testing.assert_allclose(seen, ages, atol=1e-5)


def test_images_are_those_of_the_depth_cameras(make_robots: MakeRobots) -> None:
    env = make_robots(3, cameras={"max_depth": 0.7})
    env.reset(seed=0)
    for _ in range(6):
        observation, *_ = env.step(np.full((3, 3), 0.2))
    simulation = env.task.simulation
    expected = np.zeros((3, 2, 64, 64), np.float32)
    simulation.cameras(("rgbd_0", "rgbd_1"), 64, 64, 0.7).render(
        simulation.qpos, simulation.heights, np.arange(3), expected
    )
    for i in range(2):
        image = observation[f"rgbd_{i}"]
        assert image.shape == (3, 1, 64, 64)
        np.testing.assert_array_equal(image[:, 0], expected[:, i])
    assert 0.0 < expected.min() < expected.max() <= 0.7


def test_images_handed_out_do_not_change(make_robots: MakeRobots) -> None:
    env = make_robots(1, cameras=TINY, terrain=FLAT, start=START)
    observation, _ = env.reset(seed=0)
    kept = {name: value.copy() for name, value in observation.items()}
    for _ in range(12):
        env.step(np.zeros((1, 3)))
    for name, value in kept.items():
        np.testing.assert_array_equal(observation[name], value)


def test_a_reset_robot_sees_anew_and_the_others_keep_their_images(make_robots: MakeRobots) -> None:
    env = make_robots(2, cameras=TINY, start=START)
    env.reset(seed=0)
    for _ in range(3):
        before, *_ = env.step(np.zeros((2, 3)))
    after, _ = env.reset(options={"reset_mask": np.array([False, True])})
    np.testing.assert_allclose(after["relative_image_timestamp"][:, 0], [0.006, 0.0], atol=1e-9)
    np.testing.assert_array_equal(after["rgbd_1"][0], before["rgbd_1"][0])
    assert (after["rgbd_1"][1] != before["rgbd_1"][1]).any()


def test_depth_noise(make_robots: MakeRobots) -> None:
    noisy, clean = make_robots(8, cameras={}, noise={"depth": 0.01}), make_robots(8, cameras={})
    seen, truth = (env.reset(seed=0)[0]["rgbd_0"] for env in (noisy, clean))
    inside = (truth > 0.1) & (truth < 0.9)
    assert (seen - truth)[inside].std() == pytest.approx(0.01, rel=0.05)
    assert seen.max() <= 1.0


def test_colour_beside_depth_where_there_is_opengl(make_robots: MakeRobots) -> None:
    options = {"cameras": {"rgb": True}, "terrain": {"nodes": 65}}
    if not opengl_available()[0]:
        with pytest.raises(OpenGLError, match="OpenGL"):
            make_robots(2, **options)
        return
    colour, depth = make_robots(2, **options), make_robots(2, **options | {"cameras": {}})
    seen, expected = colour.reset(seed=0)[0], depth.reset(seed=0)[0]
    for name in ("rgbd_0", "rgbd_1"):
        assert seen[name].shape == (2, 4, 64, 64)
        np.testing.assert_array_equal(seen[name][:, 3:], expected[name])
        assert seen[name][:, :3].std() > 0.01
        assert colour.single_observation_space[name].contains(seen[name][1])


def test_without_opengl_colour_is_refused_with_advice(make_robots: MakeRobots, monkeypatch: pytest.MonkeyPatch) -> None:
    opengl_available.cache_clear()
    monkeypatch.setenv("MUJOCO_GL", "disable")
    try:
        with pytest.raises(OpenGLError, match="unset it"):
            make_robots(1, cameras={"rgb": True}, terrain={"nodes": 65})
    finally:
        opengl_available.cache_clear()
