import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from poise.storage import Rollout

COLUMNS = ("actions", "log_probs", "values", "advantages", "returns", "distributions")


def filled(num_steps: int = 5, num_envs: int = 7) -> Rollout:
    """Every quantity of the sample at step t of environment n is t + n / 100."""
    rollout = Rollout(num_steps, num_envs)
    for t in range(num_steps):
        value = t + torch.arange(num_envs) / 100
        scalars = dict.fromkeys(("log_probs", "values", "rewards", "bootstraps"), value)
        rollout.add(
            {"vel": value[:, None].expand(-1, 3), "time": value},
            actions=value[:, None].expand(-1, 2),
            distributions=value[:, None].expand(-1, 4),
            dones=torch.zeros(num_envs, dtype=torch.bool),
            **scalars,
        )
    rollout.fill(advantages=rollout.values.clone(), returns=rollout.values.clone())
    return rollout


def all_samples() -> Tensor:
    return (torch.arange(5)[:, None] + torch.arange(7) / 100).flatten()


def test_columns_are_time_major() -> None:
    rollout = filled()
    assert rollout.observations["vel"].shape == (5, 7, 3)
    assert rollout.actions.shape == (5, 7, 2)
    assert rollout.dones.dtype == torch.bool
    assert rollout.rewards[3, 6].item() == pytest.approx(3.06)


@pytest.mark.parametrize("count", [1, 4, 6, 35])
def test_every_epoch_holds_every_sample_once(count: int) -> None:
    batches = list(filled().minibatches(COLUMNS, count, epochs=3))
    assert len(batches) == 3 * count
    for epoch in range(3):
        parts = [batch.values for batch in batches[epoch * count : (epoch + 1) * count]]
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
        assert_close(torch.cat(parts).sort().values, all_samples())
    assert not torch.equal(batches[0].values, batches[count].values)


def test_the_parts_of_a_sample_stay_together() -> None:
    for batch in filled().minibatches(COLUMNS, 4, epochs=2):
        for value in (*batch.columns.values(), *batch.observations.values()):
            assert_close(value, batch.values.view(-1, *[1] * (value.dim() - 1)).expand_as(value))


def test_the_order_is_that_of_torchs_generator() -> None:
    orders = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        orders.append(torch.cat([batch.values for batch in filled().minibatches(COLUMNS, 4, epochs=2)]))
    assert torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], orders[2])


def test_memory_is_used_again_and_keeps_nothing_of_the_caller() -> None:
    rollout = Rollout(2, 3)
    value = torch.ones(3)
    rollout.add({"a": value}, rewards=value)
    memory = rollout.rewards.data_ptr()
    value.zero_()
    assert rollout.rewards[0].tolist() == [1.0, 1.0, 1.0]
    rollout.clear()
    rollout.add({"a": value}, rewards=value)
    assert rollout.rewards.data_ptr() == memory
    assert rollout.observations["a"][0].tolist() == [0.0, 0.0, 0.0]


def test_a_full_rollout_refuses_more() -> None:
    with pytest.raises(IndexError, match="holds 5 steps and is full"):
        filled().add({"time": torch.zeros(7)})


def test_an_unknown_column_is_named() -> None:
    with pytest.raises(AttributeError, match="holds no 'masks'"):
        _ = filled().masks


@pytest.mark.parametrize("count", [1, 2, 3, 7, 20])
def test_sequences_stay_whole_and_none_is_dropped(count: int) -> None:
    rollout = filled()
    rollout.dones[1, 2] = rollout.dones[4, 3] = True
    rollout.clear({"memory.hidden": torch.arange(7.0).expand(2, 1, 7).transpose(1, 2)})
    parts = list(rollout.minibatches(COLUMNS, count, epochs=1, sequences=True))
    assert len(parts) == min(count, 7)
    assert_close(torch.cat([part.values for part in parts], dim=1).sort(dim=1).values, rollout.values)
    for part in parts:
        assert part.sequences is not None
        envs = ((part.values[0] * 100).round()).long()
        assert_close(part.values, rollout.values[:, envs])
        assert_close(part.observations["vel"], rollout.observations["vel"][:, envs])
        assert_close(part.sequences.hidden_states["memory.hidden"][0, :, 0], envs.float())
        starts = part.sequences.starts
        assert starts.nonzero().tolist() == [[2, i] for i, env in enumerate(envs.tolist()) if env == 2]
        assert part.num_samples == 5 * len(envs)
