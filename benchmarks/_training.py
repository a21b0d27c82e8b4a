"""Timed trainings on the ballbot as the data sheet has it: 500 decisions a second, two 64x64 depth cameras at 90 Hz."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from poise.config import parse
from poise.training.callbacks import Callback
from poise.training.config import RunConfig
from poise.training.runner import Runner
from poise.training.runs import start_run


@dataclass(frozen=True)
class Recipe:
    """Sizes of an iteration."""

    num_envs: int
    num_steps: int
    num_minibatches: int

    @property
    def samples(self) -> int:
        """Environment steps of an iteration."""
        return self.num_envs * self.num_steps


RECIPES = {"published": Recipe(10, 2048, 80), "batched": Recipe(128, 32, 4), "massive": Recipe(1024, 24, 4)}
EPOCHS, CLIP, ENTROPY, VALUE, RATE, DECAY = 5, 0.015, 0.001, 2.0, 1e-4, 0.01


@dataclass
class Times:
    """Seconds of each iteration."""

    rollouts: list[float] = field(default_factory=list)
    updates: list[float] = field(default_factory=list)

    def figures(self, samples: int) -> dict[str, float]:
        """Of the typical iteration, the first left out."""
        pairs = list(zip(self.rollouts, self.updates, strict=True))
        pairs = pairs[1:] or pairs
        seconds = median(rollout + update for rollout, update in pairs)
        return {
            "steps_per_second": samples / seconds,
            "rollout_us_per_step": 1e6 * median(rollout for rollout, _ in pairs) / samples,
            "update_us_per_step": 1e6 * median(update for _, update in pairs) / samples,
            "update_share": median(update / (rollout + update) for rollout, update in pairs),
        }


class Stopwatch(Callback):
    """Times whole iterations, logging included: what is not the rollout counts as the update."""

    def __init__(self, times: Times) -> None:
        self._times = times
        self._last = 0.0

    def begin(self, runner: Runner) -> None:
        """Start timing, and note when each rollout is over."""
        runner.collector.collect = self._noting_the_end(runner.collector.collect)  # type: ignore[method-assign]
        self._last = time.perf_counter()

    def on_iteration(self, runner: Runner, before: int) -> None:
        now = time.perf_counter()
        self._times.updates.append(now - self._last - self._times.rollouts[-1])
        self._last = now

    def _noting_the_end(self, collect: Callable[[], Any]) -> Callable[[], Any]:
        def timed() -> Any:
            outcome = collect()
            self._times.rollouts.append(time.perf_counter() - self._last)
            return outcome

        return timed


def time_training(
    recipe: Recipe,
    policy: dict[str, Any],
    iterations: int,
    folder: Path,
    update_threads: int,
    callbacks: Sequence[Callback] = (),
) -> Times:
    """Our runner, with everything it does between iterations but evaluations."""
    config = {
        "total_steps": iterations * recipe.samples,
        "update_threads": update_threads,
        "env": {"num_envs": recipe.num_envs},
        "policy": policy,
        "algorithm": {
            "num_steps": recipe.num_steps,
            "num_epochs": EPOCHS,
            "num_minibatches": recipe.num_minibatches,
            "clip_range": CLIP,
            "entropy_coef": ENTROPY,
            "value_coef": VALUE,
            "learning_rate": RATE,
            "weight_decay": DECAY,
        },
        "checkpoint": {"every": 0},
    }
    times = Times()
    stopwatch = Stopwatch(times)
    runner = start_run(parse(RunConfig, config), folder, [stopwatch, *callbacks])
    stopwatch.begin(runner)
    runner.train()
    return times
