"""Stable-Baselines3 learns with the ways of fusing that are here."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from torch.nn import functional as F
from torch.testing import assert_close

from poise.errors import PoiseError
from poise.fusion import FUSIONS
from poise.fusion.stable_baselines3 import FusionFeaturesExtractor


class Seeing(gym.Env[dict[str, Any], Any]):
    """Vectors, and a picture with its channels last, as bytes."""

    observation_space = spaces.Dict(
        {
            "vel": spaces.Box(-1, 1, (3,)),
            "eye": spaces.Box(0, 255, (36, 40, 3), np.uint8),
            "instruction": spaces.Box(-1, 1, (4,)),
            "gear": spaces.Discrete(3),
            "switches": spaces.MultiDiscrete([2, 3]),
        }
    )
    action_space = spaces.Box(-1, 1, (2,))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[str, Any], Any]:
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[dict[str, Any], float, bool, bool, Any]:
        return self.observation_space.sample(), 1.0, False, bool(self.np_random.random() < 0.1), {}


@pytest.mark.parametrize("name", FUSIONS)
def test_it_learns_with_them(name: str) -> None:
    fusion = {"name": name, "images": {"channels": [4, 4]}}
    if name == "early":
        fusion = {"name": name}
    kwargs = {"features_extractor_class": FusionFeaturesExtractor, "features_extractor_kwargs": {"fusion": fusion}}
    learner = PPO("MultiInputPolicy", Seeing(), n_steps=16, batch_size=8, n_epochs=1, policy_kwargs=kwargs, seed=0)
    extractor = learner.policy.features_extractor
    before = [value.clone() for value in extractor.parameters()]
    learner.learn(16)
    assert any((value != old).any() for value, old in zip(extractor.parameters(), before, strict=True))
    seen, _ = learner.policy.obs_to_tensor(learner.env.reset())  # type: ignore[union-attr, arg-type]
    seen = dict(seen)  # type: ignore[arg-type]
    gear, (first, second) = F.one_hot(seen["gear"].long(), 3), seen["switches"].long().unbind(-1)
    switches = torch.cat([F.one_hot(first, 2), F.one_hot(second, 3)], dim=-1)
    prepared = seen | {"eye": seen["eye"] / 255.0, "gear": gear.float(), "switches": switches.float()}
    assert_close(learner.policy.extract_features(seen), extractor.fusion(prepared))  # type: ignore[arg-type]


def test_cameras_that_are_told_to_be_missing_are_not_looked_at() -> None:
    parts = {"vel": (3,), "rgbd_0": (1, 36, 40), "rgbd_1": (1, 36, 40), "missing_cameras": (2,)}
    space = spaces.Dict({name: spaces.Box(0, 1, shape) for name, shape in parts.items()})
    extractor = FusionFeaturesExtractor(space, {"name": "weighted_sum", "width": 4})
    seen = {name: torch.rand(5, *shape) for name, shape in parts.items()}
    seen["missing_cameras"] = torch.tensor([0.0, 1.0]).expand(5, 2)
    other = seen | {"rgbd_1": torch.rand(5, 1, 36, 40)}
    assert torch.equal(extractor(seen), extractor(other))
    assert not torch.equal(extractor(seen), extractor(seen | {"rgbd_0": other["rgbd_1"]}))


def test_a_name_alone_will_do() -> None:
    extractor = FusionFeaturesExtractor(Seeing.observation_space, "weighted_sum")
    assert extractor.features_dim == 64


def test_an_observation_that_is_no_mapping_can_be_made_one() -> None:
    """By the wrapper that the complaint names."""
    plain = gym.make("CartPole-v1")
    space = spaces.Dict({"felt": plain.observation_space})
    env = gym.wrappers.TransformObservation(plain, lambda observation: {"felt": observation}, space)
    kwargs = {"features_extractor_class": FusionFeaturesExtractor, "features_extractor_kwargs": {"fusion": "early"}}
    PPO("MultiInputPolicy", env, n_steps=8, batch_size=8, n_epochs=1, policy_kwargs=kwargs, seed=0).learn(8)


def test_wrong_use() -> None:
    with pytest.raises(
        PoiseError,
        match="fusion is of mappings, and the observation is Box.*; make a Dict space of it, by a wrapper such",
    ):
        FusionFeaturesExtractor(spaces.Box(-1, 1, (3,)), {"name": "concat"})
    with pytest.raises(PoiseError, match="^fusion.name must be one of .*did you mean 'concat'"):
        FusionFeaturesExtractor(Seeing.observation_space, {"name": "concatt"})
    with pytest.raises(PoiseError, match=r"^fusion.dropout withholds .* in poise's own learners.*, so leave it out$"):
        FusionFeaturesExtractor(Seeing.observation_space, {"name": "concat", "dropout": {"prob": 0.3}})
    with pytest.raises(PoiseError, match="nothing can be made of 'said', a Text; components are Box, Discrete"):
        FusionFeaturesExtractor(spaces.Dict({"said": spaces.Text(5)}), {"name": "concat"})
