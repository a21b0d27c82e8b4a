"""A training that is over in a moment."""

from typing import Any

from poise.config import parse
from poise.training.config import RunConfig

SMALL = {"hidden_sizes": [8]}


def config(**changes: Any) -> RunConfig:
    """Four updates of CartPole by small networks, with these settings otherwise."""
    return parse(
        RunConfig,
        {
            "total_steps": 32,
            "env": {"id": "CartPole-v1", "num_envs": 2},
            "policy": {"actor": SMALL, "critic": SMALL},
            "algorithm": {"num_steps": 8, "num_minibatches": 1},
            "tensorboard": False,
            "threads": 1,
            "update_threads": 1,
        }
        | changes,
    )
