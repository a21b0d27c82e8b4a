"""What is shipped fits what is there: options that exist, components that the environment gives, models that act."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poise.config import apply_overrides, load_yaml, parse
from poise.envs import BALLBOT_IDS, BallbotOptions
from poise.imitation.building import build_imitation_policy
from poise.language import DIRECTIONS, Command
from poise.perception import FrozenDepthEncoder
from poise.policies import PolicyAgent, build_policy
from poise.sim.course import FIELDS
from poise.training.cloning_config import CloningRunConfig
from poise.training.comparison import contender
from poise.training.config import RunConfig
from poise.training.environments import make_vector_env, sensing_for
from poise.training.evaluation import evaluate
from poise.training.interface import Interface, Watching
from poise.training.runs import start_run
from poise.training.seeds import PLAY_SEED

ROOT = Path(__file__).parents[1]
SHIPPED = sorted((ROOT / "configs").rglob("*.yaml"))
MUTEXES = [path for path in SHIPPED if path.stem.endswith("mutex")]
DEMONSTRATED = [path for path in SHIPPED if path.stem == "expert"]
IMITATING = [path for path in SHIPPED if "demonstrations" in load_yaml(path)]
TRAINED = [path for path in SHIPPED if path not in MUTEXES + DEMONSTRATED + IMITATING]


@pytest.mark.parametrize("path", TRAINED, ids=lambda path: path.stem)
def test_a_policy_can_be_built(path: Path) -> None:
    config = parse(RunConfig, load_yaml(path), path.name)
    encoder = FrozenDepthEncoder.load(ROOT / "models/ballbot/encoder")
    for options in (config.env.options, config.env.options | config.evaluation.options):
        if config.env.id in BALLBOT_IDS:
            parse(BallbotOptions, options, "env.options")
        env = make_vector_env(config.env.id, 1, options, threads=1)
        sensing = sensing_for(env, config.policy, encoder, config.policy.sensed, 1)
        env.close()
        build_policy(sensing.shapes, env.single_action_space, config.policy)


@pytest.mark.parametrize("path", IMITATING, ids=lambda path: path.stem)
def test_a_policy_that_imitates_fits_its_environment(path: Path) -> None:
    """And its settings are of the environment: it acts there, untrained."""
    config = parse(CloningRunConfig, load_yaml(path), path.name)
    env = make_vector_env(config.env.id, 1, config.env.options | config.evaluation.options, threads=1)
    given = Interface.of(env)
    seen = {name: given.components[name] for name in config.policy.observations}
    policy = build_imitation_policy(seen, given.action_width, config.policy).eval()
    agent = PolicyAgent(policy, Watching(env, given.model_copy(update={"components": seen})))
    observation, _ = env.reset(seed=0)
    env.step(agent.act(observation))
    env.close()


@pytest.mark.parametrize("path", sorted((ROOT / "configs/ballbot/fusion").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_way_of_fusing_learns_as_it_is_shipped(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An iteration of a few steps, of a configuration that is named without any other setting."""
    monkeypatch.chdir(ROOT)
    few = {"num_steps": "2", "num_epochs": "1", "num_minibatches": "2"}
    short = {f"algorithm.{name}": value for name, value in few.items()} | {
        "total_steps": "4",
        "env.num_envs": "2",
        "evaluation.every": "0",
        "checkpoint.every": "0",
        "tensorboard": "false",
        "threads": "1",
    }
    config = parse(RunConfig, apply_overrides(load_yaml(path), short), path.name)
    runner = start_run(config, tmp_path / "run")
    before = [value.clone() for value in runner.algorithm.policy.actor.parameters()]
    runner.train()
    assert runner.step == 4
    assert any(
        (value != old).any() for value, old in zip(runner.algorithm.policy.actor.parameters(), before, strict=True)
    )
    assert config.policy.fusion is not None
    assert config.policy.fusion.name == path.stem


def test_there_are_some() -> None:
    assert len(TRAINED) > 5
    assert len(MUTEXES) == 1


def test_specialists_take_turns_where_the_course_is_judged() -> None:
    mutex, course = (
        parse(RunConfig, load_yaml(ROOT / f"configs/ballbot/{name}.yaml"), name) for name in ("course_mutex", "course")
    )
    judged = course.env.options | course.evaluation.options
    shared = mutex.env.options.keys() - {"cameras"}  # which nobody there has
    assert {name: mutex.env.options[name] for name in shared} == {name: judged[name] for name in shared}
    assert mutex.policy.mutex is not None
    assert tuple(mutex.policy.mutex.sub_policies) == FIELDS


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_its_first_lines_tell_how_to_use_it(path: Path) -> None:
    """How to train it, or of finished policies put together how to measure it, of an expert how to record it."""
    comment = [line for line in path.read_text().splitlines() if line.startswith("#")]
    verb = "evaluate" if path in MUTEXES else "demos" if path in DEMONSTRATED else "train"
    assert any(f"poise {verb} {path.relative_to(ROOT)}" in line for line in comment)


def test_what_is_filmed_by_default_is_no_exception() -> None:
    """`PLAY_SEED` was the median of a hundred episodes: it shows a robot that travels and does not fall."""
    rival = contender(str(ROOT / "models/ballbot"))
    outcome = evaluate(
        rival.agent_for, lambda count: make_vector_env(rival.config.env.id, count, rival.env_options), 1, PLAY_SEED
    )
    assert outcome.successes == [True]
    assert outcome.returns[0] == pytest.approx(88.8, abs=2.0)


@pytest.mark.parametrize("folder", sorted((ROOT / "models").iterdir()), ids=lambda path: path.name)
def test_a_model_does_its_work(folder: Path) -> None:
    """Two seconds on four terrains, where doing nothing ends in half a second."""
    rival = contender(str(folder), changes={"env.options.max_steps": "1000"})
    outcome = evaluate(
        rival.agent_for, lambda count: make_vector_env(rival.config.env.id, count, rival.env_options), 4, seed=50
    )
    assert all(outcome.successes)
    assert min(outcome.speeds) > 0.02
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 2_000_000
    assert "/tmp" not in (folder / "config.yaml").read_text()


def test_what_is_commanded_is_obeyed() -> None:
    """Eight robots, each told another direction, after four seconds; and then all are told to stand."""
    rival = contender(str(ROOT / "models/velocity"))
    env: Any = make_vector_env(rival.config.env.id, len(DIRECTIONS), rival.env_options)
    agent, (observation, _) = rival.agent_for(env), env.reset(seed=5_000_000)
    places = []
    for text in ([f"go {direction} quickly" for direction in DIRECTIONS], "stop"):
        env.unwrapped.set_instruction(text)
        for _ in range(200):
            observation, _, terminated, _, info = env.step(agent.act(observation))
            assert not terminated.any()
            places.append(info["position"][:, :2])
    env.close()
    travelled = places[199] - places[0]
    headings = np.array([Command(direction).heading for direction in DIRECTIONS])
    distances = np.linalg.norm(travelled, axis=1)
    assert (distances > 0.7).all()  # of 0.3 m/s for 4 s
    assert ((travelled * headings).sum(axis=1) > np.cos(np.radians(30.0)) * distances).all()
    assert (np.linalg.norm(places[399] - places[299], axis=1) < 0.2).all()  # in two seconds
