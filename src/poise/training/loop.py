"""What every training loop does: iterate, save, be interrupted, go on, and let the callbacks look on."""

from __future__ import annotations

import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import torch
from gymnasium.vector import VectorEnv
from torch import nn

from poise.cores import available_cores, torch_threads
from poise.errors import InvalidValueError, PoiseError
from poise.policies import PolicyAgent
from poise.training.callbacks import INTERRUPTED, Callback
from poise.training.checkpoint import load_checkpoint, prune, save_checkpoint, step_folder
from poise.training.config import TrainingConfig
from poise.training.logging import MetricsLogger
from poise.training.progress import ProgressBar
from poise.training.stopwatch import Stopwatch

_INTERRUPTS = (signal.SIGINT, signal.SIGTERM)
"""What keyboards send, and what schedulers and shutdowns do."""


class Loop(ABC):
    """One training run in one folder. What is learned, and from what, others say.

    Args:
        config: determines the run.
        folder: where everything is written.
        callbacks: what looks on, in order.

    Attributes:
        step: how far it is.
        headline: metrics that the progress bar shows, by a short name.
        unit: what is counted.
    """

    headline: ClassVar[Mapping[str, str]] = {}
    unit: ClassVar[str] = "steps"

    def __init__(self, config: TrainingConfig, folder: Path, callbacks: list[Callback]) -> None:
        self.config = config
        self.folder = folder
        self.callbacks = callbacks
        self.threads = config.threads or available_cores()
        torch.manual_seed(config.seed)
        self.logger = MetricsLogger(folder, config.tensorboard)
        self.step = 0
        self.stop_reason: str | None = None
        self._bar: ProgressBar | None = None

    @property
    def place(self) -> str:
        """How far it is, in words: `step 8,192` or `epoch 3`."""
        return f"{self.unit.removesuffix('s')} {self.step:,}"

    # --- what others say ----------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def acting_policy(self) -> nn.Module:
        """What is evaluated, filmed and kept."""

    @abstractmethod
    def agent_for(self, env: VectorEnv[Any, Any, Any]) -> PolicyAgent:
        """The policy to be evaluated, in charge of another environment."""

    @abstractmethod
    def keep(self) -> None:
        """Refuse what cannot be, and write into a new run's folder what it, and its policy later, cannot do without."""

    @property
    @abstractmethod
    def whole(self) -> int:
        """The step at which training ends."""

    @abstractmethod
    def begin(self) -> None:
        """Before the first iteration of a new run."""

    @abstractmethod
    def iterate(self) -> dict[str, float]:
        """Learn something and move `step` on; returns what is to be logged."""

    @abstractmethod
    def learner_state(self) -> dict[str, Any]:
        """Everything that learns and that is learned from, to continue bit for bit."""

    @abstractmethod
    def load_learner(self, state: Mapping[str, Any]) -> None:
        """Continue from `learner_state()`."""

    @abstractmethod
    def close(self) -> None:
        """Training is over."""

    @abstractmethod
    def settle(self) -> None:
        """Before a checkpoint: what cannot be saved begins anew, so that the resumed run sees the same."""

    # --- the loop -----------------------------------------------------------------------------------------------------

    def train(self) -> str:
        """Train to the end, to a callback's stop or to Ctrl-C, and save; returns why it ended."""
        if self.step == 0:
            self.begin()
        stopwatch = Stopwatch(self.folder)
        bar = self._bar = ProgressBar(self.whole, "train", start=self.step, unit=self.unit)
        with bar, self._interruptible(), torch_threads(1):
            while self.step < self.config.last_step and self.stop_reason is None:
                before, began = self.step, time.perf_counter()
                metrics = self.iterate()
                metrics |= stopwatch.metrics(self.step - before, began)
                self.logger.log(self.step, metrics)
                bar.update(
                    self.step, {short: metrics[name] for short, name in self.headline.items() if name in metrics}
                )
                for callback in self.callbacks:
                    callback.on_iteration(self, before)
        self.save()
        for callback in self.callbacks:
            callback.on_end(self)
        self.close()
        return self.stop_reason or "all steps done"

    def stop(self, reason: str) -> None:
        """End after this iteration, for good: resumed, the run does not go on."""
        self.stop_reason = reason

    def say(self, message: str) -> None:
        """A line above the progress bar."""
        if self._bar is not None:
            self._bar.print(message)

    # --- stopping and going on ----------------------------------------------------------------------------------------

    def save(self) -> Path:
        """Write a checkpoint of everything; resuming from it continues this very run."""
        folder = step_folder(self.folder, self.step)
        self.settle()
        save_checkpoint(folder, self.state())
        prune(self.folder, self.config.checkpoint.keep)
        return folder

    def state(self) -> dict[str, Any]:
        """The learner's, random generators, counters and callbacks."""
        return {
            "step": self.step,
            "stop_reason": None if self.stop_reason == INTERRUPTED else self.stop_reason,
            **self.learner_state(),
            "torch_generator": torch.get_rng_state(),
            "logger": self.logger.state(),
            "callbacks": {type(callback).__name__: callback.state() for callback in self.callbacks},
        }

    def resume(self, checkpoint: Path) -> None:
        """Continue from a checkpoint of a run with the same configuration."""
        state = load_checkpoint(checkpoint)
        try:
            self._load_state(state)
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            if isinstance(error, PoiseError):
                raise
            raise InvalidValueError(
                f"{checkpoint} does not fit this configuration ({' '.join(str(error).split())[:200]}); "
                "resume with the configuration it was made with"
            ) from error

    def _load_state(self, state: Mapping[str, Any]) -> None:
        self.step = state["step"]
        self.stop_reason = state["stop_reason"]
        self.load_learner(state)
        torch.set_rng_state(state["torch_generator"])
        self.logger.restore(self.step, **state["logger"])
        for callback in self.callbacks:
            callback.load_state(state["callbacks"].get(type(callback).__name__, {}))

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM end after the iteration, with a checkpoint; a second one at once."""

        def on_interrupt(signum: int, frame: Any) -> None:
            self.stop(self.stop_reason or INTERRUPTED)
            for kind in _INTERRUPTS:
                signal.signal(kind, signal.default_int_handler)

        try:
            previous = {kind: signal.signal(kind, on_interrupt) for kind in _INTERRUPTS}
        except ValueError:  # not in the main thread: signals do not come here
            yield
            return
        try:
            yield
        finally:
            for kind, handler in previous.items():
                signal.signal(kind, handler)
