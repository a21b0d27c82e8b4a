"""Runs that somebody may have meant."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from poise.config import save_yaml
from poise.perception import PretrainConfig
from poise.training.trained import did_you_mean_run


@pytest.fixture
def demo(tmp_path: Path, write_run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """`demo` holds a run, and an encoder that is none; it is the only thing in the working directory."""
    monkeypatch.chdir(tmp_path)
    save_yaml(Path("demo/encoder/config.yaml"), PretrainConfig())
    write_run(Path("demo/run"))
    return Path("demo")


@pytest.mark.parametrize("typed", ["demo", ".", "dmeo", "demo/rnu"])
def test_the_only_run_near_is_named(demo: Path, typed: str) -> None:
    assert did_you_mean_run(Path(typed)) == "; did you mean 'demo/run'?"


@pytest.mark.parametrize("typed", ["demo/encoder", "nothing/like/it", "xyzzy"])
def test_nothing_is_named_where_nothing_is_near(demo: Path, typed: str) -> None:
    assert did_you_mean_run(Path(typed)) == ""


def test_of_several_the_three_latest_are_named(demo: Path, write_run: Callable[..., Path]) -> None:
    for age, name in enumerate("abcd"):
        os.utime(write_run(demo / name) / "config.yaml", (1000 - age, 1000 - age))
    assert did_you_mean_run(demo) == "; did you mean 'demo/run', 'demo/a' or 'demo/b'?"
