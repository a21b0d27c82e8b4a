"""Commands that readers are told to type."""

import sys
from pathlib import Path

import pytest

from poise.shell import typed


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A virtual environment in `my clone/.venv`, whose commands no shell finds."""
    script = tmp_path / "my clone" / ".venv" / "bin" / "activate"
    script.parent.mkdir(parents=True)
    script.touch()
    monkeypatch.setattr(sys, "prefix", str(script.parents[1]))
    monkeypatch.setenv("PATH", str(tmp_path))
    return script


def test_where_poise_is_not_found_its_environment_is_entered_first(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(environment.parents[2])
    assert typed("poise info", "poise demo") == ["source .venv/bin/activate", "poise info", "poise demo"]
    elsewhere = environment.parents[3] / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert typed("poise info") == [f"source '{environment}'", "poise info"]


def test_where_it_is_found_nothing_comes_first(environment: Path) -> None:
    command = Path(environment.parents[3] / "poise")
    command.touch()
    command.chmod(0o755)
    assert typed("poise info") == ["poise info"]


def test_without_a_virtual_environment_there_is_none_to_enter(environment: Path) -> None:
    environment.unlink()
    assert typed("poise info") == ["poise info"]
