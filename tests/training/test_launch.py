from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from poise.config import parse, save_yaml
from poise.errors import InvalidValueError, PoiseError
from poise.training.cloning_config import CloningRunConfig
from poise.training.launch import closing_words, launch


def test_the_last_evaluation_is_told(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    run = write_run(tmp_path / "run", evaluations=2)
    (run / "best").mkdir()
    assert closing_words(run)[:2] == [
        "last evaluation, at step 4,000: return 20.0, success 50%",
        f"best policy in {run}/best",
    ]


@pytest.mark.parametrize("evaluations", ["[]", None])
def test_a_run_that_was_not_evaluated(tmp_path: Path, write_run: Callable[..., Path], evaluations: str | None) -> None:
    run = write_run(tmp_path / "run")
    (run / "evaluations.json").unlink()
    if evaluations is not None:
        (run / "evaluations.json").write_text(evaluations)
    assert closing_words(run)[0] == f"run in {run}"


def test_damaged_evaluations_are_named(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    run = write_run(tmp_path / "run")
    (run / "evaluations.json").write_text("[{")
    with pytest.raises(PoiseError, match=r"evaluations\.json is damaged"):
        closing_words(run)


DEMONSTRATED = {"demonstrations": {"folder": "runs/demos"}}


@pytest.mark.parametrize(("named", "advised"), [({"env": {"id": "poise/Push-v0"}}, True), ({}, False)])
def test_who_names_no_environment_is_not_sent_to_act_in_one(
    tmp_path: Path, named: dict[str, Any], advised: bool
) -> None:
    save_yaml(tmp_path / "config.yaml", parse(CloningRunConfig, DEMONSTRATED | named))
    *_, about, following = closing_words(tmp_path)
    assert ("names no environment" in about, f"poise evaluate {tmp_path}" in following) == (not advised, advised)
    assert f"poise report {tmp_path}" in following


@pytest.mark.parametrize("learns", ["by reinforcement", "from demonstrations"])
def test_other_settings_are_another_run_which_its_kind_can_begin(
    tmp_path: Path, write_run: Callable[..., Path], learns: str
) -> None:
    run, taken_over = (
        write_run(tmp_path / "run"),
        f"from its policy with them: poise train .* --initial_policy {tmp_path}",
    )
    if learns == "from demonstrations":
        save_yaml(run / "config.yaml", parse(CloningRunConfig, DEMONSTRATED))
        taken_over = rf"start another run with them: poise train {run}/config.yaml --out DIR$"
    with pytest.raises(InvalidValueError, match=taken_over):
        launch(None, {"seed": "5"}, resume=run)
