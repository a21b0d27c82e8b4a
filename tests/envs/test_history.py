"""The past of what robots feel and see, told beside the present."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from poise.envs import BallbotVectorEnv
from poise.errors import InvalidValueError

BLIND: dict[str, Any] = {"cameras": {"enabled": False}, "terrain": {"nodes": 65}, "decimation": 5, "max_tilt": 60.0}
SMALL = {"height": 8, "width": 8, "rate": 50.0}  # at 100 decisions a second an image every second one


def watch(steps: int, options: dict[str, Any]) -> dict[str, NDArray[np.float32]]:
    """What three robots that are pushed about observe, {name: (1 + steps, 3, ...)}."""
    env = BallbotVectorEnv(3, threads=1, **options)
    seen = [env.reset(seed=5)[0]]
    rng = np.random.default_rng(0)
    for _ in range(steps):
        seen.append(env.step(rng.uniform(-0.3, 0.3, (3, 3)))[0])
    env.close()
    return {name: np.stack([each[name] for each in seen]) for name in seen[0]}


@pytest.mark.parametrize("noise", [{}, {"vel": 0.1}])
def test_the_past_is_what_was_told_before(noise: dict[str, float]) -> None:
    kept = ["vel", "orientation"]
    told = watch(6, BLIND | {"noise": noise, "start": {"tilt": 5.0}, "history": {"steps": 3, "components": kept}})
    for name in kept:
        past, now = told[f"{name}_history"], told[name]
        assert past.shape == (7, 3, 3, 3)
        for t in range(7):
            for i in range(3):  # before the first step it was as at the first
                np.testing.assert_array_equal(past[t, :, i], now[max(t - 1 - i, 0)])
    plain = watch(6, BLIND | {"noise": noise, "start": {"tilt": 5.0}})
    for name, value in plain.items():
        np.testing.assert_array_equal(told[name], value)


def test_a_new_episode_has_no_past() -> None:
    env = BallbotVectorEnv(3, threads=1, **BLIND, history={"steps": 2})
    env.reset(seed=1)
    for _ in range(4):
        env.step(np.full((3, 3), 0.3))
    observation, _ = env.reset(options={"reset_mask": np.array([False, True, False])})
    assert not observation["vel_history"][1].any()
    assert observation["vel_history"][0].any()
    env.close()


def test_going_on_keeps_the_past() -> None:
    first, second = (BallbotVectorEnv(2, threads=1, **BLIND, history={"steps": 2}) for _ in range(2))
    first.reset(seed=1)
    for _ in range(3):
        first.step(np.full((2, 3), 0.2))
    second.reset(seed=2)
    found = second.load_state(first.state())
    for name, value in first.task.observe().items():
        np.testing.assert_array_equal(found[name], value)
    action = np.full((2, 3), -0.1)
    np.testing.assert_array_equal(first.step(action)[0]["actions_history"], second.step(action)[0]["actions_history"])
    first.close()
    second.close()


def test_images_lie_one_upon_the_other() -> None:
    options = BLIND | {"cameras": SMALL}
    one, three = watch(9, options), watch(9, options | {"cameras": SMALL | {"stack": 3}})
    assert three["rgbd_0"].shape == (10, 3, 3, 8, 8)
    for t in range(10):
        for i in range(3):
            before = max(t - t % 2 - 2 * i, 0)  # images come with every second step
            np.testing.assert_array_equal(three["rgbd_0"][t, :, i], one["rgbd_0"][before, :, 0])
    np.testing.assert_array_equal(one["relative_image_timestamp"], three["relative_image_timestamp"])


def test_late_images_lie_one_upon_the_other() -> None:
    two = watch(9, BLIND | {"cameras": SMALL | {"stack": 2}})
    late = watch(9, BLIND | {"cameras": SMALL | {"stack": 2, "lag": 0.03}})
    np.testing.assert_array_equal(late["rgbd_1"][5:], two["rgbd_1"][2:-3])


def test_what_has_no_past_is_refused() -> None:
    with pytest.raises(InvalidValueError, match=r"history.components"):
        BallbotVectorEnv(1, history={"steps": 2, "components": ["rgbd_0"]})
