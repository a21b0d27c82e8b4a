import math
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from poise.config import parse
from poise.errors import InvalidValueError
from poise.policies.baselines import BASELINES, do_nothing
from poise.training.comparison import Contender, baselines_for, comparison_table, contender, measure
from poise.training.config import RunConfig
from poise.training.evaluation import Evaluation


def test_the_table_is_whole_in_80_columns() -> None:
    rng, count = np.random.default_rng(0), 100
    evaluations = {
        name: Evaluation(
            seed=1_000_000,
            returns=rng.normal(mean, spread, count).tolist(),
            lengths=rng.integers(1, 4000, count).tolist(),
            successes=(rng.random(count) < share).tolist(),
            speeds=rng.normal(-0.05, spread / 100, count).tolist(),
        )
        for name, mean, spread, share in (
            ("models/ballbot", 86.9, 5.0, 0.97),
            ("do-nothing", -34.5, 9.0, 0.5),
            ("runs/a_long_name_of_a_folder/that_lies_deep", 50.0, 10.0, 1.0),
        )
    }
    out = StringIO()
    Console(file=out, width=80).print(comparison_table(evaluations))
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "models/ballbot " in text
    for evaluation in evaluations.values():
        summary = evaluation.summary()
        summary["success_rate"] = {name: 100.0 * share for name, share in summary["success_rate"].items()}
        for name, form in (("return", "{:.1f}"), ("success_rate", "{:.1f}"), ("length", "{:.0f}"), ("speed", "{:.3f}")):
            interval = summary[name]
            assert form.format(interval["mean"]) in text
            assert f"{form.format(interval['low'])} to {form.format(interval['high'])}" in text


def test_no_distance_is_less_than_none() -> None:
    pushed = Evaluation(0, [-1.0] * 3, [9] * 3, [True] * 3, [math.nan] * 3, [0.01, 0.01, 0.3])
    out = StringIO()
    Console(file=out, width=80).print(comparison_table({"it": pushed}))
    assert "0.000 to 0.523" in out.getvalue()  # mean 0.107, t(2) = 4.303, standard deviation 0.167: 0.107 -+ 0.416


@pytest.mark.parametrize(
    ("env_id", "names"),
    [
        ("CartPole-v1", []),
        ("Pendulum-v1", ["do-nothing", "random"]),
        ("poise/Ballbot-v0", ["do-nothing", "random", "pid", "lqr"]),
    ],
)
def test_only_those_baselines_are_offered_that_fit(env_id: str, names: list[str]) -> None:
    rival = Contender("trained", do_nothing, parse(RunConfig, {"env": {"id": env_id}}))
    assert [other.name for other in baselines_for(rival)] == names


def test_a_policy_that_does_not_fit_is_refused_before_a_bar_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    misfit = Contender("pid", BASELINES["pid"], parse(RunConfig, {"env": {"id": "Pendulum-v1"}}))
    with pytest.raises(InvalidValueError, match="ballbots only"):
        measure(misfit, 2, 0)
    assert capsys.readouterr() == ("", "")
    able = Contender("still", do_nothing, misfit.config)
    assert len(measure(able, 2, 0).returns) == 2
    assert "still: 2/2 episodes (100 %)" in capsys.readouterr().out


def test_the_world_may_be_changed() -> None:
    rival = contender("pid", changes={"env.options.terrain.height": "0.2", "env.options.max_steps": "100"})
    assert rival.env_options == {"terrain": {"height": 0.2}, "max_steps": 100}
    assert all(other.env_options == rival.env_options for other in baselines_for(rival))
    with pytest.raises(InvalidValueError, match="unknown setting 'seed'; .* begins with 'env.options.'"):
        contender("pid", changes={"seed": "3"})
