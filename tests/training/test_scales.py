"""Trainings that log the scales of modalities, and warn once of one that is dwarfed."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from worlds import Counting

from poise.config import parse
from poise.fusion.scales import Dwarfed
from poise.training.config import RunConfig
from poise.training.logging import read_progress
from poise.training.runner import Runner
from poise.training.runs import start_run
from poise.training.scales import advice

GROUPS = {"modalities": {"once": ["count"], "again": ["twice"]}}


class Scaled(Counting):
    """Tells the same count in another unit, too."""

    factor = 1.0

    def _observe(self) -> Any:
        told = super()._observe()
        return {"count": told["count"], "twice": self.factor * told["twice"]}


gym.register("Scaled-v0", Scaled)


def trained(folder: Path, monkeypatch: pytest.MonkeyPatch, **policy: Any) -> list[str]:
    """What a short training of a world with two components says."""
    said: list[str] = []
    monkeypatch.setattr(Runner, "say", lambda runner, message: said.append(message))
    small = {"actor": {"hidden_sizes": [4]}, "critic": {"hidden_sizes": [4]}}
    config = {
        "total_steps": 320,
        "threads": 1,
        "tensorboard": False,
        "env": {"id": "Scaled-v0", "num_envs": 2, "options": {"mapping": True, "length": 7}},
        "algorithm": {"num_steps": 8, "num_epochs": 1, "num_minibatches": 1},
        "policy": small | policy,
    }
    start_run(parse(RunConfig, config, "test"), folder / "run").train()
    return [message for message in said if message.startswith("warning")]


def test_scales_are_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert trained(tmp_path, monkeypatch, fusion=GROUPS | {"name": "concat"}) == []
    progress = read_progress(tmp_path / "run")
    logged = progress["features/again"]
    steps = progress["step"][logged == logged]
    assert list(steps) == list(range(16, 321, 16))  # twenty times
    assert progress["features/once"][-1] > 0.0


def test_who_is_dwarfed_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts of a few against their thousandfold, which nobody normalises."""
    monkeypatch.setattr(Scaled, "factor", 500.0)
    fusion = GROUPS | {"name": "concat"}
    [warning] = trained(tmp_path, monkeypatch, fusion=fusion, normalize_observations=False)
    assert warning.startswith("warning: at step 16 the features of 'again' are 1e+03 times as large as those of 'once'")
    assert warning.endswith("so 'once' hardly counts; set policy.normalize_observations to true")


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ([], "policy.fusion.hidden_sizes gives each modality a network"),
        ([4], "a lower learning rate keeps them closer"),
    ],
)
def test_advice_is_of_what_has_not_been_done(sizes: list[int], words: str) -> None:
    policy = {"fusion": GROUPS | {"name": "concat", "hidden_sizes": sizes}}
    assert words in advice(parse(RunConfig, {"policy": policy}, "test").policy, Dwarfed("once", "again", 1000.0))
    assert "set policy.normalize_observations" in advice(
        parse(RunConfig, {"policy": policy | {"normalize_observations": False}}, "test").policy,
        Dwarfed("once", "again", 1000.0),
    )


def test_one_modality_alone_dwarfs_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert trained(tmp_path, monkeypatch, normalize_observations=False) == []
    assert not any(name.startswith("features/") for name in read_progress(tmp_path / "run"))
