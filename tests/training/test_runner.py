import csv
import signal
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import torch
from worlds import Counting

from poise.config import parse
from poise.errors import DivergedError, PoiseError
from poise.training.callbacks import INTERRUPTED, Callback
from poise.training.checkpoint import latest_checkpoint, load_checkpoint
from poise.training.config import RunConfig
from poise.training.runner import Runner
from poise.training.runs import resume_run, start_run

gym.register("Counting-v0", Counting)
SMALL = {"hidden_sizes": [8]}


def config(**changes: Any) -> RunConfig:
    return parse(
        RunConfig,
        {
            "total_steps": 100,
            "env": {"id": "Counting-v0", "num_envs": 4},
            "policy": {"actor": SMALL, "critic": SMALL},
            "algorithm": {"num_steps": 5, "num_epochs": 1, "num_minibatches": 2},
            "checkpoint": {"every": 40, "keep": 2},
            "tensorboard": False,
            "threads": 1,
            "update_threads": 1,
        }
        | changes,
    )


class Watch(Callback):
    """Remembers what it was told; acts on a step if asked to."""

    def __init__(self, act: Any = None, at: int = -1) -> None:
        self.act, self.at = act, at
        self.iterations: list[tuple[int, int]] = []
        self.ended = False

    def on_iteration(self, runner: Runner, before: int) -> None:
        self.iterations.append((before, runner.step))
        if runner.step == self.at:
            self.act(runner)

    def on_end(self, runner: Runner) -> None:
        self.ended = True

    def state(self) -> dict[str, Any]:
        return {"seen": len(self.iterations)}

    def load_state(self, state: Any) -> None:
        self.iterations = [(-1, -1)] * state["seen"]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "progress.csv").open() as file:
        return list(csv.DictReader(file))


def test_reward_weights_follow_their_schedule(tmp_path: Path) -> None:
    seen: dict[int, float] = {}

    class Look(Watch):
        def on_iteration(self, runner: Runner, before: int) -> None:
            seen[runner.step] = runner.env.task.options.rewards.failure  # type: ignore[attr-defined]

    world = {"num_envs": 2, "options": {"cameras": {"enabled": False}, "terrain": {"kind": "flat", "nodes": 5}}}
    weights = {"failure": {"values": [0.0, 10.0]}}
    plan = config(env=world, reward_weights=weights, total_steps=50, checkpoint={"every": 20})
    start_run(plan, tmp_path / "run", [Look()]).train()
    assert seen == {10: 0.0, 20: 2.0, 30: 4.0, 40: 6.0, 50: 8.0}


def test_reward_weights_of_an_environment_without(tmp_path: Path) -> None:
    with pytest.raises(PoiseError, match="this environment's reward has no weights"):
        start_run(config(reward_weights={"failure": {"values": [0.0, 1.0]}}), tmp_path / "run", [])


def test_it_runs_to_the_end(tmp_path: Path) -> None:
    watch = Watch()
    runner = start_run(config(), tmp_path / "run", [watch])
    assert runner.train() == "all steps done"
    assert watch.iterations == [(0, 20), (20, 40), (40, 60), (60, 80), (80, 100)]
    assert watch.ended
    logged = rows(tmp_path / "run")
    assert [row["step"] for row in logged] == ["20", "40", "60", "80", "100"]
    assert logged[-1]["episode/return"] == "3.0"
    assert {"update/policy_loss", "update/value_loss", "update/entropy", "update/approximate_kl"} <= logged[0].keys()
    assert {"update/clip_fraction", "update/explained_variance", "episode/success_rate"} <= logged[0].keys()
    checkpoints = sorted(folder.name for folder in (tmp_path / "run" / "checkpoints").iterdir())
    assert checkpoints == ["step_000000080", "step_000000100"]  # the latest two of 40, 80 and the end


def test_callbacks_can_stop_it(tmp_path: Path) -> None:
    watch = Watch(lambda runner: runner.stop("enough"), at=40)
    runner = start_run(config(), tmp_path / "run", [watch])
    assert runner.train() == "enough"
    assert runner.step == 40
    assert (tmp_path / "run" / "checkpoints" / "step_000000040").is_dir()


def test_a_run_that_was_stopped_for_good_is_over(tmp_path: Path) -> None:
    """Even if it died while it waited for videos: resumed, it is what it would have been."""
    watch = Watch(lambda runner: runner.stop("enough"), at=60)
    start_run(config(), tmp_path / "run", [watch]).train()
    newest = tmp_path / "run" / "checkpoints" / "step_000000060"
    before = repr(load_checkpoint(newest))
    again = resume_run(tmp_path / "run", [Watch()])
    assert again.train() == "enough"
    assert again.step == 60
    assert len(rows(tmp_path / "run")) == 3
    assert repr(load_checkpoint(newest)) == before


def test_ctrl_c_after_the_stop_does_not_undo_it(tmp_path: Path) -> None:
    def both(runner: Runner) -> None:
        runner.stop("enough")
        signal.raise_signal(signal.SIGINT)

    assert start_run(config(), tmp_path / "run", [Watch(both, at=60)]).train() == "enough"


def test_a_training_that_diverges_says_so_and_keeps_what_it_had(tmp_path: Path) -> None:
    def ruin(runner: Runner) -> None:
        next(iter(runner.algorithm.policy.actor.parameters())).data.fill_(float("nan"))

    with pytest.raises(DivergedError, match="the training diverged: .* try a lower algorithm.learning_rate"):
        start_run(config(), tmp_path / "run", [Watch(ruin, at=60)]).train()
    assert latest_checkpoint(tmp_path / "run") == tmp_path / "run" / "checkpoints" / "step_000000040"


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_after_the_iteration_and_are_left_as_they_were(tmp_path: Path, kind: signal.Signals) -> None:
    before = signal.getsignal(kind)
    watch = Watch(lambda runner: signal.raise_signal(kind), at=60)
    runner = start_run(config(checkpoint={"every": 0}), tmp_path / "run", [watch])
    assert runner.train() == "interrupted"
    assert signal.getsignal(kind) is before
    again = resume_run(tmp_path / "run", [watch])
    assert again.step == 60
    assert again.train() == "all steps done"
    assert [row["step"] for row in rows(tmp_path / "run")] == ["20", "40", "60", "80", "100"]


def test_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    def twice(runner: Runner) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        start_run(config(), tmp_path / "run", [Watch(twice, at=20)]).train()


def test_a_checkpoint_holds_what_callbacks_remember(tmp_path: Path) -> None:
    watch = Watch(lambda runner: runner.stop(INTERRUPTED), at=60)
    start_run(config(), tmp_path / "run", [watch]).train()
    later = Watch()
    resume_run(tmp_path / "run", [later]).train()
    assert later.iterations == [(-1, -1)] * 3 + [(60, 80), (80, 100)]


def test_a_finished_run_has_nothing_left_to_do(tmp_path: Path) -> None:
    start_run(config(), tmp_path / "run").train()
    weights = load_checkpoint(tmp_path / "run" / "checkpoints" / "step_000000100")["algorithm"]
    assert resume_run(tmp_path / "run").train() == "all steps done"
    assert len(rows(tmp_path / "run")) == 5
    found = load_checkpoint(tmp_path / "run" / "checkpoints" / "step_000000100")["algorithm"]
    assert repr(found) == repr(weights)


def test_a_checkpoint_of_another_architecture_is_refused_in_one_sentence(tmp_path: Path) -> None:
    start_run(config(), tmp_path / "run").train()
    other = config(policy={"actor": {"hidden_sizes": [9]}, "critic": SMALL})
    runner = start_run(other, tmp_path / "other")
    with pytest.raises(PoiseError, match="does not fit this configuration") as refused:
        runner.resume(tmp_path / "run" / "checkpoints" / "step_000000100")
    assert "\n" not in str(refused.value)


def test_torch_gets_its_threads_back(tmp_path: Path) -> None:
    seen = []
    before = torch.get_num_threads()
    watch = Watch(lambda runner: seen.append(torch.get_num_threads()), at=20)
    start_run(config(), tmp_path / "run", [watch]).train()
    assert seen == [1]
    assert torch.get_num_threads() == before


def test_more_minibatches_than_samples_are_refused() -> None:
    with pytest.raises(PoiseError, match="num_minibatches must be at most the 20 samples"):
        config(algorithm={"num_steps": 5, "num_minibatches": 21})
