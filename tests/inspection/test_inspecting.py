"""What is found inside policies, against arithmetic done by hand."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import insides
import numpy as np
import pytest
import torch

from poise.config import parse
from poise.errors import PoiseError
from poise.inspection import Findings, inspect_policy
from poise.inspection.groups import groups_of
from poise.inspection.inspecting import plan
from poise.inspection.strip import episode_strip
from poise.perception import save_encoder
from poise.perception.autoencoder import TinyAutoencoder
from poise.training.config import RunConfig
from poise.training.environments import make_vector_env
from poise.training.evaluation import evaluate
from poise.training.runs import start_run
from poise.training.trained import load_policy

EPISODES, SEED = 7, 40
ATTENDS = {"width": 8, "num_heads": 2}
CONVOLVES = {"eye": {"channels": [4], "kernel_sizes": [3], "strides": [2], "hidden_sizes": [], "latent_size": 6}}
ESTIMATES = {"observations": ["position"], "targets": ["wind"], "replace_prob": 1.0, "hidden_sizes": [4]}
EVERY_KIND: dict[str, dict[str, Any]] = {
    "plain": {},
    "not normalised": {"normalize_observations": False},
    "memory": {"memory": {"hidden_size": 4}},
    "memory of changes": {"memory": {"hidden_size": 4, "changes": True}},
    "encoders": {"encoders": CONVOLVES},
    "estimates": {"estimator": ESTIMATES},
    "critic sees otherwise": {"observations": ["position", "eye"], "critic_observations": ["wind", "position"]},
    "concatenation": {"fusion": {"name": "concat"}},
    "early": {"fusion": {"name": "early", "hidden_sizes": [6]}},
    "weighted sum": {"fusion": {"name": "weighted_sum", "width": 6}},
    "shared encoder": {"fusion": {"name": "shared_encoder", "width": 6, "head_size": 4}},
    "cross attention": {"fusion": ATTENDS | {"name": "cross_attention"}},
    "hierarchical attention": {"fusion": ATTENDS | {"name": "hierarchical_attention"}},
    "vision, language, action": {
        "fusion": ATTENDS | {"name": "vision_language_action", "language": "body", "query": "eye"}
    },
    "transformer with memory, withheld": {
        "fusion": ATTENDS | {"name": "transformer", "dropout": {"prob": 0.3}},
        "memory": {"hidden_size": 4},
    },
    "encoders, fusion, estimates": {
        "fusion": ATTENDS | {"name": "cross_attention", "modalities": {"body": ["position", "wind"], "eye": ["eye"]}},
        "encoders": CONVOLVES,
        "estimator": ESTIMATES | {"replace_prob": 0.5},
    },
}
MakeTrained = Callable[..., Any]


def found(trained: Any, by: Any = None, episodes: int = EPISODES) -> Findings:
    return inspect_policy(trained, {}, episodes, SEED, by)


def lengths() -> list[int]:
    return [5 + (SEED + i) % 3 for i in range(EPISODES)]


@pytest.mark.parametrize("settings", EVERY_KIND.values(), ids=EVERY_KIND.keys())
def test_every_kind_of_policy(make_trained: MakeTrained, settings: dict[str, Any]) -> None:
    """Recording changes nothing that is done; shares sum to 1; and all of it can be written down."""
    trained = make_trained(**settings)
    findings = found(trained)
    assert list(findings.groups.members) == ["body", "eye"]
    undisturbed = evaluate(trained.agent_for, lambda count: make_vector_env(trained.config.env.id, count, {}), 7, SEED)
    assert findings.intact == undisturbed
    assert sum(findings.gradient.values()) == pytest.approx(1.0)
    name = settings.get("fusion", {}).get("name", "none")
    attends = name in ("weighted_sum", "cross_attention", "hierarchical_attention", "transformer")
    assert sum(findings.attention.values()) == pytest.approx(1.0 if attends else 0.0)
    told = {(each.name, each.instead) for each in findings.silences}
    withheld = {("eye", "withheld")} if "dropout" in settings.get("fusion", {}) else set()
    assert told == {(part, how) for part in ("body", "eye") for how in ("mean", "another's")} | withheld
    written = json.loads(json.dumps(findings.to_json(), allow_nan=False))
    assert len(written["episode"]["decision"]) == lengths()[0]
    assert written["features"]["eye"]["rms"] == pytest.approx(findings.features["eye"].rms)


@pytest.mark.parametrize("by", ["component", "number"])
@pytest.mark.parametrize("kind", ["plain", "encoders", "estimates", "cross attention"])
def test_other_things_can_be_told_apart(make_trained: MakeTrained, kind: str, by: str) -> None:
    findings = found(make_trained(**EVERY_KIND[kind]), by)
    apart = {
        "component": ["position", "wind", "eye"],
        "number": ["position[0]", "position[1]", "wind[0]", "wind[1]", "eye"],
    }
    assert list(findings.groups.members) == apart[by]
    assert sum(findings.gradient.values()) == pytest.approx(1.0)
    silenced = {each.name for each in findings.silences}
    assert silenced == {name for name in apart[by] if kind != "estimates" or not name.startswith("wind")}


def test_the_gradient_of_a_linear_policy_by_hand(make_trained: MakeTrained) -> None:
    """Its weights times the standard deviations of what it reads, at the watched decisions: the first and the sixth."""
    findings = found(make_trained(normalize_observations=False), "component")
    rows = [(SEED + i, step) for i in range(EPISODES) for step in (0, 5) if step < lengths()[i]]
    seen = [insides.told(*row) for row in rows]
    assert findings.record.watched == len(rows)
    weights = make_trained(normalize_observations=False).state["actor.model.0.weight"].double().numpy() / 2.0
    order = ["eye", "position", "wind"]
    strengths, start = {}, 0
    for name in order:
        values = np.stack([each[name].ravel() for each in seen]).astype(np.float64)
        part = weights[:, start : start + values.shape[1]]
        strengths[name] = math.sqrt(((part * values.std(axis=0)) ** 2).sum())
        start += values.shape[1]
    for name in order:
        assert findings.gradient[name] == pytest.approx(strengths[name] / sum(strengths.values()), rel=1e-5)


def test_features_by_hand(make_trained: MakeTrained) -> None:
    findings = found(make_trained(normalize_observations=False))
    rows = [insides.told(SEED + i, step) for i in range(EPISODES) for step in (0, 5) if step < lengths()[i]]
    body = np.stack([np.concatenate([row["position"], row["wind"]]) for row in rows]).astype(np.float64)
    stats = findings.features["body"]
    assert stats.numbers == 4
    assert stats.mean == pytest.approx(body.mean())
    assert stats.spread == pytest.approx(np.sqrt(body.var(axis=0).mean()))
    assert stats.rms == pytest.approx(np.sqrt((body**2).mean()))
    dark = np.stack([row["eye"].ravel() for row in rows]).max(axis=0) == 0.0
    assert findings.features["eye"].dead == pytest.approx(dark.mean())
    assert findings.sensed["position"].least == pytest.approx(body[:, :2].min())
    assert findings.sensed["eye"].at_limit == 1.0  # black or white
    assert findings.sensed["wind"].at_limit == 0.0  # it has none


def test_what_a_policy_ignores_can_be_silenced(make_trained: MakeTrained) -> None:
    """Exactly: episode by episode, to the last digit."""

    def deaf(policy: Any) -> None:
        policy.actor.model[0].weight[:, policy.segments["actor"].slice("wind")] = 0.0

    findings = found(make_trained(deaf), "component")
    assert findings.gradient["wind"] == 0.0
    for each in findings.silences:
        if each.name == "wind":
            assert each.evaluation == findings.intact
            assert (each.lost, each.interval) == (0.0, (0.0, 0.0))
        else:
            assert each.evaluation.returns != findings.intact.returns


def test_silencing_by_hand(make_trained: MakeTrained) -> None:
    """The first action is the first number of the position, normalised, and the reward is the first action."""

    def follows(policy: Any) -> None:
        policy.actor.model[0].weight.zero_()
        policy.actor.model[0].bias.fill_(0.25)
        place = policy.segments["actor"].slice("position").start
        policy.actor.model[0].weight[0, place] = 0.5
        policy.extractor.normalizer.mean[place] = 0.2

    findings = found(make_trained(follows), "component")

    def returned(whose: int, length: int) -> float:
        """Of an episode that follows what a robot sees, which begins anew when its own is over."""
        lasts = lengths()[whose % EPISODES]
        at = [insides.told(SEED + whose % EPISODES, step % lasts)["position"][0] for step in range(length)]
        return float(sum(0.25 + 0.5 * (value - 0.2) / 1.01 for value in at))

    own = [returned(i, length) for i, length in enumerate(lengths())]
    assert findings.intact.returns == pytest.approx(own, rel=1e-5)
    silenced = {(each.name, each.instead): each for each in findings.silences}
    mean = silenced["position", "mean"]
    assert mean.evaluation.returns == pytest.approx([0.25 * length for length in lengths()])
    lost = np.subtract(findings.intact.returns, mean.evaluation.returns)
    assert mean.lost == pytest.approx(lost.mean())
    half = 2.4469 * lost.std(ddof=1) / math.sqrt(EPISODES)  # t of 6 degrees of freedom
    assert mean.interval == pytest.approx((lost.mean() - half, lost.mean() + half), rel=1e-4)
    neighbours = [returned(i - 1, length) for i, length in enumerate(lengths())]
    assert silenced["position", "another's"].evaluation.returns == pytest.approx(neighbours, rel=1e-5)


def test_what_is_withheld_is_what_dropout_withholds(make_trained: MakeTrained) -> None:
    trained = make_trained(fusion={"name": "concat", "dropout": {"prob": 0.3}, "hidden_sizes": [4]})
    [withheld] = [each for each in found(trained).silences if each.instead == "withheld"]
    env = make_vector_env(trained.config.env.id, EPISODES, {})
    agent = trained.agent_for(env)
    observation, _ = env.reset(seed=SEED)
    seen, total = agent.sensing(observation), np.zeros(EPISODES)
    missing = torch.tensor([[False, True]] * EPISODES)
    for step in range(7):
        actions = agent.policy.infer({**seen, "fusion.missing": missing}, {})[0].numpy()
        observation, reward, *_ = env.step(np.clip(actions, -2.0, 2.0))
        seen = agent.sensing(observation)
        total += np.where(np.array(lengths()) > step, reward, 0.0)
    env.close()
    assert withheld.evaluation.returns == pytest.approx(total.tolist(), rel=1e-6)


def test_an_eye_that_is_made_linear_can_be_drawn_again(make_trained: MakeTrained) -> None:
    """An image is told by where its bright column is: what is lost of it cannot be drawn, what is kept can."""

    def keeps_columns(policy: Any) -> None:
        layer = policy.encoders["eye"].model.model[0]
        layer.bias.zero_()
        layer.weight.zero_()
        for column in range(insides.SIDE):
            layer.weight[column, column :: insides.SIDE] = 1.0

    keeps = {"eye": {"latent_size": insides.SIDE, "hidden_sizes": [], "linear": True}}
    loses = {"eye": {"latent_size": 1, "hidden_sizes": [], "linear": True}}
    kept = found(make_trained(keeps_columns, encoders=keeps, normalize_observations=False), episodes=40)
    lost = found(make_trained(encoders=loses, normalize_observations=False), episodes=40)
    again = kept.reconstructions["eye"]
    assert again.features == insides.SIDE
    assert again.error < 0.2 * again.average_error
    assert lost.reconstructions["eye"].error > 0.8 * lost.reconstructions["eye"].average_error


def test_one_episode_has_no_other_robot(make_trained: MakeTrained) -> None:
    findings = found(make_trained(), episodes=1)
    assert {each.instead for each in findings.silences} == {"mean"}
    assert findings.to_json()["silenced"][0]["return_lost"]["low"] is None


def test_many_episodes_leave_no_robot_alone(make_trained: MakeTrained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("poise.inspection.inspecting._PARALLEL", 6)
    findings = found(make_trained())
    assert len(findings.intact.returns) == EPISODES
    assert len(findings.record.moments) == lengths()[0]  # of the first robot of all, and no other
    assert all(each.evaluation.returns != findings.intact.returns for each in findings.silences)


def test_a_policy_of_one_vector_is_told_apart_by_its_numbers(make_trained: MakeTrained) -> None:
    trained = make_trained(env="CartPole-v1")
    findings = inspect_policy(trained, {}, 2, SEED)
    assert list(findings.groups.members) == [f"observation[{i}]" for i in range(4)]
    assert sum(findings.gradient.values()) == pytest.approx(1.0)


def test_cameras_are_silenced_together_too(make_trained: MakeTrained) -> None:
    agent = make_trained().agent_for(make_vector_env("insides:Insides-v0", 1, {}))
    groups = groups_of(agent.policy, "modality")
    assert groups.cameras == ("eye",)
    two = type(groups)(groups.by, groups.members | {"other": groups.members["eye"]}, groups.apart, ("eye", "other"))
    assert "eye + other" in {each.name for each in plan(agent.policy, two, 5)}


def test_what_cannot_be_told_apart(make_trained: MakeTrained) -> None:
    with pytest.raises(PoiseError, match="cannot tell apart by 'modalty'; did you mean 'modality'"):
        found(make_trained(), "modalty")


def test_of_a_stack_the_latest_image_is_shown_and_drawn_again(tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = TinyAutoencoder(16, 16, latent=3)
    save_encoder(tmp_path / "encoder", whole.encoder, decoder=whole.decoder)
    small = {"terrain": {"nodes": 33}, "max_steps": 40}
    cameras = {"height": 16, "width": 16, "stack": 3}
    config = {
        "total_steps": 8,
        "threads": 1,
        "tensorboard": False,
        "env": {"num_envs": 2, "options": small | {"cameras": cameras}},
        "policy": {"encoder": str(tmp_path / "encoder")},
        "algorithm": {"num_steps": 4, "num_epochs": 1, "num_minibatches": 1},
    }
    start_run(parse(RunConfig, config, "test"), tmp_path / "run").train()
    findings = inspect_policy(load_policy(tmp_path / "run"), small | {"cameras": cameras}, 2, SEED)
    sight = findings.record.shown.items[-1]
    assert sight.pictures["rgbd_0"].shape == (1, 1, 16, 16)
    assert sight.codes["rgbd_0"].shape == (1, 9)
    drawn = findings.reconstructions["rgbd_0"].draw(sight.codes["rgbd_0"])
    with torch.no_grad():
        latest = whole.eval().encoder(torch.from_numpy(sight.pictures["rgbd_0"]))
        np.testing.assert_allclose(drawn, whole.decoder(latest), atol=1e-4)
    assert episode_strip(findings)
