"""DAgger: an expert labels what the learner visits, as many decisions as asked for, and runs go on bit for bit."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray

from poise.errors import InvalidValueError, MissingFileError, PoiseError
from poise.imitation import Demonstrations
from poise.policies.baselines import BASELINES
from poise.training import runs
from poise.training.cloning_config import CloningRunConfig
from poise.training.logging import read_progress
from poise.training.recording import Mixed
from poise.training.runs import resume_run, start_run
from poise.training.trained import load_trained
from tests.training import test_cloner
from tests.training.chase import expert
from tests.training.test_cloner import demonstrate


class ChaseExpert:
    def act(self, observation: Any) -> NDArray[Any]:
        return expert(observation["place"])

    def reset(self, dones: NDArray[np.bool_]) -> None:
        pass


@pytest.fixture(autouse=True)
def an_expert(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BASELINES, "chase", lambda env: ChaseExpert())


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demonstrate(tmp_path_factory.mktemp("few") / "chase", episodes=4)


def config(few: Path, decisions: int = 100, total_steps: int = 6, **asking: Any) -> CloningRunConfig:
    dagger = {"expert": "chase", "every": 2, "episodes": 5, "decisions": decisions, "mixing": 0.5} | asking
    return test_cloner.config(few, total_steps=total_steps, dagger=dagger)


def test_as_many_decisions_are_labelled_as_asked_for_and_by_the_expert(few: Path, tmp_path: Path) -> None:
    run = start_run(config(few, decisions=50), tmp_path / "run")
    before = len(run.corpus)  # type: ignore[attr-defined]
    counts = []
    run.begin()
    for _ in range(6):
        counts.append(run.iterate()["update/decisions"])
    assert counts[:2] == [before, before]
    assert before < counts[2] == counts[3] <= counts[4] == 50
    kept = Demonstrations(tmp_path / "run" / "demonstrations")
    asked = kept.load()
    assert sum(len(one.actions) for one in asked) == 50 - before
    for one in asked:
        np.testing.assert_allclose(one.actions, expert(one.observation["place"]), atol=1e-6)
    moved = np.concatenate([np.diff(one.observation["place"], axis=0) / 0.3 for one in asked])
    told = np.concatenate([one.actions[:-1] for one in asked])
    by_expert = (np.abs(moved - told) < 1e-5).all(axis=1)
    assert 0.2 < by_expert.mean() < 0.9, "the learner acts, and sometimes the expert"


def test_every_round_is_told_of(few: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start_run(config(few, decisions=50), tmp_path / "run").train()
    told = [line for line in capsys.readouterr().out.splitlines() if "asked the expert" in line]
    counts = read_progress(tmp_path / "run")["update/decisions"]
    assert told == [
        f"epoch 2: asked the expert, round 1: {counts[2]:.0f} of 50 decisions are labelled",
        "epoch 4: asked the expert, round 2: 50 of 50 decisions are labelled",
    ]


@pytest.mark.parametrize("lost", ["nothing", "the checkpoint"])
def test_a_run_that_goes_on_asks_the_same(lost: str, few: Path, tmp_path: Path) -> None:
    """Without its checkpoint it begins again, and finds the answers it got already in its folder."""
    plan = config(few)
    start_run(plan, tmp_path / "whole").train()
    start_run(plan.model_copy(update={"stop_at": 3}), tmp_path / "parts").train()
    if lost == "the checkpoint":
        shutil.rmtree(tmp_path / "parts/checkpoints")
    resume_run(tmp_path / "parts", config=plan).train()
    whole, parts = (load_trained(tmp_path / name).state for name in ("whole", "parts"))
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("lost", ["nothing", "the checkpoint"])
def test_a_run_does_not_go_on_without_all_that_it_asked(lost: str, few: Path, tmp_path: Path) -> None:
    """Not even from its beginning: it would ask the second time on another ground."""
    run, plan = tmp_path / "run", config(few)
    start_run(plan.model_copy(update={"stop_at": 3}), run).train()
    if lost == "the checkpoint":
        shutil.rmtree(run / "checkpoints")
    (data,) = (run / "demonstrations/data").glob("*/*.parquet")
    table = pq.read_table(data)
    pq.write_table(table.slice(1), data)
    words = "what the expert was asked in round 1 is damaged .*, expected .* start another run"
    with pytest.raises(PoiseError, match=words):
        resume_run(run, config=plan).train()


def test_what_was_asked_is_part_of_what_a_run_goes_on_from(few: Path, tmp_path: Path) -> None:
    run, other, plan = tmp_path / "run", tmp_path / "other", config(few, total_steps=8)
    for seed, folder in enumerate((run, other)):
        start_run(plan.model_copy(update={"stop_at": 5, "seed": seed}), folder).train()
    shutil.rmtree(run / "demonstrations")
    shutil.copytree(other / "demonstrations", run / "demonstrations")
    with pytest.raises(PoiseError, match="asked in round 1 is damaged or has changed .*its episodes are others now"):
        resume_run(run, config=plan)
    shutil.rmtree(run / "demonstrations")
    with pytest.raises(PoiseError, match="asked in round 1 is damaged or has changed"):
        resume_run(run, config=plan)


def test_what_a_run_keeps_is_on_the_map_of_run_folders(few: Path, tmp_path: Path) -> None:
    start_run(config(few, total_steps=3), tmp_path / "run").train()
    told = str(runs.__doc__)
    assert (tmp_path / "run/demonstrations").exists()
    assert [path.name for path in (tmp_path / "run").iterdir() if path.name not in told] == []


@pytest.mark.parametrize(
    ("asking", "words"),
    [
        ({"decisions": 3}, "dagger.decisions is 3, but the demonstrations to learn from have .* already"),
        ({"every": 6}, r"dagger.every is 6, but there are 6 epochs \(total_steps\)"),
    ],
)
def test_an_expert_that_would_never_be_asked(asking: dict[str, int], words: str, few: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match=f"{words}.* would never be asked"):
        start_run(config(few, **asking), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_who_acts_is_drawn_for_each_decision() -> None:
    class Learner:
        def act(self, observation: Any) -> NDArray[Any]:
            return np.ones((1000, 2))

        def reset(self, dones: NDArray[np.bool_]) -> None:
            self.forgot = dones

    learner = Learner()
    driver = Mixed(learner, 0.3, np.random.default_rng(0))
    done = driver.drive({}, np.zeros((1000, 2)))
    assert (done[:, 0] == done[:, 1]).all()
    assert abs((done[:, 0] == 0).mean() - 0.3) < 0.05
    over = np.ones(1000, np.bool_)
    driver.reset(over)
    assert learner.forgot is over


@pytest.mark.parametrize(
    ("who", "words", "error"),
    [
        ("exper", "there is no policy 'exper'; did you mean 'expert'", MissingFileError),
        ("pid", "ballbots", InvalidValueError),
    ],
)
def test_an_expert_that_cannot_be_asked(
    who: str, words: str, error: type[PoiseError], few: Path, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        start_run(config(few, expert=who), tmp_path / "run")
    assert not (tmp_path / "run").exists()
