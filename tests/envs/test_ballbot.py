"""The environments as gymnasium, Stable-Baselines3 and people with typing mistakes meet them."""

import warnings
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from poise.envs import BallbotEnv, BallbotVectorEnv
from poise.errors import InvalidValueError

MakeRobots = Callable[..., BallbotVectorEnv]
BLIND = {"cameras": {"enabled": False}}
IDS = ["poise/Ballbot-v0", "ballbot-v0.1"]


@pytest.mark.parametrize("env_id", IDS)
def test_gymnasium_makes_one_robot_and_many(env_id: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one = gym.make(env_id, **BLIND)
        many = gym.make_vec(env_id, num_envs=3, **BLIND)
    assert isinstance(one.unwrapped, BallbotEnv)
    assert isinstance(many, BallbotVectorEnv)
    assert many.num_envs == 3
    assert one.spec is not None
    assert one.spec.id == env_id
    observation, info = one.reset(seed=0)
    assert one.observation_space.contains(observation)
    assert info == {}
    batch, _ = many.reset(seed=0)
    assert many.observation_space.contains(batch)
    one.close()
    many.close()


@pytest.mark.parametrize(
    "options", [BLIND, {"cameras": {"height": 16, "width": 16}}, {"goal": {"kind": "sampled"}} | BLIND]
)
def test_gymnasiums_checker_passes_without_a_warning(options: dict[str, Any]) -> None:
    env = gym.make("poise/Ballbot-v0", **options).unwrapped
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env, skip_render_check=True)
    env.close()


def test_default_observation_is_the_data_sheets() -> None:
    env = BallbotEnv()
    space = env.observation_space
    assert {name: part.shape for name, part in space.spaces.items()} == {
        "orientation": (3,),
        "angular_vel": (3,),
        "vel": (3,),
        "motor_state": (3,),
        "actions": (3,),
        "rgbd_0": (1, 64, 64),
        "rgbd_1": (1, 64, 64),
        "relative_image_timestamp": (1,),
    }
    assert env.action_space == gym.spaces.Box(-1.0, 1.0, (3,), np.float32)
    assert (env.options.max_steps, env.options.max_tilt, env.options.timestep) == (4000, 20.0, 0.002)
    env.close()


def test_random_episodes_stay_inside_the_observation_space(make_robots: MakeRobots) -> None:
    env = make_robots(4, cameras={"height": 8, "width": 8}, start={"tilt": 19.0, "speed": 1.0})
    env.action_space.seed(0)
    env.reset(seed=0)
    for _ in range(150):
        observation, _, _, _, info = env.step(env.action_space.sample())
        assert env.observation_space.contains(observation)
        for final in info.get("final_obs", []):
            assert final is None or env.single_observation_space.contains(final)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"terrain": {"nodes": 292}}, "terrain.nodes must be odd"),
        ({"terrain": {"scale": -1.0}}, "terrain.scale must be at least 1, got -1.0"),
        ({"terain": {}}, "unknown key 'terain'; did you mean 'terrain'?"),
        ({"terrain": {"octave": 4}}, "did you mean 'octaves'?"),
        ({"cameras": {"rate": 0}}, "cameras.rate must be greater than 0, got 0"),
        ({"cameras": {"rate": -90.0}}, "cameras.rate must be greater than 0, got -90.0"),
        ({"max_steps": 0}, "max_steps must be at least 1, got 0"),
        ({"decimation": 2.5}, "decimation must be a whole number, got 2.5"),
        ({"noise": {"vel": -0.1}}, "noise.vel must be at least 0, got -0.1"),
        ({"goal": {"direction": (0.0, 0.0)}}, "goal.direction must not be (0, 0)"),
        ({"goal": {"kind": "sampeld"}}, "did you mean 'sampled'?"),
        ({"integrator": "euler"}, "integrator must be 'implicitfast' or 'rk4', got 'euler'"),
        ({"timestep": float("nan")}, "timestep must be a finite number"),
        ({"rewards": {"effort": -1}}, "rewards.effort must be at least 0"),
        ({"render_mode": "human"}, "render_mode must be None or one of ['rgb_array'], got 'human'"),
        ({"num_envs": 0}, "num_envs must be a whole number of at least 1, got 0"),
        ({"num_envs": True}, "num_envs must be a whole number of at least 1, got True"),
        ({"threads": -1}, "threads must be a whole number of at least 0, got -1"),
    ],
)
def test_impossible_options_get_one_clear_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidValueError) as error:
        gym.make_vec("poise/Ballbot-v0", **(BLIND | options))
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_impossible_calls_get_one_clear_sentence(make_robots: MakeRobots) -> None:
    env = make_robots(2, terrain={"nodes": 9})
    with pytest.raises(InvalidValueError, match="one seed for each of 2 robots, got 3"):
        env.reset(seed=[1, 2, 3])
    with pytest.raises(InvalidValueError, match="a seed must be a whole number of at least 0, got -1"):
        env.reset(seed=-1)
    with pytest.raises(InvalidValueError, match="reset_mask must be 2 truth values"):
        env.reset(options={"reset_mask": np.array([False, False])})
    env.reset(seed=0)
    with pytest.raises(InvalidValueError, match=r"actions must have shape \(2, 3\), got \(3,\)"):
        env.step(np.zeros(3))
    with pytest.raises(InvalidValueError, match="point"):
        env.set_goal(np.zeros(2))
    with pytest.raises(InvalidValueError, match=r"shape \(2,\) or \(2, 2\), got \(3, 2\)"):
        env.set_goal(np.ones((3, 2)))


def test_commanded_goals(make_robots: MakeRobots) -> None:
    env = make_robots(2, goal={"kind": "commanded"}, terrain={"nodes": 9})
    np.testing.assert_array_equal(env.reset(seed=0)[0]["goal"], [[0.0, 1.0]] * 2)
    env.set_goal(np.array([[3.0, 4.0], [-2.0, 0.0]]))
    observation, _, _, _, info = env.step(np.zeros((2, 3)))
    np.testing.assert_allclose(observation["goal"], [[0.6, 0.8], [-1.0, 0.0]])
    assert env.task.goal(0) == pytest.approx((0.6, 0.8))
    np.testing.assert_allclose(info["speed"][1], -observation["vel"][1, 0], rtol=1e-5)


def test_pictures() -> None:
    one = BallbotEnv(render_mode="rgb_array", terrain={"nodes": 65}, cameras={"height": 8, "width": 8})
    one.reset(seed=0)
    picture = one.render()
    assert picture is not None
    assert picture.shape == (480, 640, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 10
    one.task.vision = None
    rows, cols = np.nonzero((one.render() != picture).any(axis=-1))
    assert rows.max() < 160  # the depth images are in their corner
    assert cols.min() > 400
    one.close()
    silent = BallbotEnv(**BLIND)
    silent.reset(seed=0)
    assert silent.render() is None
    silent.close()


def test_pictures_of_many(make_robots: MakeRobots) -> None:
    env = make_robots(2, render_mode="rgb_array", terrain={"nodes": 65})
    env.reset(seed=0)
    pictures = env.render()
    assert pictures is not None
    assert len(pictures) == 2
    assert (pictures[0] != pictures[1]).any()


# --- Stable-Baselines3 --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "steps"), [(BLIND, 256), ({"cameras": {"height": 36, "width": 36}, "terrain": {"nodes": 65}}, 32)]
)
def test_stable_baselines3_trains_on_it_unchanged(options: dict[str, Any], steps: int) -> None:
    sb3 = pytest.importorskip("stable_baselines3")
    env = gym.make("poise/Ballbot-v0", **options)
    model = sb3.PPO("MultiInputPolicy", env, n_steps=steps, batch_size=32, n_epochs=1, seed=0, device="cpu")
    model.learn(steps)
    action, _ = model.predict(env.reset(seed=0)[0], deterministic=True)
    assert env.action_space.contains(action)
    assert model.num_timesteps == steps
    env.close()
