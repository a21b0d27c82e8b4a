"""A policy under cameras that fail."""

import pytest

from poise.config import parse
from poise.envs import BallbotOptions
from poise.errors import InvalidValueError
from poise.training.comparison import contender, measure
from poise.training.failures import CONDITIONS, failing

SHIPPED = "models/ballbot"
SHORT = {"env.options.max_steps": "200", "env.options.terrain.nodes": "65"}


def test_every_condition_is_one_that_the_environment_knows() -> None:
    policy = contender(SHIPPED, changes=SHORT)
    rivals = failing(policy)
    assert [rival.name for rival in rivals] == list(CONDITIONS)
    well = parse(BallbotOptions, policy.env_options).cameras
    found = [parse(BallbotOptions, rival.env_options) for rival in rivals]
    assert all(options.max_steps == 200 for options in found)  # what was asked for stays
    cameras = [options.cameras for options in found]
    assert len({options.model_dump_json() for options in [well, *cameras]}) == 1 + len(CONDITIONS)


def test_what_befalls_cameras_matters_to_a_policy_that_sees() -> None:
    policy = contender(SHIPPED, changes=SHORT)
    dead = next(rival for rival in failing(policy) if rival.name == "both dead")
    assert measure(policy, 2, 5).returns != measure(dead, 2, 5).returns


@pytest.mark.parametrize("blind", [{"env.options.cameras.enabled": "false"}, None])
def test_who_is_blind_cannot_be_blinded(blind: dict[str, str] | None) -> None:
    with pytest.raises(InvalidValueError, match="has no cameras that could fail"):
        failing(contender("lqr" if blind is None else SHIPPED, changes=blind))
