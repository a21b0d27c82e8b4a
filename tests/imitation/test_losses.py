"""Losses of cloning, spherical coordinates and chunks, by hand and by property."""

import math

import numpy as np
import pytest
import scipy.special
import torch
from torch import Tensor

from poise.errors import InvalidValueError
from poise.imitation import spherical
from poise.imitation.ensembling import Queue
from poise.imitation.losses import cloning_loss, huber, magnitude_weights


def test_spherical_coordinates_by_hand() -> None:
    found = spherical.to_spherical(torch.tensor([[0.0, 0.0, 0.5], [0.0, -1.0, 0.0], [1.0, 1.0, -1.0], [0.0, 0.0, 0.0]]))
    assert found.length.tolist() == pytest.approx([0.5, 1.0, math.sqrt(3), 0.0])
    assert found.elevation.tolist() == pytest.approx([0.0, math.pi / 2, math.acos(-1 / math.sqrt(3)), 0.0])
    assert found.azimuth.tolist() == pytest.approx([0.0, -math.pi / 2, math.pi / 4, 0.0])


def test_there_and_back_again() -> None:
    generator = torch.Generator().manual_seed(0)
    actions = 2 * torch.rand(7, 500, 3, generator=generator, dtype=torch.float64) - 1
    actions[0, :20, :2] = 0.0  # straight up and down
    actions[0, 20:40] = 0.0
    again = spherical.to_cartesian(spherical.to_spherical(actions))
    assert (again - actions).abs().max() < 1e-12


def test_any_action_can_be_said() -> None:
    stop, full = torch.tensor([-20.0, 0.0, 1.0, 0.0]), torch.tensor([20.0, 0.0, 1.0, 1.0])
    assert spherical.to_cartesian(spherical.read(stop)).norm() < 1e-6
    assert spherical.read(full).length == pytest.approx(math.sqrt(3))
    turn = torch.linspace(-math.pi, math.pi, 9)
    outputs = torch.stack([torch.zeros(9), torch.zeros(9), turn.cos(), turn.sin()], dim=-1)
    assert spherical.read(outputs).azimuth.cos() == pytest.approx(turn.cos(), abs=1e-6)


def _outputs(actions: Tensor) -> Tensor:
    """What a network would have to say to be right."""
    truth = spherical.to_spherical(actions)
    return torch.stack(
        [
            torch.logit(truth.length / spherical.LONGEST),
            torch.logit(truth.elevation / math.pi),
            3.0 * truth.azimuth.cos(),
            3.0 * truth.azimuth.sin(),
        ],
        dim=-1,
    )


def test_who_is_right_has_no_difference_and_the_azimuth_has_no_seam() -> None:
    actions = torch.tensor([[-0.5, 1e-4, 0.2], [-0.5, -1e-4, 0.2], [0.3, 0.4, -0.5]], dtype=torch.float64)
    found, counts = spherical.differences(_outputs(actions), actions)
    assert found.abs().max() < 1e-9
    assert counts.all()
    seam, _ = spherical.differences(_outputs(actions[[0]]), actions[[1]])  # on the other side of pi
    assert seam.abs().max() < 1e-3


def test_angles_that_mean_nothing_do_not_count() -> None:
    actions = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.7], [0.7, 0.0, 0.0]])
    _, counts = spherical.differences(torch.randn(3, 4), actions)
    assert counts.int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1]]


def test_huber_by_hand() -> None:
    assert huber(torch.tensor([0.0, 0.5, -1.0, 3.0])).tolist() == pytest.approx([0.0, 0.125, 0.5, 2.5])
    assert huber(torch.tensor([0.05, -0.1, 1.0]), delta=0.1).tolist() == pytest.approx([0.0125, 0.05, 0.95])


@pytest.mark.parametrize("delta", [0.05, 0.3, 1.0])
def test_huber_is_scipys_divided_by_delta(delta: float) -> None:
    differences = np.linspace(-2.0, 2.0, 101)
    found = huber(torch.from_numpy(differences), delta).numpy()
    np.testing.assert_allclose(found, scipy.special.huber(delta, differences) / delta, atol=1e-12)


@pytest.mark.parametrize(("delta", "chosen"), [(1.0, 0.1), (1e-3, 0.5)])
def test_with_a_small_delta_the_majority_is_followed_and_with_a_large_one_the_mean(delta: float, chosen: float) -> None:
    answers = torch.tensor([0.5, 0.5, 0.5, -0.3, -0.7])  # their mean is 0.1, their median 0.5
    tried = torch.linspace(-1.0, 1.0, 201)
    losses = huber(tried[:, None] - answers, delta).mean(dim=1)
    assert tried[losses.argmin()].item() == pytest.approx(chosen, abs=0.011)


def test_the_weighted_loss_by_hand() -> None:
    actions = torch.tensor([[0.6, 0.8, 0.0], [0.0, 0.0, 0.0]])  # of length 1 and 0: weights 3 and 1
    outputs = torch.tensor([[0.1, 0.8, 0.0], [0.0, 0.0, 2.0]])  # Huber: 0.125 and 1.5
    assert magnitude_weights(actions).tolist() == [[3.0], [1.0]]
    weights = magnitude_weights(actions)
    assert cloning_loss(outputs, actions, weights=weights).item() == pytest.approx((3 * 0.125 + 1.5) / 6)
    assert cloning_loss(outputs, actions).item() == pytest.approx((0.125 + 1.5) / 6)
    valid = torch.tensor([True, False])
    assert cloning_loss(outputs, actions, valid, weights=weights).item() == pytest.approx(3 * 0.125 / 3)
    assert cloning_loss(outputs, actions, torch.zeros(2, dtype=torch.bool), weights=weights).item() == 0.0
    halved = torch.tensor([1.0, 0.5])
    assert cloning_loss(outputs, actions, halved, weights=weights).item() == pytest.approx(
        (3 * 0.125 + 0.5 * 1.5) / (3 * 1.5)
    )


@pytest.mark.parametrize("is_spherical", [False, True])
def test_weights_are_of_each_sample_and_padding_has_no_gradient(is_spherical: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    actions = 2 * torch.rand(4, 5, 3, generator=generator) - 1
    outputs = torch.randn(4, 5, 4 if is_spherical else 3, generator=generator, requires_grad=True)
    valid = torch.rand(4, 5, generator=generator) < 0.6
    cloning_loss(outputs, actions, valid, is_spherical=is_spherical).backward()
    assert outputs.grad is not None
    assert (outputs.grad[~valid] == 0).all()
    one = outputs.detach()[2, valid[2]].requires_grad_()
    cloning_loss(one, actions[2, valid[2]], is_spherical=is_spherical).backward()
    assert one.grad is not None
    share = valid[2].sum() / valid.sum()  # a sample's weight does not depend on the others'
    assert outputs.grad[2, valid[2]] == pytest.approx(one.grad * share, abs=1e-6)


def test_ensembling_by_hand() -> None:
    """Chunks of 3, predicted at each step: at the third step three predictions meet, the oldest weighs most."""
    queue, m = Queue.empty(1, 3, 1), 0.5
    done = []
    for step in range(4):
        queue.add(torch.tensor([[[10.0 * step], [10.0 * step + 1], [10.0 * step + 2]]]), m)
        done.append(queue.pop().item())
    w = [math.exp(-m * i) for i in range(3)]
    assert done[0] == pytest.approx(0.0)
    assert done[1] == pytest.approx((w[0] * 1 + w[1] * 10) / (w[0] + w[1]))
    assert done[2] == pytest.approx((w[0] * 2 + w[1] * 11 + w[2] * 20) / sum(w))
    assert done[3] == pytest.approx((w[0] * 12 + w[1] * 21 + w[2] * 30) / sum(w))


def test_ensembling_against_keeping_everything() -> None:
    generator, chunk, robots, m = np.random.default_rng(0), 5, 3, 0.01
    made = generator.normal(size=(12, robots, chunk, 2)).astype(np.float32)
    queue = Queue.empty(robots, chunk, 2)
    for step in range(12):
        queue.add(torch.from_numpy(made[step]), m)
        told = [made[before][:, step - before] for before in range(max(0, step - chunk + 1), step + 1)]
        weights = np.exp(-m * np.arange(len(told)))[:, None, None]
        assert queue.pop().numpy() == pytest.approx((weights * told).sum(axis=0) / weights.sum(), abs=1e-6)


def test_chunks_are_carried_out_in_order_by_each_robot_for_itself() -> None:
    queue = Queue.empty(2, 3, 1)
    first = torch.arange(6.0).view(2, 3, 1)
    assert not queue.has_next().any()
    queue.replace(first, torch.tensor([True, True]))
    assert queue.pop().ravel().tolist() == [0.0, 3.0]
    queue.replace(first + 10, torch.tensor([False, True]))
    assert [queue.pop().ravel().tolist() for _ in range(2)] == [[1.0, 13.0], [2.0, 14.0]]
    assert queue.has_next().tolist() == [False, True]
    with pytest.raises(InvalidValueError, match=r"expected predictions \(2, 3, 1\)"):
        queue.add(torch.zeros(2, 4, 1), 0.0)
