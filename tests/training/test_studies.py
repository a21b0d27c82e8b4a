"""Studies of many trainings: what is there is gone on with, and never told as what it is not."""

import argparse
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_runs import config

from poise.errors import InvalidValueError
from poise.training.config import RunConfig
from poise.training.runs import start_run

Study = Callable[..., list[list[str]]]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """`study(changes)` makes one of two ways, with these settings; each judged on two episodes."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    make = importlib.import_module("_study").study
    options = argparse.Namespace(only=["a", "b, c"], seeds=[0, 1], episodes=2, seed=5, folder=tmp_path)

    def made(**changes: Any) -> list[list[str]]:
        rows, _ = make(options, lambda way, seed: tiny(seed=seed, **changes), lambda found: [str(len(found))])
        return rows

    return made


def tiny(**changes: Any) -> RunConfig:
    return config(**{"policy": {"actor": {"hidden_sizes": [4]}, "critic": {"hidden_sizes": [4]}}} | changes)


def test_what_is_there_is_not_trained_again_and_what_was_begun_goes_on(study: Study, tmp_path: Path) -> None:
    start_run(tiny(seed=0), tmp_path / "a/0")  # and interrupted at once
    assert [row[:2] for row in study()] == [["a", "2"], ["b, c", "2"]]
    logs = {path: path.read_text() for path in tmp_path.glob("*/*/progress.csv")}  # with the seconds that it took
    assert len(logs) == 4
    study()
    assert {path: path.read_text() for path in logs} == logs


def test_a_run_of_another_configuration_is_not_told_as_this_one(study: Study, tmp_path: Path) -> None:
    start_run(tiny(seed=1), tmp_path / "b_c/1")
    with pytest.raises(InvalidValueError, match="b_c/1 was begun with total_steps 32, not 48; remove it, choose"):
        study(total_steps=48)
    assert not (tmp_path / "a").exists(), "nothing is trained before"
    sees = {"actor": {"hidden_sizes": [4]}, "critic": {"hidden_sizes": [5, 5]}}
    with pytest.raises(InvalidValueError, match=r"with policy\.critic\.hidden_sizes \(4,\), not \(5, 5\);"):
        study(policy=sees)
    with pytest.raises(InvalidValueError, match=r"with policy\.memory None, not \{'type'"):
        study(policy=sees | {"critic": {"hidden_sizes": [4]}, "memory": {"hidden_size": 8}})
