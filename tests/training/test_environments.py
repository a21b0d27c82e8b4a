"""Vector environments by their id; what cannot be made says why."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from poise.errors import InvalidValueError
from poise.training.comparison import contender
from poise.training.environments import decisions_per_second, make_vector_env, successes_of_step, tells_of_success
from poise.training.evaluation import evaluate


def lacks_a_library() -> Any:
    raise gym.error.DependencyNotInstalled("Box2D is not installed; pip install it")


def lacks_a_module() -> Any:
    import no_such_module  # noqa: F401


def test_what_an_environment_says_of_its_own_arguments_is_told() -> None:
    def unwilling(**arguments: Any) -> Any:
        raise TypeError("g must be a number")

    gym.register("Unwilling-v0", unwilling)
    try:
        with pytest.raises(InvalidValueError, match=r"refuses env\.options \(g, m\): g must be a number$"):
            make_vector_env("Unwilling-v0", 1, {"g": "much", "m": 1})
    finally:
        del gym.registry["Unwilling-v0"]


@pytest.mark.parametrize(
    ("entry_point", "words"),
    [
        (lacks_a_library, "'Lacking-v0' cannot be made: Box2D is not installed; pip install it"),
        (lacks_a_module, "'Lacking-v0' cannot be made: No module named 'no_such_module'"),
    ],
)
def test_what_is_not_installed_is_named(entry_point: Any, words: str) -> None:
    gym.register("Lacking-v0", entry_point)
    try:
        with pytest.raises(InvalidValueError, match=words):
            make_vector_env("Lacking-v0", 1, {})
    finally:
        del gym.registry["Lacking-v0"]


def test_who_names_no_environment_is_told_how() -> None:
    with pytest.raises(InvalidValueError, match="no environment is named: set env.id, or take one .* '--config FILE'"):
        make_vector_env("", 1, {})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("1 / 0", "the module 'made_for_this' of 'made_for_this:CartPole-v1' failed .*: ZeroDivisionError: division"),
        ("import no_such_module", "unknown environment 'made_for_this:CartPole-v1': No module named 'no_such_module'"),
    ],
)
def test_a_module_that_fails_is_named(
    content: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "made_for_this.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InvalidValueError, match=words):
        make_vector_env("made_for_this:CartPole-v1", 1, {})


@pytest.mark.parametrize(
    ("info", "told", "found"),
    [
        ({"success": [True, False, True]}, True, [True, False, True]),
        ({"is_success": [1.0, 0.0, 1.0]}, True, [True, False, True]),
        ({"is_success": [0, 0, 0], "success": [1, 1, 1]}, True, [True, True, True]),  # ours is the one that is meant
        ({}, False, [False, True, True]),
        ({"success": [True, None, None], "_success": [True, False, False]}, True, [True, False, False]),
        ({"is_success": [None, True, None], "_is_success": [False, True, False]}, True, [False, True, False]),
        ({"final_info": {"is_success": [1, 0, 1]}, "_final_info": [True, False, True]}, True, [True, False, True]),
    ],
)
def test_who_succeeds(info: dict[str, Any], told: bool, found: list[bool]) -> None:
    arrays: dict[str, Any] = {name: np.array(value) for name, value in info.items() if isinstance(value, list)}
    if "final_info" in info:
        arrays["final_info"] = {name: np.array(value) for name, value in info["final_info"].items()}
    assert successes_of_step(arrays, np.array([False, True, True])).tolist() == found
    assert tells_of_success(arrays) == told


def test_those_who_do_nothing_fail_where_others_say_so_by_their_own_name() -> None:
    rival = contender("do-nothing")
    made = evaluate(
        rival.agent_for, lambda count: make_vector_env("panda_gym:PandaPush-v3", count, {}, threads=1), 2, 1_000_000
    )
    assert made.successes == [False, False]
    env = make_vector_env("panda_gym:PandaPush-v3", 1, {}, threads=1)
    assert decisions_per_second(env) == 25.0
    env.close()
