"""Gradients that several threads compute are those of one."""

import threading

import pytest
import torch
from gymnasium import spaces
from torch import Tensor

from poise.algorithms.parallel import LEAST_ROWS, ParallelGradients
from poise.policies import ActorCritic, PolicyConfig
from poise.storage import Minibatch


def policy_and_batch(rows: int) -> tuple[ActorCritic, Minibatch]:
    torch.manual_seed(0)
    policy = ActorCritic({"state": (5,)}, spaces.Box(-1.0, 1.0, (2,)), PolicyConfig())
    columns = {name: torch.randn(rows) for name in ("log_probs", "values", "advantages", "returns")}
    seen = {"state": torch.randn(rows, 5)}
    return policy, Minibatch(seen, columns | {"actions": torch.randn(rows, 2), "distributions": torch.randn(rows, 4)})


def loss(policy: ActorCritic, batch: Minibatch) -> tuple[Tensor, dict[str, Tensor]]:
    """Reads the policy's last distribution, as PPO does, which another thread must not have replaced."""
    log_probs, _, values = policy.evaluate_actions(batch.observations, batch.actions)
    torch.testing.assert_close(policy.get_actions_log_prob(batch.actions), log_probs)
    value = (log_probs * batch.advantages).mean() + (values - batch.returns).square().mean()
    return value, {"value": values.mean()}


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_gradient_is_that_of_the_whole_minibatch(threads: int) -> None:
    policy, batch = policy_and_batch(3 * LEAST_ROWS + 1)
    gradients = ParallelGradients(policy, threads)
    value, reported = loss(policy, batch)
    value.backward()
    expected = [parameter.grad.double() for parameter in policy.parameters() if parameter.grad is not None]
    told = gradients(loss, batch)
    found = [parameter.grad for parameter in policy.parameters() if parameter.grad is not None]
    assert len(found) == len(expected) > 8
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine.double(), theirs, rtol=1e-4, atol=1e-6)
    assert told["value"] == pytest.approx(float(reported["value"].detach()), abs=1e-6)


def test_it_is_the_same_every_time_whichever_thread_is_first() -> None:
    policy, batch = policy_and_batch(3 * LEAST_ROWS + 1)
    gradients = ParallelGradients(policy, 3)
    gradients(loss, batch)
    first = [parameter.grad for parameter in policy.parameters() if parameter.grad is not None]
    for _ in range(20):
        gradients(loss, batch)
        again = [parameter.grad for parameter in policy.parameters() if parameter.grad is not None]
        assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


def test_the_threads_see_changed_weights_and_statistics() -> None:
    policy, batch = policy_and_batch(2 * LEAST_ROWS)
    gradients = ParallelGradients(policy, 2)
    policy.update_normalization({"state": 3.0 + 2.0 * torch.randn(50, 5)})
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.mul_(1.5)
    policy.load_state_dict({name: value.clone() for name, value in policy.state_dict().items()})
    assert gradients(loss, batch)["value"] == pytest.approx(float(loss(policy, batch)[1]["value"].detach()), abs=1e-6)


def test_parameters_that_the_loss_does_not_reach_keep_no_gradient() -> None:
    policy, batch = policy_and_batch(2 * LEAST_ROWS)

    def critic_only(policy: ActorCritic, batch: Minibatch) -> tuple[Tensor, dict[str, Tensor]]:
        return policy.evaluate(batch.observations).mean(), {}

    ParallelGradients(policy, 2)(critic_only, batch)
    assert all(parameter.grad is None for parameter in policy.actor.parameters())
    assert all(parameter.grad is not None for parameter in policy.critic.parameters())


def test_large_minibatches_are_shared_by_threads() -> None:
    policy, batch = policy_and_batch(4 * LEAST_ROWS)
    seen = []

    def watched(policy: ActorCritic, batch: Minibatch) -> tuple[Tensor, dict[str, Tensor]]:
        seen.append((len(batch.actions), threading.current_thread()))
        return loss(policy, batch)

    ParallelGradients(policy, 2)(watched, batch)
    assert [rows for rows, _ in seen] == [2 * LEAST_ROWS] * 2
    assert threading.main_thread() not in {thread for _, thread in seen}


@pytest.mark.parametrize("threads", [1, 2])
def test_gradients_that_share_their_memory(threads: int) -> None:
    policy, batch = policy_and_batch(2 * LEAST_ROWS)
    first, second = policy.actor.model[2].weight, policy.critic.model[2].weight

    def odd(policy: ActorCritic, batch: Minibatch) -> tuple[Tensor, dict[str, Tensor]]:
        one, other = policy.actor.model[2].weight, policy.critic.model[2].weight
        return ((one + other) * torch.arange(one.shape[1])).sum() + policy.head.log_std.sum(), {}

    ParallelGradients(policy, threads)(odd, batch)
    for weight in (first, second):
        torch.testing.assert_close(weight.grad, torch.arange(weight.shape[1]).float().expand_as(weight))
    torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)  # writes into them


def test_a_policy_that_has_acted() -> None:
    policy, batch = policy_and_batch(2 * LEAST_ROWS)
    policy.evaluate_actions(batch.observations, batch.actions)
    ParallelGradients(policy, 2)(loss, batch)


def test_small_minibatches_stay_in_one_piece() -> None:
    policy, batch = policy_and_batch(2 * LEAST_ROWS - 1)
    seen = []

    def counting(policy: ActorCritic, batch: Minibatch) -> tuple[Tensor, dict[str, Tensor]]:
        seen.append(len(batch.actions))
        return loss(policy, batch)

    ParallelGradients(policy, 4)(counting, batch)
    assert seen == [2 * LEAST_ROWS - 1]
