"""Training from demonstrations: runs that learn, stop, go on, are read again, and what they refuse."""

import shutil
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from poise.cli import main
from poise.config import save_yaml
from poise.errors import InvalidValueError, MissingFileError, PoiseError
from poise.imitation import Demonstration, DemonstrationWriter
from poise.imitation.backbones import ResNet18
from poise.imitation.batches import Batch
from poise.imitation.cloning import Cloning
from poise.imitation.policy import ImitationPolicy
from poise.policies.baselines import do_nothing
from poise.training.checkpoint import latest_checkpoint
from poise.training.cloner import Cloner
from poise.training.cloning_config import CloningRunConfig, parse_run
from poise.training.comparison import baselines_for, contender, measure
from poise.training.config import RunConfig
from poise.training.environments import make_vector_env
from poise.training.interface import ChannelsFirst
from poise.training.launch import launch
from poise.training.logging import read_progress
from poise.training.recording import Disturbed, record, writer_for
from poise.training.runs import resume_run, start_run
from poise.training.trained import TrainedImitator, load_policy, load_trained
from tests.training.chase import SIZE, expert

ENV = "tests.training.chase:Chase-v0"


def demonstrate(folder: Path, episodes: int = 40, width: int = 2) -> Path:
    """Whole episodes of the expert, pictures channels first."""
    env = gym.make(ENV)
    turn = ChannelsFirst(env.observation_space)
    components = {"image": (3, SIZE, SIZE), "state": (1,)}
    writer = DemonstrationWriter(folder, components, width, fps=10, task="to the middle")
    made = []
    for seed in range(episodes):
        observation, _ = env.reset(seed=seed)
        seen, done, over = [], [], False
        while not over:
            seen.append({name: values[0] for name, values in turn(_batched(observation)).items() if name != "place"})
            done.append(np.resize(expert(observation["place"]), width))
            observation, _, terminated, truncated, _ = env.step(done[-1][:2])
            over = terminated or truncated
        made.append(Demonstration({name: np.stack([one[name] for one in seen]) for name in components}, np.stack(done)))
    writer.write(made)
    return folder


def _batched(observation: dict[str, Any]) -> dict[str, Any]:
    return {name: values[None] for name, values in observation.items()}


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demonstrate(tmp_path_factory.mktemp("demos") / "chase")


def config(demos: Path, **settings: Any) -> CloningRunConfig:
    small: dict[str, Any] = {
        "env": {"id": ENV},
        "demonstrations": {"folder": str(demos)},
        "policy": {"hidden_sizes": [32], "precision": "float32", "dropout": 0.0},
        "algorithm": {"batch_size": 16, "averaging": 0.9},
        "total_steps": 2,
        "tensorboard": False,
        "update_threads": 1,
        "threads": 1,
    }
    found = parse_run(small | settings, "test")
    assert isinstance(found, CloningRunConfig)
    return found


ACT = {"name": "act", "width": 16, "num_heads": 2, "feedforward": 32, "head": [16], "chunk": 3, "precision": "float32"}
POLICIES: dict[str, dict[str, Any]] = {
    "bc": {"name": "bc", "hidden_sizes": [32]},
    "gru": {"name": "bc", "hidden_sizes": [32], "memory": {"type": "gru", "hidden_size": 16}},
    "act": ACT | {"history": 2},
    "style": ACT | {"latent": {"size": 4}},
}


def weights_of(run: Path) -> dict[str, Any]:
    return load_trained(run).state


def test_a_policy_learns_to_do_what_it_sees_of_pictures_alone(demos: Path, tmp_path: Path) -> None:
    """And is better than chance by far: from 40 demonstrations, of a task that another policy would learn, too."""
    plan = config(demos, total_steps=30, evaluation={"every": 30, "episodes": 30, "metric": "success_rate"})
    run = start_run(plan, tmp_path / "run")
    assert run.train() == "all steps done"
    losses = read_progress(tmp_path / "run")["validation/loss"]
    losses = losses[np.isfinite(losses)]  # evaluations have rows of their own
    assert losses[-1] < 0.2 * losses[0]
    rival = contender(str(tmp_path / "run"))
    measured = measure(rival, 50, seed=1000).metric("success_rate")
    others = {other.name: measure(other, 50, seed=1000).metric("success_rate") for other in baselines_for(rival)}
    assert set(others) == {"do-nothing", "random"}
    assert measured > 0.9 > max(others.values()) + 0.2


@pytest.mark.parametrize("policy", POLICIES)
def test_a_run_that_goes_on_is_the_same_to_the_last_bit(policy: str, demos: Path, tmp_path: Path) -> None:
    changed = {"batch_size": 16, "augmentation": {"shift": 2, "brightness": 0.2, "noise": 0.01, "erase": 0.2}}
    plan = config(demos, policy=POLICIES[policy], algorithm=changed)
    start_run(plan, tmp_path / "whole").train()
    start_run(plan.model_copy(update={"stop_at": 1}), tmp_path / "parts").train()
    resume_run(tmp_path / "parts", config=plan).train()
    whole, parts = weights_of(tmp_path / "whole"), weights_of(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())


def test_the_terminal_counts_epochs(demos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_yaml(tmp_path / "c.yaml", config(demos, env={}))
    train = ["train", str(tmp_path / "c.yaml"), "--out", str(tmp_path / "run"), "--stop_at", "1"]
    assert main(train) == 0
    assert "\nstopped at epoch 1 of 2\n" in capsys.readouterr().out
    assert main(["train", "--resume", str(tmp_path / "run"), "--stop_at", "null"]) == 0
    said = capsys.readouterr().out
    assert f"\ngoing on in {tmp_path / 'run'} at epoch 1\n" in said
    assert "\nall epochs done, at epoch 2\n" in said


@pytest.mark.parametrize("policy", POLICIES)
def test_what_is_read_again_acts_as_what_was_trained(policy: str, demos: Path, tmp_path: Path) -> None:
    run = start_run(config(demos, policy=POLICIES[policy], total_steps=1), tmp_path / "run")
    run.train()
    env = make_vector_env(ENV, 3, {})
    trained = load_trained(tmp_path / "run")
    assert isinstance(trained, TrainedImitator)
    own, again = run.agent_for(env), trained.agent_for(env)
    observation, _ = env.reset(seed=5)
    for _ in range(4):
        actions = own.act(observation)
        np.testing.assert_array_equal(actions, again.act(observation))
        observation, *_ = env.step(actions)
    env.close()
    trained.save(tmp_path / "shipped")
    assert load_trained(tmp_path / "shipped").fingerprint == trained.fingerprint


def test_what_acts_is_the_average_of_weights(demos: Path, tmp_path: Path) -> None:
    """w' = d w' + (1 - d) w after each step, from the first weights on; torch counts the first step as all."""
    run = start_run(config(demos, algorithm={"batch_size": 1000, "averaging": 0.75}), tmp_path / "run")
    assert isinstance(run, Cloner)
    run.begin()
    name = "head.model.0.weight"
    learner = run._learner
    run.iterate()
    first = learner.policy.state_dict()[name].clone()
    torch.testing.assert_close(learner.acting_policy.state_dict()[name], first)
    run.iterate()
    second = learner.policy.state_dict()[name]
    torch.testing.assert_close(learner.acting_policy.state_dict()[name], 0.75 * first + 0.25 * second)


def test_pictures_of_a_history_are_changed_alike(demos: Path, tmp_path: Path) -> None:
    augmentation = {"shift": 6, "brightness": 0.5}
    run = start_run(
        config(demos, algorithm={"augmentation": augmentation}, policy=ACT | {"history": 3}), tmp_path / "run"
    )
    assert isinstance(run, Cloner)
    same = run.corpus.observation["image"][:5].expand(3, -1, -1, -1, -1)
    nothing = torch.zeros(3, 5, 1)
    batch = Batch({"image": same, "state": nothing}, nothing, nothing.bool(), nothing.bool())
    changed = run._learner._augmented(batch).observation
    pictures = changed["image"]
    assert torch.equal(pictures[0], pictures[1])
    assert torch.equal(pictures[0], pictures[2])
    assert not torch.equal(pictures[0], same[0] / 255.0)
    again = run._learner._augmented(batch).observation["image"]
    assert not torch.equal(again, pictures)
    assert torch.equal(changed["state"], nothing)


def test_the_rate_falls_when_the_held_out_loss_does_not(
    demos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With patience 1: two epochs without an improvement of 1 % halve it."""
    run = start_run(config(demos, algorithm={"patience": 1}), tmp_path / "run")
    losses = iter([1.0, 0.995, 0.992, 0.5, 0.3])
    monkeypatch.setattr(Cloning, "validate", lambda self, corpus: next(losses))
    run.begin()
    rates = [run.iterate()["update/learning_rate"] for _ in range(5)]
    assert rates == [1e-3, 1e-3, 5e-4, 5e-4, 5e-4]


def test_published_weights_are_begun_with_and_not_needed_again(
    demos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(7)
    published = ResNet18(3, published=True)
    file = tmp_path / "resnet18.safetensors"
    save_file({name: value.contiguous() for name, value in published.state_dict().items()}, file)
    backbone = {"name": "resnet18", "weights": str(file), "pooling": "summary"}
    plan = config(
        demos, policy={"backbone": backbone, "hidden_sizes": [8]}, demonstrations={"folder": str(demos), "episodes": 3}
    )
    reads: list[ImitationPolicy] = []
    read = ImitationPolicy.load_published
    monkeypatch.setattr(ImitationPolicy, "load_published", lambda policy: (reads.append(policy), read(policy)))
    run = start_run(plan.model_copy(update={"stop_at": 1}), tmp_path / "run")
    assert isinstance(run, Cloner)
    run.begin()
    begun = run.acting_policy.state_dict()
    for name, value in published.state_dict().items():
        torch.testing.assert_close(begun[f"eyes.image.backbone.{name}"], value)
    run.train()
    assert len(reads) == 1
    file.unlink()
    resume_run(tmp_path / "run", config=plan).train()
    env = make_vector_env(ENV, 1, {})
    load_trained(tmp_path / "run").agent_for(env)
    env.close()


# --- what is refused ----------------------------------------------------------------------------------------------


def refused(plan: CloningRunConfig, folder: Path, words: str, error: type[PoiseError] = InvalidValueError) -> None:
    with pytest.raises(error, match=words):
        start_run(plan, folder)
    assert not folder.exists()


def test_what_cannot_be_learned_leaves_no_folder(demos: Path, tmp_path: Path) -> None:
    run, here = tmp_path / "run", {"folder": str(demos)}
    refused(config(demos, demonstrations={"folder": str(tmp_path / "no")}), run, "no demonstrations", MissingFileError)
    refused(config(demos, demonstrations=here | {"episodes": 41}), run, "is 41, but .* holds 40; .* --episodes 41$")
    refused(config(demos, policy={"observations": ["imag"]}), run, "no component 'imag'; did you mean 'image'")
    refused(config(demos, policy={"coordinates": "spherical"}), run, "actions of 3 numbers, not of 2")
    refused(
        config(demos, policy={"backbone": {"name": "resnet18", "pooling": "summary", "weights": "no.pth"}}),
        run,
        "no.pth",
        PoiseError,
    )


def test_an_environment_that_does_not_fit_is_refused_before_hours_of_training(demos: Path, tmp_path: Path) -> None:
    evaluated = {"evaluation": {"every": 1, "episodes": 1}}
    larger = config(demos, env={"id": ENV, "options": {"size": 32}}, **evaluated)
    refused(larger, tmp_path / "run", r"'image' of shape \(3, 24, 24\), but the environment gives \(3, 32, 32\)")
    three = demonstrate(tmp_path / "three", episodes=3, width=3)
    refused(config(three, **evaluated), tmp_path / "run", "actions have 3 numbers, those of the environment 2")
    refused(config(demos, env={"id": "Pendulum-v1"}, **evaluated), tmp_path / "run", "a mapping of components")
    refused(config(three), tmp_path / "run", "actions have 3 numbers, those of the environment 2")
    refused(config(demos, env={"id": "Nowhere-v0"}), tmp_path / "run", "unknown environment 'Nowhere-v0'")


WISHES: list[dict[str, Any]] = [
    {"evaluation": {"every": 1}},
    {"evaluation": {"options": {"size": 32}}},
    {"env": {"options": {"size": 32}}},
    {"video": {"when": 1}},
    {"dagger": {}},
]


@pytest.mark.parametrize("wish", WISHES, ids=lambda wish: next(iter(wish)))
def test_who_names_no_environment_does_not_act(demos: Path, wish: dict[str, Any]) -> None:
    named = config(demos, env={}).env
    assert (named.id, named.options) == ("", {})
    with pytest.raises(InvalidValueError, match=rf"{next(iter(wish))}.* needs env\.id: no environment is named"):
        config(demos, **({"env": {}} | wish))


def test_demonstrations_alone_are_enough_to_learn_and_to_act_elsewhere(demos: Path, tmp_path: Path) -> None:
    start_run(config(demos, env={}), tmp_path / "run").train()
    world = tmp_path / "world.yaml"
    save_yaml(world, config(demos))
    assert len(measure(contender(str(tmp_path / "run"), world), 2, 0).returns) == 2


def test_demonstrations_that_changed_are_other_ones(demos: Path, tmp_path: Path) -> None:
    own = shutil.copytree(demos, tmp_path / "own")
    start_run(config(own, stop_at=1), tmp_path / "run").train()
    shutil.rmtree(own)
    demonstrate(own, episodes=39)
    with pytest.raises(InvalidValueError, match="have changed since this run began"):
        resume_run(tmp_path / "run")


def test_weights_of_another_architecture_and_policies_of_another_kind(demos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    start_run(config(demos, total_steps=1), run).train()
    with pytest.raises(InvalidValueError, match="learned from demonstrations; expected one that learned by"):
        load_policy(run)
    student = {"algorithm": {"name": "distillation", "teacher": str(run)}, "env": {"id": "CartPole-v1"}}
    with pytest.raises(InvalidValueError, match="learned from demonstrations"):
        launch_config(student, tmp_path / "student")
    text = (run / "config.yaml").read_text().replace("name: bc", "name: act")
    kept = [line for line in text.splitlines() if not line.lstrip().startswith(("memory:", "hidden_sizes:", "- 32"))]
    (run / "config.yaml").write_text("\n".join(kept))
    env = make_vector_env(ENV, 1, {})
    different = "'queries' is missing"
    with pytest.raises(InvalidValueError, match=f"belong to another architecture: {different}$"):
        load_trained(run).agent_for(env)
    env.close()
    with pytest.raises(InvalidValueError, match=f"does not fit .* of another architecture: {different}; resume with"):
        resume_run(run)
    assert latest_checkpoint(run) is not None


def launch_config(content: dict[str, Any], folder: Path) -> None:
    found = parse_run(content, "test")
    assert isinstance(found, RunConfig)
    start_run(found, folder)


def test_a_loss_that_is_not_finite_is_told_of(demos: Path, tmp_path: Path) -> None:
    run = start_run(config(demos, algorithm={"learning_rate": 1e30, "batch_size": 16}), tmp_path / "run")
    with pytest.raises(PoiseError, match="loss is not finite"):
        run.train()


def test_other_settings_are_another_run(demos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    start_run(config(demos, stop_at=1), run).train()
    with pytest.raises(InvalidValueError, match=r"other settings of algorithm.batch_size"):
        launch(None, {"algorithm.batch_size": "8"}, resume=run)


BALLBOT = {
    "id": "poise/Ballbot-v0",
    "options": {"decimation": 20, "max_steps": 100, "terrain": {"nodes": 65}, "cameras": {"rate": 12.5}},
}
OF_A_BALLBOT = {"observations": ["rgbd_0", "orientation"], "hidden_sizes": [8], "precision": "float32"}


@pytest.fixture(scope="module")
def of_a_ballbot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Demonstrations of standing."""
    env, folder = make_vector_env(BALLBOT["id"], 3, BALLBOT["options"], 1), tmp_path_factory.mktemp("stand") / "demos"
    made = [one.demonstration({}) for one in record(env, do_nothing(env), Disturbed(0.1, _generators(3)), seed=0)]
    writer_for(env, folder, "stand").write(made)
    env.close()
    return folder


def test_a_ballbots_depth_images_are_learned_from_by_configuration_alone(of_a_ballbot: Path, tmp_path: Path) -> None:
    """And a policy does not act where its decisions would mean something else."""
    plan = config(of_a_ballbot, env=BALLBOT, policy=OF_A_BALLBOT, evaluation={"every": 2, "episodes": 2})
    run = start_run(plan, tmp_path / "run")
    assert isinstance(run, Cloner)
    depth = run.corpus.observation["rgbd_0"]
    assert (depth.dtype, depth.shape[1:]) == (torch.float32, (1, 64, 64))
    assert 0.0 < depth.mean() < 1.0
    run.train()
    assert len(measure(contender(str(tmp_path / "run")), 2, 0).returns) == 2
    with pytest.raises(InvalidValueError, match="decides every 40 ms"):
        measure(contender(str(tmp_path / "run"), changes={"env.options.decimation": "10"}), 2, 0)


def _generators(count: int) -> list[np.random.Generator]:
    return [np.random.default_rng(number) for number in range(count)]


def test_of_what_was_not_learned_in_a_ballbots_world_nothing_is_known_but_whether_it_fits(
    demos: Path, of_a_ballbot: Path, tmp_path: Path
) -> None:
    world = tmp_path / "world.yaml"
    save_yaml(world, config(of_a_ballbot, env=BALLBOT))

    def measured(demonstrations: Path, name: str, **settings: Any) -> int:
        if not (tmp_path / name).exists():
            start_run(config(demonstrations, total_steps=1, **settings), tmp_path / name).train()
        return len(measure(contender(str(tmp_path / name), world), 2, 0).returns)

    assert measured(of_a_ballbot, "no_env", env={}, policy=OF_A_BALLBOT) == 2
    with pytest.raises(InvalidValueError, match="sees 'image', which the environment does not give"):
        measured(demos, "chase")
    two = {"orientation": np.zeros((4, 3), np.float32)}
    DemonstrationWriter(tmp_path / "two", {"orientation": (3,)}, 2, fps=10, task="stand").write(
        [Demonstration(two, np.zeros((4, 2)))] * 3
    )
    with pytest.raises(InvalidValueError, match="actions have 2 numbers, those of the environment 3"):
        measured(tmp_path / "two", "narrow", env={}, policy=OF_A_BALLBOT | {"observations": ["orientation"]})
