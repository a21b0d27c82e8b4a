"""Finished runs take turns: assembled by path from a configuration, measured by the usual command."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poise.config import parse, save_yaml
from poise.errors import InvalidValueError, MissingFileError
from poise.training.assembled import assemble
from poise.training.comparison import contender, measure
from poise.training.config import RunConfig
from poise.training.environments import make_vector_env
from poise.training.evaluation import evaluate
from poise.training.runs import start_run
from poise.training.trained import load_policy

SMALL = {"hidden_sizes": [16]}
COURSE = {"kind": "course", "nodes": 65, "height": 0.3, "course": {"start": 0.05, "length": 0.2}}
OPTIONS = {
    "cameras": {"enabled": False},
    "terrain": COURSE,
    "field_ahead": {"enabled": True, "distance": 0.1},
    "decimation": 5,
    "max_steps": 100,
}
FIELDS = ("flat", "rough", "up", "down")


def finished(folder: Path, seed: int, *senses: str, **options: Any) -> Path:
    """A run that learned next to nothing."""
    whole = {
        "seed": seed,
        "tensorboard": False,
        "threads": 1,
        "total_steps": 64,
        "env": {"num_envs": 4, "options": OPTIONS | options},
        "policy": {"actor": SMALL, "critic": SMALL, "observations": ["orientation", "vel", *senses]},
        "algorithm": {"num_steps": 16},
    }
    start_run(parse(RunConfig, whole), folder).train()
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    return {name: finished(folder / name, seed) for seed, name in enumerate(FIELDS)}


def whole(runs: dict[str, Path], settings: dict[str, Any] | None = None, **options: Any) -> RunConfig:
    mutex = {"sub_policies": {name: str(path) for name, path in runs.items()}, **(settings or {})}
    return parse(RunConfig, {"env": {"options": OPTIONS | options}, "policy": {"mutex": mutex}})


def make_envs(config: RunConfig, count: int) -> Any:
    return make_vector_env(config.env.id, count, config.env.options, 1)


def test_each_field_is_crossed_by_its_own_policy(runs: dict[str, Path]) -> None:
    config = whole(runs)
    env = make_vector_env(config.env.id, 16, config.env.options, 1)
    agent = assemble(config).agent_for(env)
    alone = [load_policy(runs[name]).agent_for(env) for name in FIELDS]
    observation, _ = env.reset(seed=1)
    crossed = set()
    for _ in range(15):
        fields = observation["engaging_block"].argmax(axis=1)
        actions = agent.act(observation)
        each = np.stack([one.act(observation) for one in alone])
        np.testing.assert_allclose(actions, each[fields, np.arange(16)], atol=1e-6)
        crossed |= set(fields.tolist())
        observation, *_ = env.step(np.clip(actions + np.array([0.0, 0.5, -0.5]), -1.0, 1.0))
    assert len(crossed) > 2
    env.close()


@pytest.mark.parametrize("names", [("up", "down", "flat", "rough"), ("flat", "rough", "upp", "down"), FIELDS[:3]])
def test_each_field_has_its_policy_by_its_name_and_in_its_place(runs: dict[str, Path], names: tuple[str, ...]) -> None:
    config = whole(dict.fromkeys(names, runs["flat"]))
    env = make_vector_env(config.env.id, 1, config.env.options, 1)
    with pytest.raises(InvalidValueError, match=f"in this order, flat, rough, up, down; got {', '.join(names)}"):
        assemble(config).agent_for(env)
    env.close()


def test_who_looks_at_what_is_not_there_is_named(runs: dict[str, Path], tmp_path: Path) -> None:
    config = whole(runs | {"up": finished(tmp_path / "up", 0, "goal", goal={"observed": True})})
    env = make_vector_env(config.env.id, 1, config.env.options, 1)
    with pytest.raises(InvalidValueError, match="the sub-policy 'up' looks at 'goal', which the environment does not"):
        assemble(config).agent_for(env)
    env.close()


def test_it_is_measured_by_the_usual_command(runs: dict[str, Path], tmp_path: Path) -> None:
    save_yaml(tmp_path / "mutex.yaml", whole(runs))
    rival = contender(str(tmp_path / "mutex.yaml"))
    assert rival.name == "mutex"
    assert len(measure(rival, 3, 5).returns) == 3


def test_up_and_down_may_be_one_field_that_says_which(runs: dict[str, Path]) -> None:
    apart = whole(runs)
    signed = whole(runs, {"kind": "climb"}, field_ahead=OPTIONS["field_ahead"] | {"signed": True})
    outcomes = [evaluate(assemble(config).agent_for, partial(make_envs, config), 8, 5) for config in (apart, signed)]
    np.testing.assert_array_equal(outcomes[0].returns, outcomes[1].returns)


def test_commands_are_drawn_from_the_seed(tmp_path: Path) -> None:
    goal = {"goal": {"observed": True}}
    runs = {"flat": finished(tmp_path / "flat", 0, "goal", **goal)}
    settings = {"command": "goal", "selector": "actions", "cmd_vel_mapping": {"flat": [[-1.0, 1.0], [-1.0, 1.0]]}}
    runs |= {"rough": runs["flat"], "up": runs["flat"]}  # the selector has three numbers
    save_yaml(tmp_path / "mutex.yaml", whole(runs, settings, **goal))
    one, same = (measure(contender(str(tmp_path / "mutex.yaml")), 3, 5) for _ in range(2))
    np.testing.assert_array_equal(one.returns, same.returns)


def test_policies_of_other_environments_take_turns_too(tmp_path: Path) -> None:
    world = {"id": "Pendulum-v1", "num_envs": 2, "options": {"g": 9.81}}
    learned = {"policy": {"actor": SMALL, "critic": SMALL}, "algorithm": {"num_steps": 16}, "tensorboard": False}
    whole = parse(RunConfig, {"total_steps": 32, "env": world, **learned})
    start_run(whole, tmp_path / "run").train()
    mutex = {
        "sub_policies": dict.fromkeys(("left", "right", "still"), str(tmp_path / "run")),
        "selector": "observation",
    }
    policy = assemble(parse(RunConfig, {"env": world, "policy": {"mutex": mutex}}))
    env = make_vector_env("Pendulum-v1", 2, {"g": 9.81}, 1)
    observation, _ = env.reset(seed=1)
    alone = load_policy(tmp_path / "run").agent_for(env).act(observation)
    np.testing.assert_allclose(policy.agent_for(env).act(observation), alone, rtol=1e-6)
    env.close()


def test_what_does_not_go_together_is_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="nothing to train"):
        start_run(whole(runs), tmp_path / "run")
    with pytest.raises(MissingFileError, match="nowhere does not exist"):
        assemble(whole(runs | {"up": tmp_path / "nowhere"}))
    with pytest.raises(InvalidValueError, match="policy.mutex must name"):
        assemble(parse(RunConfig, {}))
    for options, words in (
        ({"decimation": 10}, "'flat' decides every 10 ms, but the environment wants a decision every 20 ms"),
        ({"action_increment": 0.5}, "'flat' and the environment differ in what actions do"),
        (
            {"field_ahead": OPTIONS["field_ahead"] | {"signed": True}},
            "kind is 'field', which needs .*signed to be false",
        ),
        ({"mutex": {"kind": "climb"}}, "kind is 'climb', which needs env.options.field_ahead.signed to be true"),
        ({"field_ahead": {"enabled": False}}, "holds no 'engaging_block', which"),
        ({"action_increment": 0.2, "mutex": {"last_action": "actions"}}, "last_action rescales 'actions', but with"),
    ):
        config = whole(runs, options.pop("mutex", None), **options)
        env = make_vector_env(config.env.id, 2, config.env.options, 1)
        with pytest.raises(InvalidValueError, match=words):
            assemble(config).agent_for(env)
        env.close()
