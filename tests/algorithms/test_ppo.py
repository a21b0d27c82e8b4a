import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.testing import assert_close

from poise.algorithms import PPO
from poise.errors import DivergedError
from poise.policies import ActorCritic
from poise.storage import Rollout

MakePPO = Callable[..., PPO]
Experience = Callable[..., Rollout]
ONE_STEP = {"num_epochs": 1, "num_minibatches": 1}
UNSCALED = {"normalize_values": False, "normalize_advantages": False}


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.named_parameters()}


def flattened(rollout: Rollout) -> dict[str, Tensor]:
    return {name: value.flatten(0, 1) for name, value in rollout.observations.items()}


@pytest.mark.parametrize("space", [spaces.Box(-1, 1, (2,)), spaces.Discrete(3, start=1)], ids=["box", "discrete"])
def test_the_first_minibatch_sees_a_ratio_of_one(
    make_ppo: MakePPO, experience: Experience, space: spaces.Space[Any]
) -> None:
    ppo = make_ppo(space, num_epochs=3, num_minibatches=5)
    for seed in range(3):  # the normalisers move after each update, and must not between rollout and update
        rollout = experience(ppo, seed=seed)
        with torch.no_grad():
            log_probs, _, values = ppo.policy.evaluate_actions(flattened(rollout), rollout.actions.flatten(0, 1))
        ratio = torch.exp(log_probs - rollout.log_probs.flatten())
        assert_close(ratio, torch.ones_like(ratio), atol=1e-5, rtol=0)
        assert_close(ppo.policy.value_scale.denormalize(values), rollout.values.flatten(), atol=1e-4, rtol=1e-4)
        ppo.update(rollout, torch.zeros(6), 0.0)


def test_the_metrics_of_a_first_step(make_ppo: MakePPO, experience: Experience) -> None:
    ppo = make_ppo(**ONE_STEP)
    metrics = ppo.update(experience(ppo), torch.zeros(6), 0.0)
    assert metrics["kl"] == pytest.approx(0.0, abs=1e-6)
    assert metrics["approximate_kl"] == pytest.approx(0.0, abs=1e-6)
    assert metrics["clip_fraction"] == 0.0
    assert metrics["policy_loss"] == pytest.approx(0.0, abs=1e-5)  # minus the mean of normalised advantages
    assert metrics["entropy"] == pytest.approx(2 * 1.4189385)  # two components of unit variance
    assert metrics["optimizer_steps"] == 1.0


def test_values_stay_when_their_scale_moves(make_ppo: MakePPO, experience: Experience) -> None:
    ppo = make_ppo(learning_rate=0.0, **ONE_STEP)
    rollout = experience(ppo)
    rollout.rewards.mul_(500.0)
    before = ppo.evaluate(flattened(rollout))
    ppo.policy.extractor.normalizer = None
    plain = ppo.evaluate(flattened(rollout))
    assert_close(plain, before, rtol=0.5, atol=10.0)  # the statistics were still those of nothing
    ppo.update(rollout, torch.zeros(6), 0.0)
    assert ppo.policy.value_scale.std > 100.0
    assert_close(ppo.evaluate(flattened(rollout)), plain, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("discrete", [False, True])
def test_it_learns_to_answer_what_it_sees(make_ppo: MakePPO, discrete: bool) -> None:
    """One-step episodes: the best action is the position's sign, or the position itself."""
    space = spaces.Discrete(2) if discrete else spaces.Box(-1, 1, (2,))
    ppo = make_ppo(space, learning_rate=3e-3, num_epochs=4, num_minibatches=4)
    torch.manual_seed(0)
    steps, envs, reward = 8, 64, torch.zeros(())
    for _ in range(40):
        rollout = Rollout(steps, envs)
        for _ in range(steps):
            seen = {"position": torch.rand(envs, 2) * 2 - 1, "speed": torch.randn(envs)}
            decision = ppo.act(seen)
            right = decision.actions == (seen["position"][:, 0] > 0) if discrete else None
            error = (decision.actions - seen["position"]).square().sum(-1) if right is None else (~right).float()
            ended = torch.ones(envs, dtype=torch.bool)
            rollout.add(seen, rewards=-error, dones=ended, bootstraps=torch.zeros(envs), **decision.columns())
        metrics = ppo.update(rollout, ppo.evaluate(seen), 0.0)
        reward = rollout.rewards.mean()
    # chance: -0.5, or -(2/3 + 2); with the noise that is left the last actions are close to perfect
    assert reward > (-0.08 if discrete else -0.6)
    assert metrics["explained_variance"] > -0.5


# --- settings -----------------------------------------------------------------------------------------------------


def test_learning_rates_follow_their_schedules(make_ppo: MakePPO, experience: Experience) -> None:
    fading = {"values": [1e-3, 0.0]}
    ppo = make_ppo(learning_rate=fading, critic_learning_rate=2e-3, **ONE_STEP, **UNSCALED)
    metrics = ppo.update(experience(ppo), torch.zeros(6), 0.25)
    assert metrics["learning_rate"] == pytest.approx(7.5e-4)
    assert ppo.optimizer.learning_rates[1] == 2e-3
    actor, critic = weights(ppo.policy.actor), weights(ppo.policy.critic)
    ppo.update(experience(ppo), torch.zeros(6), 1.0)
    assert_close(weights(ppo.policy.actor), actor, rtol=0, atol=0)
    assert any(not torch.equal(value, critic[name]) for name, value in weights(ppo.policy.critic).items())


def test_the_critic_follows_the_actors_rate_unless_told_otherwise(make_ppo: MakePPO, experience: Experience) -> None:
    ppo = make_ppo(learning_rate={"values": [1e-3, 3e-3]}, **ONE_STEP)
    ppo.update(experience(ppo), torch.zeros(6), 0.5)
    assert ppo.optimizer.learning_rates == pytest.approx((2e-3, 2e-3))


def test_adaptive_rate_rises_while_the_policy_hardly_moves(make_ppo: MakePPO, experience: Experience) -> None:
    adaptive = {"desired_kl": 1.0, "factor": 2.0, "min_learning_rate": 1e-7, "max_learning_rate": 7e-6}
    ppo = make_ppo(learning_rate=1e-6, critic_learning_rate=1e-5, adaptive_kl=adaptive, num_epochs=1, num_minibatches=5)
    rates = [ppo.update(experience(ppo), torch.zeros(6), 0.0)["learning_rate"] for _ in range(5)]
    assert rates == pytest.approx([1e-6, 2e-6, 4e-6, 7e-6, 7e-6])  # of whole updates
    assert ppo.optimizer.learning_rates[1] == 1e-5  # the critic is not steered


def test_adaptive_rate_falls_when_the_policy_runs_away(make_ppo: MakePPO, experience: Experience) -> None:
    adaptive = {"desired_kl": 1e-4, "factor": 2.0, "min_learning_rate": 1e-5, "max_learning_rate": 0.1}
    ppo = make_ppo(learning_rate=0.05, adaptive_kl=adaptive, num_epochs=5, num_minibatches=4)
    rates = [ppo.update(experience(ppo), torch.zeros(6), 0.0)["learning_rate"] for _ in range(15)]
    assert rates[:3] == pytest.approx([0.05, 0.025, 0.0125])
    assert rates[-1] < 1e-3


def test_a_warm_up_is_not_undone_by_the_adaptive_rate(make_ppo: MakePPO, experience: Experience) -> None:
    warming = {"values": [1e-6, 5e-6, 1e-6], "fractions": [0.0, 0.5, 1.0]}
    adaptive = {"desired_kl": 1.0, "factor": 2.0, "min_learning_rate": 1e-7}
    ppo = make_ppo(learning_rate=warming, adaptive_kl=adaptive, num_epochs=1, num_minibatches=2)
    rates = [ppo.update(experience(ppo), torch.zeros(6), at)["learning_rate"] for at in (0.0, 0.25, 0.5, 0.75)]
    assert rates == pytest.approx([1e-6, 3e-6, 5e-6, 2 * 3e-6])  # faster from the peak on alone


def test_adaptive_rate_of_a_schedule_that_starts_at_zero(make_ppo: MakePPO, experience: Experience) -> None:
    ppo = make_ppo(learning_rate={"values": [0.0, 1e-3]}, adaptive_kl={}, num_epochs=2, num_minibatches=1)
    assert ppo.update(experience(ppo), torch.zeros(6), 0.0)["learning_rate"] == 0.0
    assert ppo.update(experience(ppo), torch.zeros(6), 0.5)["learning_rate"] > 0.0


def test_an_update_stops_at_the_target_kl(make_ppo: MakePPO, experience: Experience) -> None:
    settings = {"learning_rate": 0.02, "num_epochs": 10, "num_minibatches": 4}
    free, held = make_ppo(**settings), make_ppo(target_kl=0.01, **settings)
    assert free.update(experience(free), torch.zeros(6), 0.0)["optimizer_steps"] == 40.0
    assert held.update(experience(held), torch.zeros(6), 0.0)["optimizer_steps"] < 20.0


def test_a_gradient_that_is_not_finite_moves_nothing(make_ppo: MakePPO, experience: Experience) -> None:
    ppo = make_ppo(**ONE_STEP, **UNSCALED)
    rollout = experience(ppo)
    rollout.rewards[2, 3] = float("inf")
    before = weights(ppo.policy)
    with pytest.raises(DivergedError, match="a gradient's norm is nan"):
        ppo.update(rollout, torch.zeros(6), 0.0)
    for name, weight in weights(ppo.policy).items():
        assert torch.equal(weight, before[name]), name


def test_gradients_are_clipped_to_the_norm(make_ppo: MakePPO, experience: Experience) -> None:
    ppo = make_ppo(max_grad_norm=0.01, **ONE_STEP)
    metrics = ppo.update(experience(ppo), torch.zeros(6), 0.0)
    norm = torch.stack([p.grad.norm() for p in ppo.policy.parameters() if p.grad is not None]).norm()
    assert metrics["gradient_norm"] > 0.1
    assert norm.item() == pytest.approx(0.01, rel=1e-3)


def test_weight_decay_is_decoupled_from_the_gradient(make_ppo: MakePPO, experience: Experience) -> None:
    ppo = make_ppo(learning_rate=0.1, weight_decay=0.5, **ONE_STEP, **UNSCALED)
    rollout = experience(ppo)
    rollout.rewards.zero_()
    rollout.values.zero_()
    before = weights(ppo.policy.actor)
    ppo.update(rollout, torch.zeros(6), 0.0)  # advantages of zero: no gradient for the actor
    assert_close(weights(ppo.policy.actor), {name: value * (1.0 - 0.1 * 0.5) for name, value in before.items()})


def test_value_clipping_holds_the_critic_back(make_ppo: MakePPO, experience: Experience) -> None:
    moved = []
    for clip in (None, 1e-3):
        ppo = make_ppo(learning_rate=3e-3, value_clip_range=clip, num_epochs=20, num_minibatches=1, **UNSCALED)
        rollout = experience(ppo)
        rollout.rewards.add_(5.0)
        before = ppo.policy.evaluate(flattened(rollout)).detach()
        ppo.policy.extractor.normalizer = None
        ppo.update(rollout, torch.zeros(6), 0.0)
        moved.append((ppo.policy.evaluate(flattened(rollout)) - before).abs().mean().item())
    assert moved[1] < moved[0]


def test_an_entropy_bonus_widens_the_policy(make_ppo: MakePPO, experience: Experience) -> None:
    ppo = make_ppo(learning_rate=0.01, entropy_coef=10.0, **ONE_STEP)
    ppo.update(experience(ppo), torch.zeros(6), 0.0)
    assert (ppo.policy.head.log_std > 0.005).all()


# --- averaged weights ---------------------------------------------------------------------------------------------


def test_the_average_by_hand(make_ppo: MakePPO, experience: Experience) -> None:
    ppo = make_ppo(ewma={"decay": 0.9}, **ONE_STEP)
    steps = [weights(ppo.policy.actor)]
    for seed in range(3):
        ppo.update(experience(ppo, seed=seed), torch.zeros(6), 0.0)
        steps.append(weights(ppo.policy.actor))
    shares = [0.729, 0.81, 0.9, 1.0]  # 0.9 ** 3, 0.9 ** 2, 0.9, 1, which are 3.439 together
    average = {
        name: sum(share * step[name] for share, step in zip(shares, steps, strict=True)) / 3.439 for name in steps[0]
    }
    assert ppo.acting_policy is ppo.optimizer.averaged is not ppo.policy
    assert_close(weights(ppo.acting_policy.actor), average)
    assert_close(dict(ppo.acting_policy.named_buffers()), dict(ppo.policy.named_buffers()), rtol=0, atol=0)


def test_the_averaged_critic_follows_the_scale_of_the_values(make_ppo: MakePPO, experience: Experience) -> None:
    ppo = make_ppo(ewma={"decay": 0.99}, **(ONE_STEP | {"learning_rate": 0.0}))
    for scale in (1.0, 300.0, 0.01):
        rollout = experience(ppo)
        rollout.rewards.mul_(scale).add_(scale)
        ppo.update(rollout, torch.zeros(6), 0.0)
        values = [
            policy.value_scale.denormalize(policy.judge(flattened(rollout), rollout.actions.flatten(0, 1)).values)
            for policy in (ppo.policy, ppo.acting_policy)
        ]
        assert_close(values[0], values[1])


def test_an_average_for_evaluation_leaves_training_alone(make_ppo: MakePPO, experience: Experience) -> None:
    plain, averaged = make_ppo(), make_ppo(ewma={"decay": 0.9})
    for ppo in (plain, averaged):
        ppo.update(experience(ppo), torch.zeros(6), 0.0)
    assert_close(weights(averaged.policy), weights(plain.policy), rtol=0, atol=0)
    assert plain.acting_policy is plain.policy


def test_a_proximal_average_that_equals_the_policy_changes_nothing(make_ppo: MakePPO, experience: Experience) -> None:
    plain, proximal = make_ppo(**ONE_STEP), make_ppo(ewma={"decay": 0.9, "role": "proximal"}, **ONE_STEP)
    for ppo in (plain, proximal):
        ppo.update(experience(ppo), torch.zeros(6), 0.0)
    assert_close(weights(proximal.policy), weights(plain.policy), rtol=0, atol=1e-6)


def test_a_proximal_average_holds_the_policy_back_from_moving_on(make_ppo: MakePPO, experience: Experience) -> None:
    settings = {"learning_rate": 3e-3, "num_epochs": 10}
    plain, proximal = make_ppo(**settings), make_ppo(ewma={"decay": 0.99, "role": "proximal"}, **settings)
    for ppo in (plain, proximal):
        ppo.update(experience(ppo), torch.zeros(6), 0.0)
        ppo.update(experience(ppo, seed=1), torch.zeros(6), 0.0)
    assert not torch.equal(proximal.policy.actor.model[0].weight, plain.policy.actor.model[0].weight)


# --- what others build on -----------------------------------------------------------------------------------------


class Pulled(ActorCritic):
    """Has a loss of its own, as estimators will."""

    def auxiliary_losses(self, look: Any) -> dict[str, Tensor]:
        return {"pull": 100.0 * (self.actor.model[0].bias - 3.0).square().mean()}


def test_losses_of_the_policy_join_in(make_ppo: MakePPO, experience: Experience) -> None:
    ppo = make_ppo(policy_class=Pulled, learning_rate=0.01, num_epochs=5)
    first = ppo.update(experience(ppo), torch.zeros(6), 0.0)
    assert first["pull"] == pytest.approx(900.0, rel=0.1)
    assert ppo.policy.actor.model[0].bias.min() > 0.1


@pytest.mark.parametrize("ewma", [None, {"decay": 0.9, "role": "proximal"}])
def test_state_continues_bit_for_bit(make_ppo: MakePPO, experience: Experience, ewma: object) -> None:
    first, second = (make_ppo(ewma=ewma, adaptive_kl={}) for _ in range(2))
    for seed in range(2):
        first.update(experience(first, seed=seed), torch.zeros(6), 0.0)
    second.load_state(copy.deepcopy(first.state()))  # as a checkpoint would: no tensor in common
    for ppo in (first, second):
        ppo.update(experience(ppo, seed=5), torch.zeros(6), 0.5)
    assert_close(weights(second.policy), weights(first.policy), rtol=0, atol=0)
    assert_close(weights(second.acting_policy), weights(first.acting_policy), rtol=0, atol=0)
    assert second.optimizer.learning_rates == first.optimizer.learning_rates
