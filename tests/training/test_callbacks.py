import json
from pathlib import Path
from typing import Any

import pytest
import torch

from poise.config import parse
from poise.errors import PoiseError
from poise.training import callbacks
from poise.training.callbacks import Callback, EvaluationCallback, describe, is_due
from poise.training.checkpoint import load_checkpoint
from poise.training.config import RunConfig
from poise.training.evaluation import Evaluation
from poise.training.runner import Runner
from poise.training.runs import start_run

SMALL = {"hidden_sizes": [8]}


def config(**changes: Any) -> RunConfig:
    return parse(
        RunConfig,
        {
            "total_steps": 160,
            "env": {"id": "CartPole-v1", "num_envs": 2},
            "policy": {"actor": SMALL, "critic": SMALL},
            "algorithm": {"num_steps": 8, "num_epochs": 1, "num_minibatches": 1},
            "evaluation": {"every": 16, "episodes": 2},
            "tensorboard": False,
            "threads": 1,
            "update_threads": 1,
        }
        | changes,
    )


def outcomes(*returns: float) -> Any:
    """In the place of `evaluate_policy`: the given returns, one after the other."""
    left = iter(returns)
    return lambda runner: Evaluation(0, [next(left)] * 2, [10, 10], [True, False], [float("nan")] * 2)


@pytest.mark.parametrize(
    ("before", "now", "every", "due"),
    [(0, 10, 10, True), (0, 9, 10, False), (9, 10, 10, True), (10, 19, 10, False), (5, 35, 10, True), (0, 9, 0, False)],
)
def test_when_something_is_due(before: int, now: int, every: int, due: bool) -> None:
    assert is_due(before, now, every) is due


def test_the_best_policy_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    returns = [5.0, 9.0, 7.0, 9.0, 8.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    monkeypatch.setattr(callbacks, "evaluate_policy", outcomes(*returns))
    runner = start_run(config(), tmp_path / "run")
    runner.train()
    assert load_checkpoint(tmp_path / "run" / "best")["step"] == 32  # the first of the two nines
    history = json.loads((tmp_path / "run" / "evaluations.json").read_text())
    assert [entry["step"] for entry in history] == list(range(16, 161, 16))
    assert [entry["return"]["mean"] for entry in history] == returns
    assert history[0]["speed"]["mean"] is None


def test_the_latest_policy_is_kept_if_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "evaluate_policy", outcomes(5.0, 9.0, 7.0, 9.0, 8.0, 1.0, 2.0, 3.0, 4.0, 5.0))
    runner = start_run(config(evaluation={"every": 16, "episodes": 2, "keep": "latest"}), tmp_path / "run")
    runner.train()
    assert load_checkpoint(tmp_path / "run" / "best")["step"] == 160


def test_the_end_is_evaluated_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "evaluate_policy", outcomes(5.0, 6.0, 7.0))
    start_run(config(evaluation={"every": 64, "episodes": 2}), tmp_path / "run").train()
    history = json.loads((tmp_path / "run" / "evaluations.json").read_text())
    assert [entry["step"] for entry in history] == [64, 128, 160]


class Snapshot(Callback):
    """Keeps the weights of step 80."""

    def on_iteration(self, runner: Runner, before: int) -> None:
        if runner.step == 80:
            self.weights = {name: value.clone() for name, value in runner.algorithm.policy.state_dict().items()}


def test_a_training_that_stops_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the whole training, as far as it goes, and it is evaluated where it stops."""
    monkeypatch.setattr(callbacks, "evaluate_policy", outcomes(*range(20)))
    schedule = {"algorithm": {"num_steps": 8, "learning_rate": {"values": [1e-3, 0.0]}}}
    whole = Snapshot()
    start_run(config(**schedule), tmp_path / "whole", [whole]).train()
    runner = start_run(config(stop_at=70, evaluation={"every": 64, "episodes": 2}, **schedule), tmp_path / "short")
    runner.train()
    assert runner.step == 80
    assert [entry["step"] for entry in json.loads((tmp_path / "short" / "evaluations.json").read_text())] == [64, 80]
    for name, value in runner.algorithm.policy.state_dict().items():
        assert torch.equal(value, whole.weights[name]), name


def test_it_stops_on_a_plateau(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "evaluate_policy", outcomes(5.0, 9.0, 9.2, 9.3, 9.1, 50.0))
    stopping = {"patience": 3, "min_improvement": 0.5}
    runner = start_run(config(early_stopping=stopping), tmp_path / "run")
    assert runner.train() == "no improvement in 3 evaluations"
    assert runner.step == 5 * 16
    assert load_checkpoint(tmp_path / "run" / "best")["step"] == 4 * 16


def test_slow_progress_is_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """0.3 an evaluation is less than counts at once, but it adds up."""
    monkeypatch.setattr(callbacks, "evaluate_policy", outcomes(*(0.3 * i for i in range(10))))
    runner = start_run(config(early_stopping={"patience": 3, "min_improvement": 0.5}), tmp_path / "run")
    assert runner.train() == "all steps done"


def test_what_counts_as_progress_depends_on_what_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The share of survivors rises from 10 to 100 % by 10 points an evaluation, each far below 0.5."""
    survivors = iter(range(1, 11))

    def evaluation(runner: Runner) -> Evaluation:
        alive = next(survivors)
        return Evaluation(0, [1.0] * 10, [10] * 10, [i < alive for i in range(10)], [0.0] * 10)

    monkeypatch.setattr(callbacks, "evaluate_policy", evaluation)
    measured = {"every": 16, "episodes": 2, "metric": "success_rate"}
    runner = start_run(config(evaluation=measured, early_stopping={"patience": 2}), tmp_path / "run")
    assert runner.train() == "all steps done"


def test_evaluations_do_not_disturb_training(tmp_path: Path) -> None:
    weights = []
    for every in (0, 16):
        runner = start_run(config(evaluation={"every": every, "episodes": 3}), tmp_path / str(every))
        runner.train()
        weights.append({name: value.tolist() for name, value in runner.algorithm.policy.state_dict().items()})
    assert weights[0] == weights[1]


def test_a_metric_the_environment_does_not_report_is_named(tmp_path: Path) -> None:
    evaluation = {"every": 16, "episodes": 2, "metric": "speed"}
    with pytest.raises(PoiseError, match="reports no speed; set evaluation.metric to 'return'"):
        start_run(config(evaluation=evaluation), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_state_goes_on() -> None:
    first, second = EvaluationCallback(), EvaluationCallback()
    first.best, first.since_best, first.history = 3.0, 2, [{"step": 5}]
    second.load_state(first.state())
    assert second.state() == first.state()


def test_a_summary_in_one_line() -> None:
    fast = Evaluation(0, [85.0, 86.0], [4000, 4000], [True, True], [0.5, 0.7]).summary()
    assert describe(fast) == "return 85.5, success 100%, 0.60 m/s"
    still = Evaluation(0, [85.0, 86.0], [4000, 10], [True, False], [float("nan")] * 2).summary()
    assert describe(still) == "return 85.5, success 50%"
