"""Our update against Stable-Baselines3's: same weights, data and order of minibatches, same weights afterwards."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import stable_baselines3 as sb3
import torch
from gymnasium import spaces
from stable_baselines3.common.logger import configure
from torch import Tensor, nn
from torch.testing import assert_close

from poise.algorithms import PPO, PPOConfig
from poise.policies import ActorCritic, NetworkConfig, PolicyConfig
from poise.storage import Rollout

STEPS, ENVS, MINIBATCHES, EPOCHS, OBSERVATION = 20, 6, 5, 4, 5
RATE, CLIP, ENTROPY, VALUE, NORM, GAMMA, LAMBDA = 3e-3, 0.05, 0.01, 0.7, 0.3, 0.97, 0.9


class Blank(gym.Env[Any, Any]):
    """Spaces without a world; the experience is made up."""

    def __init__(self, action_space: spaces.Space[Any]) -> None:
        self.observation_space = spaces.Box(-10.0, 10.0, (OBSERVATION,))
        self.action_space = action_space


def theirs(action_space: spaces.Space[Any]) -> sb3.PPO:
    network = {"net_arch": {"pi": [32, 32], "vf": [32, 32]}, "activation_fn": nn.LeakyReLU}
    model = sb3.PPO(
        "MlpPolicy",
        Blank(action_space),
        learning_rate=RATE,
        n_steps=STEPS,
        batch_size=STEPS * ENVS // MINIBATCHES,
        n_epochs=EPOCHS,
        gamma=GAMMA,
        gae_lambda=LAMBDA,
        clip_range=CLIP,
        normalize_advantage=False,
        ent_coef=ENTROPY,
        vf_coef=VALUE,
        max_grad_norm=NORM,
        policy_kwargs=network | {"optimizer_kwargs": {"eps": 1e-8}},
        device="cpu",
        seed=0,
    )
    model.set_logger(configure(None, []))
    buffer = model.rollout_buffer
    buffer.n_envs = ENVS
    buffer.reset()
    return model


def ours(action_space: spaces.Space[Any]) -> PPO:
    network = NetworkConfig(hidden_sizes=(32, 32))
    policy = PolicyConfig(actor=network, critic=network, normalize_observations=False)
    config = PPOConfig(
        num_steps=STEPS,
        num_epochs=EPOCHS,
        num_minibatches=MINIBATCHES,
        clip_range=CLIP,
        gamma=GAMMA,
        gae_lambda=LAMBDA,
        learning_rate=RATE,
        value_coef=VALUE,
        entropy_coef=ENTROPY,
        normalize_advantages=False,
        normalize_values=False,
        max_grad_norm=NORM,
    )
    return PPO(ActorCritic({"observation": (OBSERVATION,)}, action_space, policy), config)


def parameters_of_theirs(model: sb3.PPO) -> dict[str, Tensor]:
    """Under the names that our policy has for them."""
    policy = model.policy
    named = {}
    for ours, hidden, last in (
        ("actor", policy.mlp_extractor.policy_net, policy.action_net),
        ("critic", policy.mlp_extractor.value_net, policy.value_net),
    ):
        for index, layer in ((0, hidden[0]), (2, hidden[2]), (4, last)):
            named |= {f"{ours}.model.{index}.{kind}": value for kind, value in layer.named_parameters()}
    if hasattr(policy, "log_std"):
        named["head.log_std"] = policy.log_std
    return {name: value.detach().clone() for name, value in named.items()}


@pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")  # of the one environment they know of
@pytest.mark.parametrize("space", [spaces.Box(-1, 1, (3,)), spaces.Discrete(4)], ids=["box", "discrete"])
def test_one_update_gives_the_same_weights(space: spaces.Space[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model, ppo = theirs(space), ours(space)
    start = parameters_of_theirs(model)
    ppo.policy.load_state_dict(ppo.policy.state_dict() | start)

    rng = torch.Generator().manual_seed(0)
    rollout = Rollout(STEPS, ENVS)
    starts = np.zeros(ENVS, np.float32)
    for _ in range(STEPS):
        seen, rewards = torch.randn(ENVS, OBSERVATION, generator=rng), torch.randn(ENVS, generator=rng)
        dones = torch.rand(ENVS, generator=rng) < 0.1
        decision = ppo.act({"observation": seen})
        rollout.add(
            {"observation": seen}, rewards=rewards, dones=dones, bootstraps=torch.zeros(ENVS), **decision.columns()
        )
        actions = decision.actions.numpy().reshape(ENVS, -1)
        model.rollout_buffer.add(seen.numpy(), actions, rewards.numpy(), starts, decision.values, decision.log_probs)
        starts = dones.numpy().astype(np.float32)
    last_values = torch.randn(ENVS, generator=rng)
    model.rollout_buffer.compute_returns_and_advantage(last_values, starts.astype(bool))

    orders = [torch.randperm(STEPS * ENVS, generator=rng) for _ in range(EPOCHS)]
    in_our_order, in_their_order = iter(orders), iter(orders)
    with monkeypatch.context() as patched:
        patched.setattr(torch, "randperm", lambda n: next(in_our_order))
        metrics = ppo.update(rollout, last_values, 0.0)
    with monkeypatch.context() as patched:
        # our sample t * ENVS + n is their sample n * STEPS + t
        patched.setattr(np.random, "permutation", lambda n: _environment_major(next(in_their_order).numpy()))
        model.train()

    found = dict(ppo.policy.named_parameters())
    assert metrics["clip_fraction"] > 0.0  # the update went far enough for the clipping to matter
    assert found.keys() == start.keys()
    for name, expected in parameters_of_theirs(model).items():
        assert (expected - start[name]).abs().max() > 1e-3, name
        assert_close(found[name].detach(), expected, atol=1e-5, rtol=0, msg=lambda text, name=name: f"{name}: {text}")


def _environment_major(order: np.ndarray) -> np.ndarray:
    return (order % ENVS) * STEPS + order // ENVS
