"""progress.csv and TensorBoard: exact values, late columns, crashes, and resuming without a row twice."""

from __future__ import annotations

import errno
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from poise.errors import InvalidValueError, MissingFileError, PoiseError
from poise.training.logging import MetricsLogger, read_progress


def logger(run: Path) -> MetricsLogger:
    return MetricsLogger(run, tensorboard=False)


def text(run: Path) -> str:
    return (run / "progress.csv").read_text()


# --- the CSV file -------------------------------------------------------------------------------------------------


def test_rows_as_they_are_written(tmp_path: Path) -> None:
    log = logger(tmp_path / "run")
    log.log(100, {"return": 1.5, "loss": 0.1})
    assert text(tmp_path / "run") == "step,return,loss\n100,1.5,0.1\n"
    log.log(200, {"loss": -2})
    assert text(tmp_path / "run") == "step,return,loss\n100,1.5,0.1\n200,,-2.0\n"


def test_columns_may_appear_later(tmp_path: Path) -> None:
    log = logger(tmp_path)
    log.log(1, {"a": 1})
    log.log(2, {"b": 2})
    log.log(3, {"c, d": 3, "a": 4})
    assert text(tmp_path) == 'step,a,b,"c, d"\n1,1.0,,\n2,,2.0,\n3,4.0,,3.0\n'
    assert list(tmp_path.iterdir()) == [tmp_path / "progress.csv"]


def test_values_are_read_back_exactly(tmp_path: Path) -> None:
    values = [0.1, 1 / 3, 1e-300, -0.0, 5e-324, 1.7e308, math.inf, -math.inf, math.nan]
    log = logger(tmp_path)
    for step, value in enumerate(values):
        log.log(step, {"x": value})
    log.log(len(values), {"y": np.float32(0.25)})
    log.log(len(values) + 1, {"y": torch.tensor(0.5)})
    progress = read_progress(tmp_path)
    assert progress["step"].dtype == np.int64
    assert progress["step"].tolist() == list(range(len(values) + 2))
    assert progress["x"].tobytes() == np.array([*values, math.nan, math.nan]).tobytes()
    np.testing.assert_array_equal(progress["y"], [math.nan] * len(values) + [0.25, 0.5])


def test_a_row_without_metrics_and_an_unused_logger(tmp_path: Path) -> None:
    logger(tmp_path / "unused")
    assert not (tmp_path / "unused").exists()
    logger(tmp_path).log(5, {})
    assert text(tmp_path) == "step\n5\n"
    assert read_progress(tmp_path)["step"].tolist() == [5]


@pytest.mark.parametrize("name", ["", "a\nb", "a\rb", "a\x00", "step"])
def test_names_that_would_break_the_file(tmp_path: Path, name: str) -> None:
    log = logger(tmp_path)
    log.log(1, {"a": 1})
    with pytest.raises(InvalidValueError):
        log.log(2, {name: 1.0})
    log.log(3, {"a": 1})
    assert text(tmp_path) == "step,a\n1,1.0\n3,1.0\n"


# --- resuming -----------------------------------------------------------------------------------------------------


def test_resuming_drops_what_will_be_logged_again(tmp_path: Path) -> None:
    log = logger(tmp_path)
    for step in (10, 20, 30, 40):
        log.log(step, {"x": step / 10})
    log = logger(tmp_path)
    log.restore(20)
    log.log(30, {"x": 3, "late": 1})
    assert text(tmp_path) == "step,x,late\n10,1.0,\n20,2.0,\n30,3.0,1.0\n"


def test_the_count_of_rows_settles_rows_of_the_same_step(tmp_path: Path) -> None:
    log = logger(tmp_path)
    log.log(10, {"x": 1})
    assert log.state() == {"rows": 1}
    log.log(20, {"x": 2})
    state = log.state()  # the checkpoint after step 20 is written here
    log.log(20, {"evaluation": 9})
    log.log(30, {"x": 3})
    log = logger(tmp_path)
    log.restore(20, **state)
    assert log.state() == state
    log.log(20, {"evaluation": 9})
    assert text(tmp_path) == "step,x,evaluation\n10,1.0,\n20,2.0,\n20,,9.0\n"


def test_restoring_before_anything_was_logged(tmp_path: Path) -> None:
    log = logger(tmp_path)
    log.restore(0, rows=0)
    log.log(1, {"x": 1})
    log.restore(0)
    assert text(tmp_path) == "step,x\n"
    assert read_progress(tmp_path)["x"].tolist() == []


def test_every_torn_last_line_is_dropped(tmp_path: Path) -> None:
    log = logger(tmp_path)
    log.log(1, {"x": 1.25, "y": 2})
    whole = text(tmp_path)
    log.log(22, {"x": 33.5, "y": 4})
    full = text(tmp_path)
    for length in range(len(whole), len(full)):
        (tmp_path / "progress.csv").write_text(full[:length])
        assert read_progress(tmp_path)["step"].tolist() == [1]
        resumed = logger(tmp_path)
        assert resumed.state() == {"rows": 1}
        resumed.log(3, {"y": 5})
        assert text(tmp_path) == whole + "3,,5.0\n"


@pytest.mark.parametrize("tail", ["\0\0\0\0\n", "22,1\n", "22,1,2,3\n", "x,1,2\n", "22,?,2\n", "\n", "22,1,\0\n"])
def test_a_last_line_without_sense_is_dropped(tmp_path: Path, tail: str) -> None:
    logger(tmp_path).log(1, {"x": 1, "y": 2})
    whole = text(tmp_path)
    (tmp_path / "progress.csv").write_text(whole + tail)
    assert read_progress(tmp_path)["step"].tolist() == [1]
    logger(tmp_path)
    assert text(tmp_path) == whole


def test_damage_further_up_is_named(tmp_path: Path) -> None:
    (tmp_path / "progress.csv").write_text("step,x\n1,1\n2,rubbish\n3,3\n")
    before = text(tmp_path)
    for read in (read_progress, logger):
        with pytest.raises(PoiseError, match=r"progress\.csv is damaged at line 3"):
            read(tmp_path)
    assert text(tmp_path) == before


@pytest.mark.parametrize("content", ["", "step,x", "a,b\n1,2\n", "\n"])
def test_another_file_of_that_name(tmp_path: Path, content: str) -> None:
    (tmp_path / "progress.csv").write_text(content)
    with pytest.raises(PoiseError, match="is not a progress file"):
        read_progress(tmp_path)


def test_no_progress_there(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="expected the folder of a training run"):
        read_progress(tmp_path)


_UNTIL_FULL = """
import resource, sys
from poise.cli_ends import exit_code
from poise.training.logging import MetricsLogger

def fill():
    log = MetricsLogger(sys.argv[1])
    log.log(0, {"a name that is in every event, and once in the table": 0.0})
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
    for step in range(1, 1000):
        log.log(step, {"a name that is in every event, and once in the table": step})

sys.exit(exit_code(fill))
"""


def test_a_disk_that_fills_up_is_one_sentence(tmp_path: Path) -> None:
    """A real limit, on files of 4000 bytes, which TensorBoard's meets first."""
    pytest.importorskip("resource")
    ended = subprocess.run([sys.executable, "-c", _UNTIL_FULL, str(tmp_path)], capture_output=True, text=True)
    (events,) = (tmp_path / "tensorboard").iterdir()
    assert ended.stderr == f"error: cannot write {events}: file too large\n"
    assert ended.returncode == 2
    logged = scalars(tmp_path, "a name that is in every event, and once in the table")
    assert 20 < len(logged) < 100
    assert logged == [(step, step) for step in range(len(logged))]
    assert read_progress(tmp_path)["step"].tolist() == list(range(len(logged) + 1))


@pytest.mark.parametrize("metrics", [{"x": 2.0}, {"new": 2.0}])
def test_a_full_disk_leaves_the_rows_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metrics: dict[str, float]
) -> None:
    log = logger(tmp_path)
    log.log(1, {"x": 1})
    before = text(tmp_path)

    class Full:
        """A file on a disk with room for three bytes more."""

        def __init__(self, path: Path) -> None:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            os.close(self._file)

        def tell(self) -> int:
            return os.lseek(self._file, 0, os.SEEK_END)

        def write(self, content: memoryview) -> int:
            os.write(self._file, content[:3])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    original = Path.open

    def full_for_writers(self: Path, mode: str = "r", buffering: int = -1, *rest: str | None) -> object:
        return original(self, mode, buffering, *rest) if "r" in mode else Full(self)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full_for_writers)
        with pytest.raises(PoiseError, match=r"cannot write .*progress\.csv: no space left on device; free some space"):
            log.log(2, metrics)
    assert text(tmp_path) == before
    assert list(tmp_path.iterdir()) == [tmp_path / "progress.csv"]
    log.log(3, metrics)
    assert read_progress(tmp_path)["step"].tolist() == [1, 3]


# --- TensorBoard --------------------------------------------------------------------------------------------------


def test_tensorboard_is_not_imported_before_it_is_needed() -> None:
    program = "import sys, poise.training.logging; print('tensorboard' in sys.modules, 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).stdout.split() == [b"False", b"False"]


def scalars(run: Path, name: str) -> list[tuple[int, float]]:
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(name)]


def test_tensorboard_shows_a_resumed_run_once(tmp_path: Path) -> None:
    log = MetricsLogger(tmp_path)
    for step in (10, 20, 30):
        log.log(step, {"train/x": step, "y": 0.5})
    log = MetricsLogger(tmp_path)
    log.restore(20)
    log.log(30, {"train/x": -30})
    log.log(40, {"train/x": -40})
    assert scalars(tmp_path, "train/x") == [(10, 10), (20, 20), (30, -30), (40, -40)]
    assert scalars(tmp_path, "y") == [(10, 0.5), (20, 0.5)]
    assert read_progress(tmp_path)["train/x"].tolist() == [10, 20, -30, -40]


def test_what_state_counts_is_on_disk(tmp_path: Path) -> None:
    log = MetricsLogger(tmp_path)
    log.log(10, {"x": 1})
    log.state()
    assert scalars(tmp_path, "x") == [(10, 1.0)]


def test_tensorboard_is_shown_every_kind_of_number(tmp_path: Path) -> None:
    values = [0.1, -math.inf, math.nan, 1e300]  # it has single precision
    log = MetricsLogger(tmp_path)
    for step, value in enumerate(values):
        log.log(step, {"x": value})
    shown = [value for _, value in scalars(tmp_path, "x")]
    np.testing.assert_array_equal(shown, [np.float32(0.1), -math.inf, math.nan, math.inf])


def test_without_tensorboard_there_is_no_folder(tmp_path: Path) -> None:
    logger(tmp_path).log(1, {"x": 1})
    assert not (tmp_path / "tensorboard").exists()
