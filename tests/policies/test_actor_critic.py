import copy
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.testing import assert_close

from poise.config import parse
from poise.errors import PoiseError
from poise.nn import GaussianHead
from poise.policies import (
    ActorCritic,
    ActorCriticRecurrent,
    AmpActorCritic,
    EncoderActorCritic,
    PolicyConfig,
    StateAc,
)

SHAPES = {"orientation": (3,), "vel": (3,), "image": (20,)}
BOX = spaces.Box(-1.0, 1.0, (2,), np.float32)


def observation(*lead: int) -> dict[str, Tensor]:
    return {name: torch.randn(*lead, *shape) for name, shape in SHAPES.items()}


@pytest.fixture(params=[BOX, spaces.Discrete(4)], ids=["continuous", "discrete"])
def policy(request: pytest.FixtureRequest) -> ActorCritic:
    torch.manual_seed(0)
    return ActorCritic(SHAPES, request.param, PolicyConfig())


def test_the_reference_heads_by_default() -> None:
    policy = ActorCritic(SHAPES, BOX, PolicyConfig())
    for network, outputs in ((policy.actor, 2), (policy.critic, 1)):
        widths = [layer.out_features for layer in network.modules() if isinstance(layer, nn.Linear)]
        assert widths == [128, 128, 128, 128, outputs]
        assert sum(isinstance(layer, nn.LeakyReLU) for layer in network.modules()) == 4


def test_other_shapes_by_configuration() -> None:
    config = parse(PolicyConfig, {"actor": {"hidden_sizes": [8], "activation": "elu"}, "critic": {"hidden_sizes": []}})
    policy = ActorCritic(SHAPES, BOX, config)
    assert [type(layer).__name__ for layer in policy.actor.model] == ["Linear", "ELU", "Linear"]
    assert [type(layer).__name__ for layer in policy.critic.model] == ["Linear"]


def test_shapes_of_what_it_gives(policy: ActorCritic) -> None:
    distribution, values, _ = policy.step(observation(5), {})
    actions = distribution.sample()
    assert (
        actions.shape
        == policy.act_inference(observation(5)).shape
        == policy.get_actions_log_prob(actions).shape + actions.shape[1:]
    )
    assert values.shape == policy.evaluate(observation(5)).shape == (5,)
    for part in policy.evaluate_actions(observation(5), actions):
        assert part.shape == (5,)


def test_judging_actions_agrees_with_drawing_them(policy: ActorCritic) -> None:
    seen = observation(64)
    distribution, values, _ = policy.step(seen, {})
    actions = distribution.sample()
    drawn = policy.get_actions_log_prob(actions)
    log_probs, entropy, judged = policy.evaluate_actions(seen, actions)
    assert_close(log_probs, drawn, rtol=0, atol=0)
    assert_close(judged, values, rtol=0, atol=0)
    assert_close(entropy, policy.entropy)
    assert_close(policy.evaluate(seen), values, rtol=0, atol=0)


def test_the_critic_learns_nothing_from_the_actor(policy: ActorCritic) -> None:
    log_probs, _, values = policy.evaluate_actions(observation(8), policy.act(observation(8)))
    log_probs.sum().backward(retain_graph=True)
    assert all(parameter.grad is None for parameter in policy.critic.parameters())
    policy.zero_grad()
    values.sum().backward()
    assert all(parameter.grad is None for parameter in policy.actor.parameters())


def test_samples_do_not_see_each_other(policy: ActorCritic) -> None:
    seen = observation(16)
    order = torch.randperm(16)
    shuffled = {name: value[order] for name, value in seen.items()}
    assert_close(policy.evaluate(shuffled), policy.evaluate(seen)[order])
    assert_close(policy.act_inference(shuffled), policy.act_inference(seen)[order])


def test_parameter_groups_hold_every_parameter_once(policy: ActorCritic) -> None:
    rest, critic = policy.parameter_groups(1e-3, 2e-3)
    assert (rest["lr"], critic["lr"]) == (1e-3, 2e-3)
    assert {id(p) for p in critic["params"]} == {id(p) for p in policy.critic.parameters()}
    together = [id(p) for p in (*rest["params"], *critic["params"])]
    assert sorted(together) == sorted(id(p) for p in policy.parameters())


def test_actions_start_about_zero_and_as_wide_as_asked() -> None:
    torch.manual_seed(0)
    policy = ActorCritic(SHAPES, BOX, PolicyConfig(init_std=0.5))
    policy.act(observation(100))
    assert policy.action_mean.abs().max() < 0.1
    assert_close(policy.action_std, torch.full((100, 2), 0.5))


def test_the_last_distribution_needs_an_action_first() -> None:
    policy = ActorCritic(SHAPES, BOX, PolicyConfig())
    with pytest.raises(PoiseError, match="has not acted yet"):
        _ = policy.entropy


@pytest.mark.parametrize("space", [spaces.MultiBinary(3), spaces.Box(0, 1, (2, 2)), spaces.MultiDiscrete([2, 3])])
def test_other_actions_are_refused(space: spaces.Space[object]) -> None:
    with pytest.raises(PoiseError, match="no policy for actions"):
        ActorCritic(SHAPES, space, PolicyConfig())


def test_it_can_be_copied_after_acting(policy: ActorCritic) -> None:
    with torch.no_grad():
        policy.act(observation(3))
    seen = observation(3)
    assert torch.equal(copy.deepcopy(policy).evaluate(seen), policy.evaluate(seen))


@pytest.mark.parametrize(
    ("mapping", "sentence"),
    [
        ({"actor": {"hidden_sizes": [128, 0]}}, "must be positive"),
        ({"critic": {"activation": "reluu"}}, "did you mean 'relu'"),
        ({"init_std": 0.0}, "must be greater than 0"),
        ({"encoder_precision": "float16"}, "float32"),
    ],
)
def test_impossible_configurations(mapping: dict[str, object], sentence: str) -> None:
    with pytest.raises(PoiseError, match=sentence):
        parse(PolicyConfig, mapping)


def test_arrays_are_looked_at_like_tensors(policy: ActorCritic) -> None:
    seen = observation(5)
    arrays = {name: value.double().numpy() for name, value in seen.items()}  # as many environments give them
    assert_close(policy.act_inference(arrays), policy.act_inference(seen))
    assert policy.act(arrays).shape[0] == 5
    policy.reset(np.zeros(5, np.bool_))


@pytest.mark.parametrize("shape", [(5, 1), (2,), (1, 2), (5, 2, 1)])
def test_actions_of_other_shapes_are_refused_and_not_broadcast(policy: ActorCritic, shape: tuple[int, ...]) -> None:
    with pytest.raises(PoiseError, match=r"actions must be of shape \(5.*\), got"):
        policy.evaluate_actions(observation(5), torch.zeros(shape))


# --- vectors, and configurations that are not the class's ------------------------------------------------------------


def test_a_vector_is_the_components_that_it_is_made_of() -> None:
    policy = ActorCritic(SHAPES, BOX, parse(PolicyConfig, {"obs_segments": SHAPES}))
    seen = observation(5)
    vector = torch.cat([seen[name] for name in SHAPES], dim=-1)
    assert_close(policy.act_inference(vector), policy.act_inference(seen))
    assert_close(policy.evaluate(vector), policy.evaluate(seen))
    assert_close(policy.judge(vector, torch.zeros(5, 2)).values, policy.evaluate(seen))
    assert policy.act(vector).shape == (5, 2)
    policy.update_normalization(vector)
    assert_close(policy.extractor.normalizer.mean, vector.mean(0))  # type: ignore[union-attr]
    with pytest.raises(PoiseError, match="has 25 numbers, but its segments orientation, vel, image have 26"):
        policy.act(vector[:, 1:])
    with pytest.raises(PoiseError, match="a vector of 26 numbers; name them in policy.obs_segments"):
        ActorCritic(SHAPES, BOX, PolicyConfig()).act(vector)


@pytest.mark.parametrize(
    ("kind", "config", "words"),
    [
        (ActorCritic, {"memory": {}}, "ActorCritic does nothing with policy.memory; build_policy"),
        (ActorCriticRecurrent, {"encoders": {"vel": {}}}, "ActorCriticRecurrent does nothing with policy.encoders"),
        (EncoderActorCritic, {}, "EncoderActorCritic needs policy.encoders"),
        (StateAc, {}, "StateAc needs policy.estimator"),
        (AmpActorCritic, {}, "AmpActorCritic needs policy.amp_discriminator"),
    ],
)
def test_a_class_does_what_its_configuration_says_and_no_less(
    kind: type[ActorCritic], config: dict[str, Any], words: str
) -> None:
    with pytest.raises(PoiseError, match=words):
        kind(SHAPES, BOX, parse(PolicyConfig, config))


def test_forward_is_act_and_evaluate_in_one() -> None:
    policy, seen = ActorCritic(SHAPES, BOX, PolicyConfig()), observation(4)
    distribution, values = policy(seen)
    assert_close(distribution.mode, policy.act_inference(seen))
    assert_close(values, policy.evaluate(seen))


def test_categorical_actions_have_no_standard_deviation() -> None:
    policy = ActorCritic(SHAPES, spaces.Discrete(3), PolicyConfig())
    policy.act(observation(2))
    with pytest.raises(PoiseError, match="categorical actions have no standard deviation"):
        _ = policy.action_std


@pytest.mark.parametrize("std", [1e-4, 50.0])
def test_a_standard_deviation_that_would_never_change(std: float) -> None:
    with pytest.raises(PoiseError, match="init_std must be from min_std, 0.001, to 10"):
        parse(PolicyConfig, {"init_std": std})
    with pytest.raises(PoiseError, match="init_std must be from min_std to 10"):
        GaussianHead(2, std)
