import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_runs import SMALL, config

from poise.config import parse
from poise.errors import MissingFileError, PoiseError
from poise.nn.weights import first_difference
from poise.perception.autoencoder import TinyAutoencoder
from poise.perception.encoder_files import save_encoder
from poise.policies import PolicyConfig
from poise.training.callbacks import save_policy
from poise.training.comparison import contender, measure
from poise.training.environments import make_vector_env
from poise.training.launch import launch
from poise.training.runs import resume_run, start_run
from poise.training.trained import load_policy, read_config

OPTIONS = {"cameras": {"height": 8, "width": 8}, "terrain": {"nodes": 33}}


def test_a_run_folder_holds_its_resolved_configuration(tmp_path: Path) -> None:
    start_run(config(seed=7), tmp_path / "run")
    assert read_config(tmp_path / "run") == config(seed=7)


def test_a_run_is_not_overwritten(tmp_path: Path) -> None:
    start_run(config(), tmp_path / "run")
    with pytest.raises(PoiseError, match="already holds a run; go on with '--resume"):
        start_run(config(seed=1), tmp_path / "run")
    assert read_config(tmp_path / "run").seed == 0


def test_a_run_does_not_move_in_with_others(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("keep me")
    for place in (tmp_path, tmp_path / "letter.txt"):
        with pytest.raises(PoiseError, match="is not empty, and holds no run; choose another '--out'"):
            start_run(config(), place)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_an_environment_of_somebody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "import gymnasium as gym", "gym.register('Theirs-v0', 'gymnasium.envs.classic_control:CartPoleEnv')"
    (tmp_path / "their_package.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    theirs = config(env={"id": "their_package:Theirs-v0", "num_envs": 2})
    start_run(theirs, tmp_path / "run").train()
    assert load_policy(tmp_path / "run").config.env.id == "their_package:Theirs-v0"
    with pytest.raises(PoiseError, match="unknown environment 'nowhere:Theirs-v0': No module named 'nowhere'"):
        start_run(config(env={"id": "nowhere:Theirs-v0"}), tmp_path / "other")


def test_the_guides_own_mixin_is_trained_resumed_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guide = (Path(__file__).parents[2] / "docs/policies/index.md").read_text()
    examples = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    (tmp_path / "codes.py").write_text(next(each for each in examples if "class CodeMixin" in each))
    monkeypatch.syspath_prepend(tmp_path)
    world = {"num_envs": 2, "options": {"cameras": {"enabled": False}, "terrain": {"nodes": 33}}}
    policy = {"actor": SMALL, "critic": SMALL, "mixins": ["codes:CodeMixin"], "memory": {"hidden_size": 8}}
    coded = config(env=world, policy=policy, algorithm={"num_steps": 8, "num_minibatches": 1})
    start_run(coded, tmp_path / "straight").train()
    start_run(coded.model_copy(update={"stop_at": 16}), tmp_path / "run").train()
    launch(None, {"stop_at": "null"}, resume=tmp_path / "run").train()
    one, other = (load_policy(tmp_path / name).state for name in ("run", "straight"))
    assert "code.weight" in one
    assert_same_weights(one, other)
    assert "update/code_loss" in (tmp_path / "run" / "progress.csv").read_text()
    estimated = {"observations": ["orientation"], "targets": ["vel"], "replace_prob": 1.0}
    both = coded.model_copy(update={"policy": parse(PolicyConfig, policy | {"estimator": estimated})})
    start_run(both, tmp_path / "both").train()  # the code is of the estimate, which stands for the velocity


@pytest.mark.parametrize(
    ("mixin", "words"),
    [
        ("nowhere:Mixin", "cannot import 'nowhere' of 'nowhere:Mixin'"),
        ("poise.policies:EstimatorMixn", "no ActorCritic called 'EstimatorMixn'; did you mean 'EstimatorMixin'"),
        ("poise.errors:PoiseError", "no ActorCritic called 'PoiseError'; it has none"),
        ("SquaresMixin", "policy.mixins must each be 'module:Class', got 'SquaresMixin'"),
    ],
)
def test_a_mixin_that_is_not_there(mixin: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(PoiseError, match=words):
        start_run(config(policy={"mixins": [mixin]}), tmp_path / "run")


def test_a_refused_configuration_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(PoiseError, match="unknown environment 'CartPole-v9'"):
        start_run(config(env={"id": "CartPole-v9"}), tmp_path / "run")
    with pytest.raises(PoiseError, match="no encoder"):
        start_run(config(policy={"encoder": str(tmp_path / "nowhere")}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_policy_is_the_best_or_else_the_latest(tmp_path: Path) -> None:
    runner = start_run(config(), tmp_path / "run")
    runner.train()
    latest = load_policy(tmp_path / "run")
    assert latest.source.name == "step_000000032"
    assert_same_weights(latest.state, runner.algorithm.policy.state_dict())
    with torch.no_grad():
        runner.algorithm.policy.critic_output.bias.add_(1.0)
    save_policy(runner)
    assert load_policy(tmp_path / "run").source.name == "best"
    assert_same_weights(load_policy(tmp_path / "run").state, runner.algorithm.policy.state_dict())
    assert_same_weights(load_policy(tmp_path / "run" / "checkpoints" / "step_000000032").state, latest.state)


def test_a_damaged_best_is_not_passed_over(tmp_path: Path) -> None:
    runner = start_run(config(), tmp_path / "run")
    runner.train()
    save_policy(runner)
    (tmp_path / "run" / "best" / "manifest.json").unlink()
    with pytest.raises(MissingFileError, match="best is no checkpoint of poise, or an incomplete one"):
        load_policy(tmp_path / "run")


def test_a_run_may_begin_with_another_ones_policy_and_goes_on_without_it(tmp_path: Path) -> None:
    world = {"num_envs": 2, "options": {"cameras": {"enabled": False}, "terrain": {"nodes": 33}}}
    start_run(config(seed=1, env=world), tmp_path / "first").train()
    given = load_policy(tmp_path / "first").state
    assert given["value_scale.started"]  # what its critic says, it says in these units
    ewma = {"num_steps": 8, "num_minibatches": 1, "ewma": {}}
    further = config(env=world, initial_policy=str(tmp_path / "first"), algorithm=ewma, checkpoint={"every": 16})
    runner = start_run(further, tmp_path / "straight")
    assert_same_weights(runner.algorithm.policy.state_dict(), given)
    assert_same_weights(runner.algorithm.acting_policy.state_dict(), given)
    runner.train()
    assert not torch.equal(runner.algorithm.policy.state_dict()["actor.model.0.weight"], given["actor.model.0.weight"])

    start_run(further.model_copy(update={"stop_at": 16}), tmp_path / "run").train()
    shutil.rmtree(tmp_path / "first")
    launch(None, {"stop_at": "null"}, resume=tmp_path / "run").train()  # to the end, as if it had not stopped
    assert read_config(tmp_path / "run") == further
    one, other = (load_policy(tmp_path / name).state for name in ("run", "straight"))
    assert_same_weights(one, other)


def test_what_estimates_stand_for_is_not_sensed_where_it_acts(tmp_path: Path) -> None:
    blind = {"cameras": {"enabled": False}, "terrain": {"nodes": 33}, "max_steps": 40}
    adapts = {"observations": ["orientation", "vel"], "targets": ["heights"], "replace_prob": 1.0}
    world = {"num_envs": 2, "options": blind | {"heights": {"enabled": True, "size": 3}}}
    start_run(config(env=world, policy={"actor": SMALL, "critic": SMALL, "adaptor": adapts}), tmp_path / "run").train()
    told, untold = (
        measure(contender(str(tmp_path / "run"), changes=changes), 3, 5)
        for changes in ({}, {"env.options.heights.enabled": "false"})
    )
    np.testing.assert_array_equal(told.returns, untold.returns)


def test_a_policy_of_another_architecture_is_no_beginning(tmp_path: Path) -> None:
    start_run(config(policy={"actor": {"hidden_sizes": [4]}, "critic": SMALL}), tmp_path / "first").train()
    with pytest.raises(PoiseError, match="belong to another architecture"):
        start_run(config(initial_policy=str(tmp_path / "first")), tmp_path / "run")
    with pytest.raises(MissingFileError, match="initial_policy names .*nowhere, which does not exist"):
        start_run(config(initial_policy=str(tmp_path / "nowhere")), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_averaged_policy_is_what_is_shipped(tmp_path: Path) -> None:
    runner = start_run(config(algorithm={"num_steps": 8, "num_minibatches": 1, "ewma": {}}), tmp_path / "run")
    runner.train()
    found = load_policy(tmp_path / "run").state
    assert_same_weights(found, runner.algorithm.acting_policy.state_dict())
    assert not torch.equal(found["actor.model.0.weight"], runner.algorithm.policy.actor.model[0].weight)


def test_a_loaded_policy_acts_as_the_trained_one(tmp_path: Path) -> None:
    runner = start_run(config(), tmp_path / "run")
    runner.train()
    env = make_vector_env("CartPole-v1", 5, {})
    observation, _ = env.reset(seed=0)
    expected = runner.agent_for(env).act(observation)
    np.testing.assert_array_equal(load_policy(tmp_path / "run").agent_for(env).act(observation), expected)


def test_a_vector_may_be_named_number_by_number_and_partly_hidden(tmp_path: Path) -> None:
    segments = {"cart": 1, "cart_speed": 1, "pole": 1, "pole_speed": 1}
    seeing = {"actor": SMALL, "critic": SMALL, "obs_segments": segments, "observations": ["pole", "cart"]}
    start_run(config(policy=seeing | {"critic_observations": list(segments)}), tmp_path / "run").train()
    trained = load_policy(tmp_path / "run")
    env = make_vector_env("CartPole-v1", 5, {})
    agent, (observation, _) = trained.agent_for(env), env.reset(seed=0)
    actions = agent.act(observation)
    observation[:, [1, 3]] += 100.0
    np.testing.assert_array_equal(agent.act(observation), actions)
    policy = trained.policy(dict.fromkeys(segments, (1,)), env.single_action_space)
    assert (policy.actor.model[0].in_features, policy.critic.model[0].in_features) == (2, 4)


def test_pictures_may_be_encoded_by_what_learns(tmp_path: Path) -> None:
    sees = {"latent_size": 4, "channels": [2], "kernel_sizes": [3], "strides": [2], "hidden_sizes": [8]}
    cameras = {"height": 8, "width": 8, "rate": 500.0}
    world = {"num_envs": 2, "options": {"cameras": cameras, "terrain": {"nodes": 33}, "decimation": 5}}
    seeing = {"actor": SMALL, "critic": SMALL, "encoders": {"rgbd_0": sees, "rgbd_1": sees}}
    start_run(config(env=world, policy=seeing), tmp_path / "run").train()
    trained = load_policy(tmp_path / "run")
    env = make_vector_env("poise/Ballbot-v0", 3, world["options"])
    agent, (seen, _) = trained.agent_for(env), env.reset(seed=0)
    assert seen["rgbd_0"].shape == (3, 1, 8, 8)
    nearer = seen | {"rgbd_0": seen["rgbd_0"] / 2.0}
    assert not np.array_equal(agent.act(nearer), agent.act(seen))
    env.close()


def test_a_run_brings_its_encoder_along(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_encoder(tmp_path / "encoder", TinyAutoencoder(8, 8, 1, 4).encoder)
    policy = {"actor": SMALL, "critic": SMALL, "encoder": str(tmp_path / "encoder")}
    runner = start_run(config(env={"num_envs": 2, "options": OPTIONS}, policy=policy), tmp_path / "run")
    runner.train()
    for file in (tmp_path / "encoder").iterdir():
        file.unlink()
    trained = load_policy(tmp_path / "run")
    env = make_vector_env("poise/Ballbot-v0", 3, OPTIONS, 1)
    assert trained.agent_for(env).act(env.reset(seed=0)[0]).shape == (3, 3)
    for file in (tmp_path / "run" / "encoder").iterdir():
        file.unlink()
    (tmp_path / "run" / "encoder").rmdir()
    with pytest.raises(PoiseError, match="lacks its encoder"):
        load_policy(tmp_path / "run")


def test_a_policy_does_not_act_where_it_would_misread_things(tmp_path: Path) -> None:
    options = {"cameras": {"enabled": False}, "terrain": {"nodes": 33}, "decimation": 5, "action_increment": 0.5}
    start_run(config(env={"num_envs": 2, "options": options}), tmp_path / "run").train()
    for change, words in (
        ({"decimation": 10}, "the policy decides every 10 ms, but the environment wants a decision every 20 ms"),
        ({"frame": "heading"}, "env.options.frame 'world', but the environment has 'heading'"),
        ({"action_increment": 0.2}, "the policy's env.options.action_increment is 0.5, the environment's 0.2"),
    ):
        env = make_vector_env("poise/Ballbot-v0", 1, options | change)
        with pytest.raises(PoiseError, match=words):
            load_policy(tmp_path / "run").agent_for(env)
        env.close()


def test_a_policy_of_another_world_is_told_what_ballbots_do_not_give(tmp_path: Path) -> None:
    start_run(config(), tmp_path / "run").train()
    env = make_vector_env("poise/Ballbot-v0", 1, OPTIONS)
    with pytest.raises(PoiseError, match="the observation holds no 'observation'"):
        load_policy(tmp_path / "run").agent_for(env)
    env.close()


def test_weights_of_another_architecture(tmp_path: Path) -> None:
    start_run(config(), tmp_path / "run").train()
    words = r"another architecture: 'extractor\.normalizer\.mean' has shape \(4,\), expected \(3,\)$"
    with pytest.raises(PoiseError, match=words):
        load_policy(tmp_path / "run").agent_for(make_vector_env("Pendulum-v1", 2, {}))


def test_of_weights_that_do_not_fit_the_first_is_named() -> None:
    layer = torch.nn.Linear(2, 3)
    state = layer.state_dict()
    assert first_difference(state, layer) is None
    assert first_difference({"bias": state["bias"]}, layer) == "'weight' is missing"
    assert first_difference(state | {"scale": torch.ones(2)}, layer) == "'scale' is not expected"
    wider = state | {"bias": torch.ones(5), "scale": torch.ones(2)}
    assert first_difference(wider, layer) == "'bias' has shape (5,), expected (3,)"


def test_who_is_never_evaluated_may_name_a_measure_that_the_environment_does_not_know(tmp_path: Path) -> None:
    start_run(config(evaluation={"metric": "speed"}), tmp_path / "run")
    with pytest.raises(PoiseError, match="speed"):
        start_run(config(evaluation={"metric": "speed", "every": 8}), tmp_path / "other")


def test_what_is_no_policy(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="does not exist"):
        load_policy(tmp_path / "nowhere")
    (tmp_path / "model.pt").write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(PoiseError, match="pickled models are never loaded"):
        load_policy(tmp_path / "model.pt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingFileError, match=r"nor a folder above it holds a config.yaml"):
        load_policy(tmp_path / "empty")
    start_run(config(), tmp_path / "new")
    with pytest.raises(MissingFileError, match="holds no policy yet"):
        load_policy(tmp_path / "new")
    with pytest.raises(MissingFileError, match="is no run folder"):
        resume_run(tmp_path / "empty")


def assert_same_weights(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
