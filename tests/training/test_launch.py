from collections.abc import Callable
from pathlib import Path

import pytest

from poise.errors import PoiseError
from poise.training.launch import closing_words


def test_the_last_evaluation_is_told(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    run = write_run(tmp_path / "run", evaluations=2)
    (run / "best").mkdir()
    assert closing_words(run)[:2] == [
        "last evaluation, after 4,000 steps: return 20.0, success 50%",
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
