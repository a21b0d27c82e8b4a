"""The training loop: collect, learn, report, and let the callbacks look on."""

import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv

from poise.algorithms import Schedule
from poise.algorithms.schedules import value_at
from poise.cores import available_cores, torch_threads
from poise.errors import InvalidValueError, PoiseError
from poise.policies import PolicyAgent
from poise.training.assets import Assets
from poise.training.building import build_algorithm, training_sensing
from poise.training.callbacks import INTERRUPTED, Callback
from poise.training.checkpoint import load_checkpoint, prune, save_checkpoint, step_folder
from poise.training.collector import Collector
from poise.training.config import RunConfig
from poise.training.environments import make_vector_env, sensing_for, set_reward_weights
from poise.training.logging import MetricsLogger
from poise.training.progress import ProgressBar
from poise.training.stopwatch import Stopwatch

_INTERRUPTS = (signal.SIGINT, signal.SIGTERM)
"""What keyboards send, and what schedulers and shutdowns do."""


class Runner:
    """One training run in one folder.

    Args:
        config: determines the run.
        folder: where everything is written.
        assets: what the configuration names by its path.
        callbacks: what looks on, in order.
    """

    def __init__(self, config: RunConfig, folder: Path, assets: Assets, callbacks: list[Callback]) -> None:
        self.config = config
        self.folder = folder
        self.assets = assets
        self.callbacks = callbacks
        self.threads = config.threads or available_cores()
        torch.manual_seed(config.seed)
        self.env = make_vector_env(config.env.id, config.env.num_envs, config.env.options, self.threads)
        sensing = training_sensing(config, assets, self.env, self.threads)
        self.algorithm = build_algorithm(config, assets, sensing.shapes, self.env)
        self.collector = Collector(self.env, sensing, self.algorithm, config.algorithm.num_steps)
        self.logger = MetricsLogger(folder, config.tensorboard)
        self.step = 0
        self.stop_reason: str | None = None
        self._bar: ProgressBar | None = None
        self._stopwatch: Stopwatch | None = None
        self._check_reward_weights()

    # --- the loop -------------------------------------------------------------------------------------------------

    def train(self) -> str:
        """Train to the end, to a callback's stop or to Ctrl-C, and save; returns why it ended."""
        if self.step == 0:
            self.collector.start(self._seeds())
            if self.assets.initial_policy is None:
                self.collector.warm_up_normalization()
        self._stopwatch = Stopwatch(self.folder)
        rollout = self.env.num_envs * self.config.algorithm.num_steps
        whole = -(-self.config.last_step // rollout) * rollout
        bar = self._bar = ProgressBar(whole, "train", start=self.step)
        with bar, self._interruptible(), torch_threads(1):
            while self.step < self.config.last_step and self.stop_reason is None:
                self._iterate()
        self.save()
        for callback in self.callbacks:
            callback.on_end(self)
        self.algorithm.close()
        self.env.close()
        return self.stop_reason or "all steps done"

    def stop(self, reason: str) -> None:
        """End after this iteration, for good: resumed, the run does not go on."""
        self.stop_reason = reason

    def say(self, message: str) -> None:
        """A line above the progress bar."""
        if self._bar is not None:
            self._bar.print(message)

    def agent_for(self, env: VectorEnv[Any, Any, Any]) -> PolicyAgent:
        """The policy to be evaluated, in charge of another environment."""
        policy = self.config.policy
        sensing = sensing_for(env, policy, self.assets.encoder, policy.sensed, self.threads)
        return PolicyAgent(self.algorithm.acting_policy, sensing)

    def _iterate(self) -> None:
        """One rollout and one update."""
        began = time.perf_counter()
        weights = self._set_reward_weights()
        last_values = self.collector.collect()
        metrics = self.algorithm.update(self.collector.rollout, last_values, self._fraction)
        before = self.step
        self.step += self.env.num_envs * self.config.algorithm.num_steps
        metrics = {f"update/{name}": value for name, value in metrics.items()} | self.collector.metrics()
        metrics |= {f"reward_weight/{name}": value for name, value in weights.items()}
        if self._stopwatch is not None:
            metrics |= self._stopwatch.metrics(self.step - before, began)
        self.logger.log(self.step, metrics)
        if self._bar is not None:
            self._bar.update(self.step, _headline(metrics))
        for callback in self.callbacks:
            callback.on_iteration(self, before)

    @property
    def _fraction(self) -> float:
        """How much of the training is done."""
        return self.step / self.config.total_steps

    def _set_reward_weights(self) -> dict[str, float]:
        weights = {name: value_at(weight, self._fraction) for name, weight in self.config.reward_weights.items()}
        set_reward_weights(self.env, weights)
        return weights

    def _check_reward_weights(self) -> None:
        """Let the environment refuse now what it would refuse in the middle of the training."""
        for name, weight in self.config.reward_weights.items():
            for value in weight.values if isinstance(weight, Schedule) else (weight,):
                set_reward_weights(self.env, {name: value})

    # --- stopping and going on ------------------------------------------------------------------------------------

    def save(self) -> Path:
        """Write a checkpoint of everything; resuming from it continues this very run."""
        folder = step_folder(self.folder, self.step)
        if not hasattr(self.env, "state"):  # new episodes here, so that the resumed run sees the same ones
            self.collector.start(self._seeds())
        save_checkpoint(folder, self.state())
        prune(self.folder, self.config.checkpoint.keep)
        return folder

    def state(self) -> dict[str, Any]:
        """Weights, optimiser, normalisers, random generators, counters, environments and callbacks."""
        return {
            "step": self.step,
            "stop_reason": None if self.stop_reason == INTERRUPTED else self.stop_reason,
            "algorithm": self.algorithm.state(),
            "collector": self.collector.state(),
            "env": self.env.state() if hasattr(self.env, "state") else None,
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
        self.collector.load_state(state["collector"])
        if state["env"] is not None:
            self.env.load_state(state["env"])  # type: ignore[attr-defined]
        else:
            self.collector.start(self._seeds())  # as it did when it was saved, and before the algorithm is as it was
        self.algorithm.load_state(state["algorithm"])
        torch.set_rng_state(state["torch_generator"])
        self.logger.restore(self.step, **state["logger"])
        for callback in self.callbacks:
            callback.load_state(state["callbacks"].get(type(callback).__name__, {}))

    def _seeds(self) -> list[int]:
        """A seed for each environment, from the run's seed and the step."""
        sequence = np.random.SeedSequence([self.config.seed, self.step])
        return [int(seed) for seed in sequence.generate_state(self.env.num_envs)]

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


def _headline(metrics: Mapping[str, float]) -> dict[str, float]:
    """What the progress bar shows; returns of training's own rewards and starts are not those of an evaluation."""
    shown = {
        "training return": "episode/return",
        "length": "episode/length",
        "speed": "rollout/speed",
        "kl": "update/kl",
    }
    return {short: metrics[name] for short, name in shown.items() if name in metrics}
