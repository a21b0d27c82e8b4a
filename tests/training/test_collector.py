from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch.testing import assert_close
from worlds import many

from poise.algorithms import PPO, PPOConfig
from poise.policies import ActorCritic, NetworkConfig, PolicyConfig, Sensing
from poise.training.collector import Collector

SMALL = NetworkConfig(hidden_sizes=(8,))


def collector(num_envs: int = 4, num_steps: int = 7, init_std: float = 1.0, **settings: Any) -> Collector:
    torch.manual_seed(0)
    env = many(num_envs, **settings)
    sensing = Sensing(env.single_observation_space, None, num_envs, 1.0)
    config = PolicyConfig(actor=SMALL, critic=SMALL, init_std=init_std, normalize_observations=False)
    ppo = PPO(ActorCritic(sensing.shapes, env.single_action_space, config), PPOConfig(num_steps=num_steps))
    made = Collector(env, sensing, ppo, num_steps)
    made.start([0] * num_envs)
    return made


@pytest.mark.parametrize("mapping", [False, True])
def test_truncated_episodes_bootstrap_from_their_final_observation(mapping: bool) -> None:
    made = collector(mapping=mapping)  # episodes of 3 steps: they end with steps 2 and 5 of the rollout
    made.collect()
    rollout = made.rollout
    assert rollout.dones[:, 0].tolist() == [False, False, True, False, False, True, False]
    counts = rollout.observations["count" if mapping else "observation"][:, :, 0]
    assert counts[:, 0].tolist() == [0, 1, 2, 0, 1, 2, 0]
    at_three = {"count": torch.full((4, 1), 3.0), "twice": torch.full((4, 1), 6.0)}
    final = made.algorithm.evaluate(at_three if mapping else {"observation": at_three["count"]})
    for t in (2, 5):
        assert_close(rollout.bootstraps[t], final)
        assert not torch.allclose(rollout.bootstraps[t], rollout.values[0])  # the next episode's first
    assert not rollout.bootstraps[[0, 1, 3, 4, 6]].any()


def test_terminated_episodes_do_not_bootstrap() -> None:
    made = collector(truncates=False)
    made.collect()
    assert made.rollout.dones[2].all()
    assert not made.rollout.bootstraps.any()


def test_the_values_after_the_rollout() -> None:
    made = collector(num_steps=4)  # the last observation is the second episode's first but one
    last = made.collect()
    assert_close(last, made.algorithm.evaluate({"observation": torch.ones(4, 1)}))


def test_only_the_environment_gets_clipped_actions() -> None:
    made = collector(init_std=10.0)
    made.collect()
    stored = made.rollout.actions
    received = np.stack([env.actions for env in made.env.envs], axis=1)
    assert stored.abs().max() > 5.0
    np.testing.assert_array_equal(received, stored.clamp(-1.0, 1.0).numpy())
    log_probs, _, _ = made.algorithm.policy.evaluate_actions(made.rollout.observations, stored)
    assert_close(made.rollout.log_probs, log_probs.detach())


def test_discrete_actions_are_passed_on_as_their_space_numbers_them() -> None:
    made = collector(action_space=spaces.Discrete(3, start=5))
    made.collect()
    received = np.stack([env.actions for env in made.env.envs], axis=1)
    assert set(received.flatten().tolist()) == {5, 6, 7}
    np.testing.assert_array_equal(received, made.rollout.actions.numpy())


def test_bad_ends_are_counted() -> None:
    made = collector(truncates=False, num_steps=7)  # each of the four ends with steps 2 and 5
    step = made.env.step

    def told(actions: Any) -> Any:
        *rest, info = step(actions)
        fell = np.array([True, True, True, False])
        return (*rest, info | {"failure": fell, "off_map": ~fell})

    made.env.step = told
    made.collect()
    metrics = made.metrics()
    assert (metrics["rollout/failure"], metrics["rollout/off_map"]) == (6.0, 2.0)
    assert "rollout/diverged" not in metrics


def test_metrics_of_episodes_and_of_the_rollout() -> None:
    made = collector(num_steps=6)
    made.collect()
    metrics = made.metrics()
    assert metrics["episode/return"] == 3.0
    assert metrics["episode/length"] == 3.0
    assert metrics["episode/success_rate"] == 1.0


def test_episodes_go_on_from_one_rollout_to_the_next() -> None:
    made = collector(num_steps=2)
    for _ in range(3):
        made.collect()
    assert made.metrics()["episode/return"] == 3.0
    assert made.rollout.observations["observation"][:, 0, 0].tolist() == [1.0, 2.0]


def test_state_carries_the_half_finished_over() -> None:
    first, second = collector(num_steps=5), collector(num_steps=5)
    first.collect()
    second.load_state(first.state())
    for _ in range(2):  # both worlds stand elsewhere: what is compared is what the collector itself remembers
        assert_close(first._observation, second._observation)
        np.testing.assert_array_equal(first._returns, second._returns)
    assert second.metrics()["episode/length"] == first.metrics()["episode/length"]
