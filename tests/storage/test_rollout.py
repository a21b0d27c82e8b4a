import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from poise.nn.frames import Frames, FrameStream
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


# --- images that last several steps -----------------------------------------------------------------------------------


def seen(num_steps: int = 6, num_envs: int = 4) -> tuple[Rollout, Tensor]:
    """Environment n sees a new image every n + 1 steps; the rollout, and all images as they were."""
    torch.manual_seed(0)
    rollout, stream, images, shown = Rollout(num_steps, num_envs), FrameStream(), torch.zeros(num_envs, 1, 2, 3), []
    for _ in range(2):  # the second rollout takes the memory of the first
        rollout.clear()
        shown.clear()
        for t in range(num_steps):
            images = images.clone()
            for n in range(num_envs):
                if t % (n + 1) == 0:
                    images[n] = torch.rand(1, 2, 3)
            shown.append(images)
            rollout.add({"eye": stream(images)}, values=t + torch.arange(num_envs) / 100)
    return rollout, torch.stack(shown)


def test_images_are_held_once_and_come_back_as_they_were() -> None:
    rollout, shown = seen()
    frames = rollout.observations["eye"]
    assert isinstance(frames, Frames)
    assert_close(frames.tensor(), shown, rtol=0, atol=0)
    assert len(frames.images) == 6 + 3 + 2 + 2  # of the environments, of which the last sees a new one at 0 and 4
    assert rollout.image_bytes < shown.nbytes


def test_every_image_is_in_one_minibatch_or_at_a_border() -> None:
    rollout, shown = seen()
    total = 0
    for batch in rollout.minibatches(("values",), 3, epochs=1):
        eye, values = batch.observations["eye"], batch.values
        assert isinstance(eye, Frames)
        steps = values.long()
        assert_close(eye.tensor(), shown[steps, (100 * (values - steps)).round().long()])
        total += len(eye.index.unique())
    assert len(rollout.observations["eye"].images) <= total <= 13 + 2  # type: ignore[attr-defined]


def test_sequences_keep_their_images() -> None:
    rollout, shown = seen()
    rollout.fill(dones=torch.zeros(6, 4, dtype=torch.bool), where=torch.arange(4).expand(6, 4))
    for batch in rollout.minibatches(("where",), 2, epochs=1, sequences=True):
        assert_close(batch.observations["eye"].tensor(), shown[:, batch.where[0]])  # type: ignore[attr-defined]
