import math

import pytest
import torch
from torch import Tensor

from poise.perception import info_nce
from poise.perception.contrastive import AlignmentHeads, cosine_similarities, partner_ranks

THREE = (torch.tensor([[2.0, 0.0], [0.0, 0.5], [1.0, 1.0]]), torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 7.0]]))


def test_info_nce_is_the_arithmetic_done_by_hand() -> None:
    """u = e1, e2 and v = e1, e1 at a temperature of 0.5: logits [[2, 2], [0, 0]].

    Rows: both partners have 1/2, so log 2. Columns: exp 2 against 1, in which the first partner has e²/(e² + 1) and the
    second 1/(e² + 1).
    """
    u = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    v = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    rows = math.log(2)
    columns = 0.5 * (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(2)))
    assert info_nce(u, v, 0.5).item() == pytest.approx(0.5 * (rows + columns), rel=1e-6)


def test_info_nce_by_sums_of_exponentials() -> None:
    generator = torch.Generator().manual_seed(0)
    u, v = torch.randn(2, 6, 4, generator=generator, dtype=torch.float64)
    s = [[float(a @ b / a.norm() / b.norm()) / 0.3 for b in v] for a in u]
    total = 0.0
    for i in range(6):
        total -= math.log(math.exp(s[i][i]) / sum(math.exp(s[i][j]) for j in range(6)))
        total -= math.log(math.exp(s[i][i]) / sum(math.exp(s[j][i]) for j in range(6)))
    assert info_nce(u, v, 0.3).item() == pytest.approx(total / 12, rel=1e-12)
    assert info_nce(v, u, 0.3).item() == pytest.approx(total / 12, rel=1e-12)  # both directions count alike
    assert info_nce(5 * u, 0.1 * v, 0.3).item() == pytest.approx(total / 12, rel=1e-12)  # angles, not lengths


def test_knowing_nothing_has_the_loss_of_guessing_and_knowing_all_none() -> None:
    same = torch.ones(32, 5)
    assert info_nce(same, same, 0.07).item() == pytest.approx(math.log(32), rel=1e-6)
    apart = torch.eye(32)
    assert info_nce(apart, apart, 0.01).item() < 1e-6


def test_cosines_and_ranks() -> None:
    u, v = THREE
    half = 0.5**0.5
    torch.testing.assert_close(cosine_similarities(u, v), torch.tensor([[1, 1, 0], [0, 0, 1], [half] * 3]).float())
    assert partner_ranks(u, v).tolist() == [2, 3, 3]  # ties count against it


def heads(width: int = 3, mean: Tensor | None = None, std: Tensor | None = None) -> AlignmentHeads:
    mean, std = torch.zeros(width) if mean is None else mean, torch.ones(width) if std is None else std
    torch.manual_seed(0)
    return AlignmentHeads(8, mean, std, (16,), 4, temperature=0.07)


def test_heads_read_all_cameras_of_a_moment_and_standardise_what_was_felt() -> None:
    features, felt = torch.rand(10, 4), torch.rand(5, 3)
    mean, std = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([2.0, 0.1, 3.0])
    u, v = heads()(features, felt)
    assert u.shape == v.shape == (5, 4)
    torch.testing.assert_close(heads(mean=mean, std=std)(features, felt * std + mean)[1], v)
    other = features.clone()
    other[3] += 1.0  # the second camera of the second moment
    changed = (heads()(other, felt)[0] != u).any(dim=1)
    assert changed.tolist() == [False, True, False, False, False]


@pytest.mark.parametrize(("pushed", "bound"), [(-100.0, 0.01), (100.0, 1.0)])
def test_the_temperature_is_bounded_and_can_leave_the_bound(pushed: float, bound: float) -> None:
    one = heads()
    assert one.temperature.item() == pytest.approx(0.07)
    with torch.no_grad():
        one.log_temperature += pushed
    one.bound_temperature()
    assert one.temperature.item() == pytest.approx(bound)
    u, v = one(torch.rand(10, 4), torch.rand(5, 3))
    info_nce(u, v, one.temperature).backward()
    assert one.log_temperature.grad is not None
    assert one.log_temperature.grad.abs() > 0
