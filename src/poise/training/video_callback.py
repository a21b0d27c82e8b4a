"""Videos of a policy while it learns, made by a process of its own that training neither waits for nor depends on."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from poise.errors import PoiseError
from poise.training.callbacks import INTERRUPTED, Callback, EvaluationCallback, is_due
from poise.training.checkpoint import save_checkpoint

if TYPE_CHECKING:
    from poise.training.loop import Loop

VIDEOS = "videos"
_PENDING = ".pending"
_LOG = "video.log"
_PATIENCE = 60.0
"""How long the end of training waits for videos, s."""
_LIMIT = 1800.0
"""A process that takes longer hangs, s."""


class VideoCallback(Callback):
    """Makes `videos/step_….mp4` when `config.video.when` says so.

    The policy of that moment is saved aside and handed to a process of low priority. One works at a time; while it
    does, only the latest request waits. Whatever goes wrong is said once, and training goes on.

    Args:
        command: makes a video of a snapshot, given the snapshot's folder and the video's path.
        patience: how long the end of training waits, s.
    """

    def __init__(
        self, command: Sequence[str] = (sys.executable, "-m", "poise.training.video"), patience: float = _PATIENCE
    ) -> None:
        self._command = tuple(command)
        self._patience = patience
        self._process: subprocess.Popen[bytes] | None = None
        self._path = Path()
        self._snapshot = Path()
        self._began = 0.0
        self._waiting: tuple[Path, Path] | None = None
        self._has_warned = False

    def on_iteration(self, runner: Loop, before: int) -> None:
        with self._unharmed(runner):
            if _is_wanted(runner, before):
                self._request(runner)
            self._tend(runner)

    def on_end(self, runner: Loop) -> None:
        """Wait a while for the last videos, unless the user pressed Ctrl-C."""
        with self._unharmed(runner):
            self._tend(runner)
            if self._process is not None and runner.stop_reason != INTERRUPTED:
                runner.say(f"waiting for {self._path.name}, at most {self._patience:.0f} s; Ctrl-C ends the wait")
                with contextlib.suppress(KeyboardInterrupt):
                    self._wait(runner)
            self._give_up()

    # --- one video after the other --------------------------------------------------------------------------------

    def _request(self, runner: Loop) -> None:
        """Save the policy aside; a request that still waits is replaced."""
        videos = runner.folder / VIDEOS
        name = f"step_{runner.step:09d}"
        snapshot = videos / _PENDING / name
        save_checkpoint(snapshot, {"step": runner.step, "policy": runner.acting_policy.state_dict()})
        self._drop_waiting()
        self._waiting = (snapshot, videos / f"{name}.mp4")

    def _tend(self, runner: Loop) -> None:
        """Notice the end of a video; begin the next."""
        if self._process is not None:
            if self._process.poll() is None and time.monotonic() - self._began > _LIMIT:
                self._process.kill()
                self._process.wait()
            if self._process.poll() is not None:
                self._finish(runner, self._process.returncode)
        if self._process is None and self._waiting is not None:
            (self._snapshot, self._path), self._waiting = self._waiting, None
            with _log(runner).open("ab") as log:
                self._process = _start([*self._command, str(self._snapshot), str(self._path)], log)
            self._began = time.monotonic()

    def _finish(self, runner: Loop, status: int) -> None:
        self._process = None
        shutil.rmtree(self._snapshot, ignore_errors=True)
        log = _log(runner)
        if status == 0:
            runner.say(f"video in {self._path}")
            if log.stat().st_size == 0:
                log.unlink()
        else:
            self._warn(runner, f"the video {self._path.name} could not be made (status {status}); {log} says why")

    def _wait(self, runner: Loop) -> None:
        deadline = time.monotonic() + self._patience
        while self._process is not None and (remaining := deadline - time.monotonic()) > 0:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(remaining)
            self._tend(runner)
        if self._process is not None:
            self._warn(runner, f"{self._path.name} is given up; 'poise play {runner.folder}' makes a video at any time")

    def _give_up(self) -> None:
        """Stop working and leave nothing behind."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            shutil.rmtree(self._snapshot, ignore_errors=True)
        pending = self._snapshot.parent if self._waiting is None else self._waiting[0].parent
        self._drop_waiting()
        with contextlib.suppress(OSError):
            pending.rmdir()  # where it is ours and empty

    def _drop_waiting(self) -> None:
        if self._waiting is not None:
            shutil.rmtree(self._waiting[0], ignore_errors=True)
            self._waiting = None

    # --- trouble --------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _unharmed(self, runner: Loop) -> Iterator[None]:
        try:
            yield
        except (PoiseError, OSError) as error:
            self._warn(runner, f"no video: {error}")

    def _warn(self, runner: Loop, message: str) -> None:
        if not self._has_warned:
            runner.say(f"warning: {message}; training is not affected")
        self._has_warned = True


def _is_wanted(runner: Loop, before: int) -> bool:
    when = runner.config.video.when
    if isinstance(when, int):
        return is_due(before, runner.step, when)
    evaluation = next((callback for callback in runner.callbacks if isinstance(callback, EvaluationCallback)), None)
    if evaluation is None or when == "never":
        return False
    return evaluation.is_new_best if when == "new_best" else evaluation.is_fresh


def _log(runner: Loop) -> Path:
    return runner.folder / VIDEOS / _LOG


def _start(command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    """A process on one core that yields to training and does not hear the terminal's Ctrl-C."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
    )
    if hasattr(os, "setpriority"):  # not on Windows
        with contextlib.suppress(OSError):  # it may be over already
            os.setpriority(os.PRIO_PROCESS, process.pid, 15)
    return process
