"""A policy under cameras that fail."""

import re
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from poise.config import parse
from poise.envs import BallbotOptions
from poise.envs.push.options import PushOptions
from poise.errors import InvalidValueError
from poise.policies.baselines import do_nothing
from poise.training.comparison import Contender, contender, measure
from poise.training.config import EnvConfig, RunConfig
from poise.training.evaluation import Evaluation
from poise.training.failures import CONDITIONS, PUSH_CONDITIONS, failing, failures_table

SHIPPED = "models/ballbot"
SHORT = {"env.options.max_steps": "200", "env.options.terrain.nodes": "65"}


def test_every_condition_is_one_that_the_environment_knows() -> None:
    policy = contender(SHIPPED, changes=SHORT)
    rivals = failing(policy)
    assert [rival.name for rival in rivals] == list(CONDITIONS)
    well = parse(BallbotOptions, policy.env_options)
    found = [parse(BallbotOptions, rival.env_options) for rival in rivals]
    assert all(options.max_steps == 200 for options in found)  # what was asked for stays
    assert found[0] == well
    assert len({options.cameras.model_dump_json() for options in found}) == len(CONDITIONS)


def test_what_befell_cameras_in_training_is_not_there_as_well() -> None:
    trained = {
        "env.options.cameras.lag": "0.05",
        "env.options.cameras.faults.dropout": "{share: 0.3, onset: [0, 5], duration: 2}",
        "env.options.cameras.faults.noise.share": "0.1",
    }
    ours, theirs = (failing(contender(SHIPPED, changes=SHORT | more)) for more in ({}, trained))
    assert [rival.env_options["cameras"] for rival in ours] == [rival.env_options["cameras"] for rival in theirs]
    dead = parse(BallbotOptions, next(rival for rival in theirs if rival.name == "rgbd_0 dead").env_options).cameras
    assert dead.faults.dropout.model_dump() == {
        "share": 1.0,
        "cameras": ("rgbd_0",),
        "onset": (0.0, 0.0),
        "duration": None,
    }
    assert (dead.faults.noise.share, dead.lag) == (0.0, 0.0)


def test_what_befalls_cameras_matters_to_a_policy_that_sees() -> None:
    policy = contender(SHIPPED, changes=SHORT)
    dead = next(rival for rival in failing(policy) if rival.name == "both dead")
    assert measure(policy, 2, 5).returns != measure(dead, 2, 5).returns


PUSHED = Contender("pusher", do_nothing, RunConfig(env=EnvConfig(id="poise/Push-v0")))


def test_pictures_of_the_push_task_are_corrupted_in_ways_that_it_knows() -> None:
    changes = {"env.options.corruptions.noise": "0.3", "env.options.max_steps": "7"}
    rivals = failing(replace(PUSHED, changes=changes))
    assert [rival.name for rival in rivals] == list(PUSH_CONDITIONS)
    found = [parse(PushOptions, rival.env_options) for rival in rivals]
    assert found[0] == PushOptions(max_steps=7), "what was asked for stays, but for what corrupts"
    assert len({options.corruptions.model_dump_json() for options in found}) == len(PUSH_CONDITIONS)
    with pytest.raises(InvalidValueError, match="has no cameras that could fail"):
        failing(replace(PUSHED, changes={"env.options.camera.enabled": "false"}))


def test_a_hidden_square_is_as_wide_as_is_told() -> None:
    rivals = [rival for rival in failing(PUSHED) if "hidden" in rival.name]
    hidden = [parse(PushOptions, rival.env_options).corruptions.occlusion for rival in rivals]
    assert [rival.name for rival in rivals] == [f"a square hidden, {100 * side:.0f} % wide" for side in hidden]


def test_the_table_of_the_push_task_tells_what_is_kept() -> None:
    evaluations = {
        name: Evaluation(0, [-20.0] * 10, 10 * [20], [True] * good + [False] * (10 - good), [0.0] * 10, [0.1] * 10)
        for name, good in (("all well", 8), ("noise of 5 %", 4))
    }
    out = StringIO()
    Console(file=out, width=80).print(failures_table(evaluations, PUSHED))
    rows = [re.split(r"\s{2,}", line.strip()) for line in out.getvalue().splitlines()]
    assert ["all well", "80", "100", "20.0", "0.100"] in rows
    assert ["noise of 5 %", "40", "50", "20.0", "0.100"] in rows
    assert max(map(len, out.getvalue().splitlines())) <= 80


@pytest.mark.parametrize("blind", [{"env.options.cameras.enabled": "false"}, None])
def test_who_is_blind_cannot_be_blinded(blind: dict[str, str] | None) -> None:
    with pytest.raises(InvalidValueError, match="has no cameras that could fail"):
        failing(contender("lqr" if blind is None else SHIPPED, changes=blind))


def test_the_table_tells_what_is_kept_and_who_lasted_until_a_failure_can_come() -> None:
    evaluations = {
        name: Evaluation(0, 50 * returns, 50 * lengths, 50 * [True, False], 100 * [0.1])
        for name, returns, lengths in (
            ("all well", [80.0, 84.0], [4000, 4000]),
            ("rgbd_0 fails, 1 to 5 s", [40.0, 42.0], [501, 500]),  # of 2 ms each: the second ends with the first 1 s
        )
    }
    out = StringIO()
    Console(file=out, width=80).print(failures_table(evaluations, contender(SHIPPED)))
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    rows = {line[:25].strip(): line[25:].split() for line in text.splitlines()}
    assert rows["all well"] == ["82.0", "100", "50", "100", "0.100"]
    assert rows["rgbd_0 fails, 1 to 5 s"] == ["41.0", "50", "50", "50", "0.100"]
