"""Policies of a small world, in run folders."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from poise.config import parse, save_yaml
from poise.policies import ActorCritic, build_policy
from poise.training.assets import Assets
from poise.training.building import training_sensing
from poise.training.checkpoint import save_checkpoint
from poise.training.config import RunConfig
from poise.training.environments import make_vector_env
from poise.training.trained import TrainedPolicy, load_policy

for folder in (Path(__file__).parent, Path(__file__).parents[1] / "training"):  # for `insides` and `read_page`
    sys.path.insert(0, str(folder))  # with importlib's import mode, pytest adds nothing

LINEAR = {"actor": {"hidden_sizes": []}, "critic": {"hidden_sizes": [4]}}
MakeTrained = Callable[..., TrainedPolicy]


@pytest.fixture
def make_trained(tmp_path: Path) -> MakeTrained:
    """`make_trained(change, **policy)`: a policy of a world, changed by hand, as if it had been trained."""

    def make(
        change: Callable[[Any], None] = lambda policy: None, env: str = "insides:Insides-v0", **settings: Any
    ) -> TrainedPolicy:
        config = parse(RunConfig, {"env": {"id": env}, "threads": 1, "policy": LINEAR | settings}, "test")
        world = make_vector_env(env, 1, {})
        torch.manual_seed(5)
        policy: ActorCritic = build_policy(
            training_sensing(config, Assets(), world, 1).shapes, world.single_action_space, config.policy
        )
        with torch.no_grad():
            for parameter in policy.actor.parameters():
                parameter.normal_(std=0.3)
            change(policy)
        save_yaml(tmp_path / "run" / "config.yaml", config)
        save_checkpoint(tmp_path / "run" / "best", {"step": 0, "policy": policy.state_dict()})
        world.close()
        return load_policy(tmp_path / "run")

    return make
