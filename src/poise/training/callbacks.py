"""What looks on while a policy learns: checkpoints, evaluations, early stopping."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from poise.files import write_atomically
from poise.training.checkpoint import save_checkpoint
from poise.training.environments import make_vector_env, most_side_by_side
from poise.training.evaluation import EVALUATIONS, Evaluation, evaluate

if TYPE_CHECKING:
    from poise.training.loop import Loop


INTERRUPTED = "interrupted"
"""Why a run stopped that goes on when it is resumed; after any other reason it is over."""


class Callback:
    """Told after every iteration; whatever it remembers goes into the checkpoint."""

    def on_iteration(self, runner: Loop, before: int) -> None:
        """An iteration took the run from step `before` to `runner.step`."""

    def on_end(self, runner: Loop) -> None:
        """Training is over and saved."""

    def state(self) -> dict[str, Any]:
        """What is remembered."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from `state()`."""


def is_due(before: int, now: int, every: int) -> bool:
    """Whether a multiple of `every` lies in (before, now]; never for 0."""
    return every > 0 and now // every > before // every


class CheckpointCallback(Callback):
    """Saves the whole run every so many steps. Comes last, so that the others' memory is saved with it."""

    def on_iteration(self, runner: Loop, before: int) -> None:
        if is_due(before, runner.step, runner.config.checkpoint.every):
            runner.save()


class EvaluationCallback(Callback):
    """Evaluates on fixed seeds, also at the end; keeps the best or the latest policy in `best/`, stops on a plateau."""

    def __init__(self) -> None:
        self.best = -math.inf
        self.level = -math.inf  # what the next improvement is measured from, so that small ones add up
        self.since_best = 0
        self.history: list[dict[str, Any]] = []
        self.is_new_best = False
        self.is_fresh = False

    def on_iteration(self, runner: Loop, before: int) -> None:
        every, ended = runner.config.evaluation.every, runner.step >= runner.config.last_step
        self.is_fresh = is_due(before, runner.step, every) or (ended and every > 0)
        self.is_new_best = False
        if self.is_fresh:
            self._evaluate(runner)

    def state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("best", "level", "since_best", "history")}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.best, self.level, self.since_best = state["best"], state["level"], state["since_best"]
        self.history = list(state["history"])

    def _evaluate(self, runner: Loop) -> None:
        config = runner.config
        evaluation = evaluate_policy(runner)
        summary = evaluation.summary()
        value = evaluation.metric(config.evaluation.metric)
        means = {f"evaluation/{name}": summary[name]["mean"] for name in _LOGGED}
        runner.logger.log(runner.step, {name: mean for name, mean in means.items() if mean is not None})
        runner.say(f"{runner.place}: {describe(summary)}")
        self.history.append({"step": runner.step, **summary})
        write_atomically(runner.folder / EVALUATIONS, json.dumps(self.history, indent=1) + "\n")
        self.since_best += 1
        if value >= self.level + config.early_stopping.counts(config.evaluation.metric):
            self.level, self.since_best = value, 0
        self.is_new_best = value > self.best or config.evaluation.keep == "latest"
        self.best = max(self.best, value)
        if self.is_new_best:
            save_policy(runner)
        if 0 < config.early_stopping.patience <= self.since_best:
            runner.stop(f"no improvement in {self.since_best} evaluations")


_LOGGED = ("return", "length", "success_rate", "speed")


def evaluate_policy(runner: Loop) -> Evaluation:
    """The run's policy on the evaluation's seeds and options; the learner's random draws are not disturbed."""
    config = runner.config
    options = config.env.options | config.evaluation.options
    generator = torch.get_rng_state()
    evaluation = evaluate(
        runner.agent_for,
        lambda count: make_vector_env(config.env.id, count, options, runner.threads),
        config.evaluation.episodes,
        config.evaluation.seed,
        most_side_by_side(config.env.id),
    )
    torch.set_rng_state(generator)
    return evaluation


def save_policy(runner: Loop) -> None:
    """Keep the acting policy, without what only training needs, in `best/`."""
    policy = runner.acting_policy
    save_checkpoint(runner.folder / "best", {"step": runner.step, "policy": policy.state_dict()})


def describe(summary: Mapping[str, Any]) -> str:
    """One line: what the policy returned, how often it succeeded, how fast it went."""
    text = f"return {summary['return']['mean']:.1f}, success {summary['success_rate']['mean']:.0%}"
    speed = summary["speed"]["mean"]
    return text if speed is None else f"{text}, {speed:.2f} m/s"
