from collections.abc import Callable
from typing import Any

import pytest
import torch
from gymnasium import spaces
from torch import Tensor
from torch.testing import assert_close

from poise.algorithms import PPO
from poise.config import parse
from poise.errors import PoiseError
from poise.policies import ActorCritic, PolicyConfig, build_policy
from poise.storage import Rollout

MakePolicy = Callable[..., ActorCritic]
MakePPO = Callable[..., PPO]
Observe = Callable[..., dict[str, Tensor]]
ESTIMATES = {"observations": ["position"], "targets": ["wind", "speed"], "hidden_sizes": []}


def constant(policy: Any, value: float) -> None:
    """Let the estimator say the same of everything."""
    torch.nn.init.zeros_(policy.estimator.network.model[-1].weight)
    torch.nn.init.constant_(policy.estimator.network.model[-1].bias, value)


def test_the_loss_by_hand(make_policy: MakePolicy, observe: Observe) -> None:
    policy = make_policy(estimator=ESTIMATES | {"coef": 0.25}, normalize_observations=False)
    constant(policy, 2.0)
    seen = observe(6)
    error = (seen["speed"] - 2.0).square() + (seen["wind"] - 2.0).square().sum(-1)
    losses = policy.judge(seen, torch.zeros(6, 2)).auxiliary_losses
    assert losses.keys() == {"estimator_loss"}
    assert_close(losses["estimator_loss"], 0.25 * error.mean())


def test_the_actor_sees_estimates_in_the_drawn_samples_only(make_policy: MakePolicy, observe: Observe) -> None:
    policy = make_policy(estimator=ESTIMATES | {"replace_prob": 0.5}, normalize_observations=False)
    constant(policy, 7.0)
    seen = policy.prepare(observe(1000))
    drawn = seen["estimator.replaces"]
    assert 400 < drawn.sum() < 600
    read: list[Tensor] = []
    policy.actor.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    policy.judge(seen, torch.zeros(1000, 2))
    estimated = (read[0][:, 2] == 7.0) & (read[0][:, 15:] == 7.0).all(dim=-1)  # position 2, speed, heights 12, wind 2
    assert_close(estimated, drawn)
    assert_close(read[0][~drawn], policy.extractor(seen)[~drawn])
    policy.infer({name: seen[name] for name in ("position", "speed", "heights", "wind")}, {})
    assert (read[1][:, 2] == 7.0).all()  # with nothing drawn, as on a robot, everywhere


def test_the_critic_sees_the_truth(make_policy: MakePolicy, observe: Observe) -> None:
    policy = make_policy(estimator=ESTIMATES | {"replace_prob": 1.0})
    seen = observe(4)
    values = policy.value_of(seen, {})
    constant(policy, 7.0)
    assert_close(policy.value_of(seen, {}), values)


@pytest.mark.parametrize("memory", [None, {"hidden_size": 8}])
def test_what_estimates_stand_for_need_not_be_sensed(
    make_policy: MakePolicy, observe: Observe, memory: dict[str, Any] | None
) -> None:
    policy = make_policy(estimator=ESTIMATES | {"replace_prob": 1.0}, memory=memory)
    policy.update_normalization(observe(50))
    seen = observe(4)
    sensed = {name: value for name, value in seen.items() if name not in ("wind", "speed")}
    assert_close(policy.infer(sensed, {})[0], policy.infer(seen, {})[0])
    with pytest.raises(PoiseError, match="no component 'speed'"):
        policy.step(sensed, {})  # the critic must be told
    with pytest.raises(PoiseError, match="no component 'heights'"):
        policy.infer({name: value for name, value in sensed.items() if name != "heights"}, {})
    half = make_policy(estimator=ESTIMATES | {"replace_prob": 0.5}, memory=memory)
    with pytest.raises(PoiseError, match="no component 'speed'"):
        half.infer(sensed, {})


def test_exploring_draws_where_estimates_are_seen_and_acting_does_not(
    make_policy: MakePolicy, observe: Observe
) -> None:
    policy = make_policy(estimator=ESTIMATES | {"replace_prob": 0.2}, normalize_observations=False)
    constant(policy, 7.0)
    read: list[Tensor] = []
    policy.actor.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    policy.act(observe(1000))
    policy.act_inference(observe(1000))
    assert 100 < (read[0][:, 2] == 7.0).sum() < 300
    assert (read[1][:, 2] == 7.0).all()


def test_acting_does_not_train_the_estimator(make_policy: MakePolicy, observe: Observe) -> None:
    policy: Any = make_policy(estimator=ESTIMATES | {"replace_prob": 1.0})
    judged = policy.judge(observe(4), torch.zeros(4, 2))
    parameters = list(policy.estimator.parameters())
    for part in (judged.log_probs.sum(), judged.values.sum()):
        assert torch.autograd.grad(part, parameters, allow_unused=True, retain_graph=True) == (None, None)
    assert None not in torch.autograd.grad(judged.auxiliary_losses["estimator_loss"], parameters, allow_unused=True)


def test_estimates_in_the_observations_units(make_policy: MakePolicy, observe: Observe) -> None:
    policy: Any = make_policy(estimator=ESTIMATES)
    with pytest.raises(PoiseError, match="has not acted yet"):
        policy.get_estimated_state()
    policy.update_normalization(observe(5000))  # means 1, deviations 3
    constant(policy, 2.0)
    policy.act_inference(observe(4))
    found = policy.get_estimated_state()
    assert {name: value.shape for name, value in found.items()} == {"speed": (4,), "wind": (4, 2)}
    assert_close(found["wind"], torch.full((4, 2), 7.0), atol=0.3, rtol=0)


@pytest.mark.parametrize("apart", [{}, {"observations": ["position"], "critic_observations": ["wind", "speed"]}])
def test_the_critic_leaves_the_estimates_of_the_last_act(
    make_policy: MakePolicy, observe: Observe, apart: dict[str, Any]
) -> None:
    policy: Any = make_policy(estimator=ESTIMATES, memory={"hidden_size": 8}, **apart)
    seen = observe(4)
    policy.act(seen)
    found = policy.get_estimated_state()
    policy.evaluate({name: value for name, value in seen.items() if not apart or name != "position"})
    assert_close(policy.get_estimated_state(), found, rtol=0, atol=0)


def test_it_learns_what_can_be_known(make_ppo: MakePPO, observe: Observe) -> None:
    torch.manual_seed(0)
    ppo = make_ppo({"estimator": ESTIMATES | {"targets": ["speed"]}}, num_steps=64, learning_rate=3e-3, num_epochs=10)
    losses = []
    for _ in range(8):
        rollout = Rollout(64, 8)
        for _ in range(64):
            seen = observe(8)
            seen["speed"] = seen["position"].sum(-1)
            columns = ppo.act(seen).columns()
            ends = torch.ones(8, dtype=torch.bool)
            rollout.add(seen, rewards=torch.zeros(8), dones=ends, bootstraps=torch.zeros(8), **columns)
        losses.append(ppo.update(rollout, torch.zeros(8), 0.0)["estimator_loss"])
    assert losses[-1] < 0.05 * losses[0]


def test_wrong_use(make_policy: MakePolicy) -> None:
    with pytest.raises(PoiseError, match="replace_prob must be 0 with use_actor_rnn"):
        make_policy(memory={}, estimator=ESTIMATES | {"use_actor_rnn": True, "replace_prob": 0.1})
    with pytest.raises(PoiseError, match="observations must be left away with use_actor_rnn"):
        make_policy(memory={}, estimator=ESTIMATES | {"use_actor_rnn": True})
    with pytest.raises(PoiseError, match="use_actor_rnn needs a policy with memory"):
        make_policy(estimator=ESTIMATES | {"use_actor_rnn": True, "observations": []})
    with pytest.raises(PoiseError, match="'wind' is among observations and targets"):
        make_policy(estimator=ESTIMATES | {"observations": ["wind"]})
    with pytest.raises(PoiseError, match="'speed' is estimated twice"):
        make_policy(estimator=ESTIMATES, adaptor={"observations": ["heights"], "targets": ["speed"]})
    with pytest.raises(PoiseError, match="no component 'win'.*did you mean 'wind'"):
        make_policy(estimator=ESTIMATES | {"targets": ["win"]})
    with pytest.raises(PoiseError, match="no component 'wind'; it has position"):
        make_policy(
            estimator=ESTIMATES | {"targets": ["wind"], "replace_prob": 0.5},
            observations=["position"],
            critic_observations=["wind"],
        )


def test_it_takes_over_weights_of_one_that_read_less() -> None:
    shapes = {"position": (2,), "wind": (2,)}
    estimates = {"observations": ["position"], "targets": ["wind"], "hidden_sizes": [7]}
    old, new = (
        build_policy(
            seen, spaces.Box(-1, 1, (2,)), parse(PolicyConfig, {"estimator": estimates | {"observations": reads}})
        ).requires_grad_(False)
        for seen, reads in ((shapes, ["position"]), (shapes | {"smell": (3,)}, ["smell", "position"]))
    )
    report = new.load_misaligned_state_dict(old.state_dict(), shapes)
    assert report.added["estimator.network.model.0.weight"] == ["smell"]
    seen = {"position": torch.randn(5, 2), "wind": torch.randn(5, 2), "smell": torch.zeros(5, 3)}
    for policy in (old, new):
        policy.act_inference(seen)
    assert_close(new.get_estimated_state(), old.get_estimated_state())
