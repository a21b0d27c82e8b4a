"""The push task: against panda-gym's own environment, and by arithmetic."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from numpy.typing import NDArray

from poise.envs.push import PushEnv
from poise.envs.push.options import PushCameraOptions
from poise.errors import InvalidValueError
from poise.policies.push_expert import PushExpert

BLIND: dict[str, Any] = {"camera": {"enabled": False}}


@pytest.fixture(scope="module")
def env() -> PushEnv:
    return PushEnv()


@pytest.fixture(scope="module")
def blind() -> PushEnv:
    return PushEnv(**BLIND)


def roll(env: PushEnv, seed: int, steps: int = 12) -> list[dict[str, NDArray[Any]]]:
    """Straight for the cube, and through it."""
    observation, _ = env.reset(seed=seed)
    seen = [observation]
    for _ in range(steps):
        towards = observation["cube"] - observation["state"]
        observation, *_ = env.step(np.clip(20 * towards, -1, 1))
        seen.append(observation)
    return seen


def test_gymnasium_finds_nothing_wrong_with_it() -> None:
    made = gym.make("poise/Push-v0", render_mode="rgb_array", camera={"height": 32, "width": 48})
    with pytest.warns(UserWarning, match="infinity"):  # places have no bounds
        check_env(made.unwrapped)
    assert made.reset(seed=0)[0]["image"].shape == (3, 32, 48)
    picture = made.render()
    assert isinstance(picture, np.ndarray)
    assert (picture.shape, picture.dtype) == ((480, 480, 3), np.uint8)
    made.close()


def test_it_moves_as_panda_gyms_own(blind: PushEnv) -> None:
    theirs: Any = gym.make("PandaPush-v3", renderer="Tiny").unwrapped
    ours, _ = blind.reset(seed=3)
    told, _ = theirs.reset(seed=0)
    theirs.sim.set_base_pose("object", ours["cube"].astype(float), np.array([0.0, 0.0, 0.0, 1.0]))
    start = ours["cube"]
    for _ in range(15):
        action = np.clip(20 * (ours["cube"] - ours["state"]), -1, 1)
        ours, *_ = blind.step(action)
        told, *_ = theirs.step(action)
        assert told["observation"][:3] == pytest.approx(ours["state"], abs=2e-3)  # contacts magnify rounding
        assert told["achieved_goal"] == pytest.approx(ours["cube"], abs=2e-3)
    assert np.linalg.norm(ours["cube"] - start) > 0.02  # it was touched
    theirs.close()


def test_seeds_determine_episodes_whatever_came_before(blind: PushEnv) -> None:
    first = roll(blind, 5)
    assert np.linalg.norm(first[-1]["cube"] - first[0]["cube"]) > 0.02  # it was touched
    roll(blind, 6)
    again = roll(blind, 5)
    assert all((a[name] == b[name]).all() for a, b in zip(first, again, strict=True) for name in a)


def test_no_episode_starts_solved_unless_that_is_allowed(blind: PushEnv) -> None:
    starts = [blind.reset(seed=seed) for seed in range(300)]
    assert all(info["distance"] >= 0.05 and not info["success"] for _, info in starts)
    redrawn = sum(info["redrawn"] for _, info in starts)
    allowing = PushEnv(**BLIND, allow_solved=True)
    solved = sum(allowing.reset(seed=seed)[1]["success"] for seed in range(300))
    allowing.close()
    assert 0.01 < solved / 300 < 0.09  # both uniform in a square of 0.3 m: about pi 0.05^2 / 0.3^2 and less at its edge
    assert redrawn >= solved  # a start that is drawn again may be solved again


def test_an_episode_ends_at_its_goal_or_when_its_time_is_up() -> None:
    env = PushEnv(**BLIND, allow_solved=True, max_steps=3)
    solved = next(seed for seed in range(200) if env.reset(seed=seed)[1]["success"])
    env.reset(seed=solved)
    _, reward, terminated, truncated, info = env.step(np.zeros(3))
    assert (reward, terminated, truncated, info["success"]) == (0.0, True, False, True)
    env.reset(seed=next(seed for seed in range(200) if not env.reset(seed=seed)[1]["success"]))
    ends = [env.step(np.zeros(3))[1:4] for _ in range(3)]
    assert ends == [(-1.0, False, False), (-1.0, False, False), (-1.0, False, True)]
    env.close()


def pixels(image: NDArray[np.uint8], colour: int) -> NDArray[np.intp]:
    """(n, 2) rows and columns in which one colour is more than twice as strong as the others."""
    others = image[[other for other in range(3) if other != colour]].max(axis=0)
    return np.argwhere((image[colour] > 60) & (image[colour] > 2.0 * others))


def middle(image: NDArray[np.uint8], colour: int) -> NDArray[np.float64]:
    """(row, column) in the middle of a colour."""
    return pixels(image, colour).mean(axis=0)


def seen_at(place: NDArray[Any], options: PushCameraOptions) -> NDArray[np.float64]:
    """(row, column) of a place by a pinhole camera, worked out from its position and the way it looks."""
    yaw, pitch = np.radians([options.yaw, options.pitch])
    ahead = np.array([-np.sin(yaw) * np.cos(pitch), np.cos(yaw) * np.cos(pitch), np.sin(pitch)])
    right = np.cross(ahead, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    offset = place - (np.array(options.target) - options.distance * ahead)
    focal = options.height / 2 / np.tan(np.radians(options.field_of_view / 2))
    across, up = offset @ right, offset @ np.cross(right, ahead)
    depth = offset @ ahead
    return np.array([options.height / 2 - focal * up / depth, options.width / 2 + focal * across / depth]) - 0.5


@pytest.mark.parametrize("seed", range(6))
def test_cube_and_goal_are_seen_where_they_are_and_told_apart(env: PushEnv, seed: int) -> None:
    observation, _ = env.reset(seed=seed)
    for name, colour in (("cube", 2), ("goal", 1)):
        found, expected = middle(observation["image"], colour), seen_at(observation[name], env.options.camera)
        assert np.abs(found - expected).max() < 1.5, name


def test_the_hand_hides_neither_cube_nor_goal_for_long(env: PushEnv) -> None:
    expert, hidden = PushExpert(), []
    for seed in range(8):
        observation, _ = env.reset(seed=seed)
        ended = False
        while not ended:
            hidden.append(min(pixels(observation["image"], colour).shape[0] for colour in (1, 2)) < 4)
            action = expert.act({name: observation[name][None] for name in ("state", "cube", "goal")})[0]
            observation, _, terminated, truncated, _ = env.step(action)
            ended = terminated or truncated
    assert np.mean(hidden) < 0.1


def test_a_picture_without_the_arm_shows_the_hand_all_the_same(env: PushEnv) -> None:
    whole = PushEnv(camera={"arm": True})
    hand, arm = (one.reset(seed=1)[0]["image"] for one in (env, whole))
    whole.close()
    assert (hand == arm).mean() > 0.8
    assert np.isfinite(middle(hand, 0)).all()


@pytest.mark.parametrize(
    "wrong", [{"distractor": True}, {"occlusion": 0.3}, {"brightness": 0.4}, {"shift": 0.05}, {"noise": 0.1}]
)
def test_corruptions_change_pictures_and_nothing_else(env: PushEnv, wrong: dict[str, Any]) -> None:
    corrupted = PushEnv(corruptions=wrong)
    redrawn = next(seed for seed in range(100) if env.reset(seed=seed)[1]["redrawn"])
    for seed in (2, 10, redrawn):
        episodes = list(zip(roll(env, seed, 25), roll(corrupted, seed, 25), strict=True))
        assert (episodes[0][0]["image"] != episodes[0][1]["image"]).any()  # later the hand may hide what is wrong
        for well, ill in episodes:
            assert all((well[name] == ill[name]).all() for name in ("state", "cube", "goal"))
    well, ill = env.reset(seed=2)[0], corrupted.reset(seed=2)[0]
    corrupted.close()
    if "occlusion" in wrong:
        changed = np.argwhere((well["image"] != ill["image"]).any(axis=0))
        assert np.ptp(changed, axis=0).max() <= 0.3 * 84
    if "brightness" in wrong:
        ratio = ill["image"].astype(float).mean() / well["image"].astype(float).mean()
        assert 0.6 <= ratio <= 1.4


def lying(env: PushEnv) -> NDArray[np.float64]:
    """Where the other cube is."""
    return np.array(env._world.sim.get_base_position("distractor"))


def test_seeds_determine_episodes_with_another_cube_whatever_came_before() -> None:
    env = PushEnv(corruptions={"distractor": True})

    def seen(seed: int) -> list[dict[str, NDArray[Any]]]:
        """Straight for the other cube."""
        episode = [env.reset(seed=seed)[0]]
        for _ in range(12):
            episode.append(env.step(np.clip(20 * (lying(env) - episode[-1]["state"]), -1, 1))[0])
        return episode

    first = seen(0)
    seen(1)
    seen(2)
    again = seen(0)
    env.close()
    assert all((a[name] == b[name]).all() for a, b in zip(first, again, strict=True) for name in a)


def test_the_hand_passes_through_another_cube() -> None:
    env, alone = PushEnv(corruptions={"distractor": True}), PushEnv()
    for seed in range(3):
        here, there = env.reset(seed=seed)[0], alone.reset(seed=seed)[0]
        lies = lying(env)
        for _ in range(25):
            action = np.clip(20 * (lies - here["state"]), -1, 1)
            here, there = env.step(action)[0], alone.step(action)[0]
            assert (here["state"] == there["state"]).all()
        assert np.linalg.norm(here["state"] - lies) < 0.02
        assert (lying(env) == lies).all()
    env.close()
    alone.close()


def test_pictures_without_corruption_are_the_same_whatever_was_before(env: PushEnv) -> None:
    first = env.reset(seed=4)[0]["image"]
    env.reset(seed=5)
    assert (env.reset(seed=4)[0]["image"] == first).all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_step": 3}, "max_steps"),
        ({"camera": {"enabled": False}, "corruptions": {"noise": 0.1}}, "no picture to corrupt"),
        ({"render_mode": "human"}, "rgb_array"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidValueError, match=said):
        PushEnv(**options)


@pytest.mark.parametrize("action", [np.zeros(4), np.array([0.0, np.nan, 0.0])])
def test_actions_that_cannot_be(blind: PushEnv, action: NDArray[Any]) -> None:
    blind.reset(seed=0)
    with pytest.raises(InvalidValueError, match="3 finite numbers"):
        blind.step(action)
