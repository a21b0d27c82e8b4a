import math
from typing import Literal

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from poise.nn import ChangeMemory, forget


@pytest.fixture(params=["lstm", "gru"])
def memory(request: pytest.FixtureRequest) -> ChangeMemory:
    torch.manual_seed(0)
    kind: Literal["lstm", "gru"] = request.param
    memory = ChangeMemory(3, kind, num_layers=2, hidden_size=5)
    memory.normalizer.update(torch.randn(100, 3) * torch.tensor([0.1, 1.0, 3.0]))
    return memory


def one_by_one(
    memory: ChangeMemory, features: Tensor, states: dict[str, Tensor], starts: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    outputs = []
    for row, start in zip(features, starts, strict=True):
        output, states = memory.step(row, forget(states, start))
        outputs.append(output)
    return torch.stack(outputs), states


@pytest.mark.parametrize(("steps", "envs", "share"), [(1, 1, 0), (9, 4, 0), (9, 4, 0.3), (30, 3, 1), (6, 1, 0.5)])
def test_a_sequence_is_its_steps_whether_it_begins_in_an_episode_or_not(
    memory: ChangeMemory, steps: int, envs: int, share: float
) -> None:
    states = memory.initial_states(envs)
    for _ in range(4):  # each goes on where the last one ended
        features, starts = torch.randn(steps, envs, 3), torch.rand(steps, envs) < share
        found = memory.sequence(features, states, starts)
        expected, states = one_by_one(memory, features, states, starts)
        assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_changes_by_hand() -> None:
    memory = ChangeMemory(1, hidden_size=2)
    features = torch.tensor([[1.0], [1.5], [7.0], [6.0]])[:, None]
    starts = torch.tensor([False, False, True, False])[:, None]
    states = memory.initial_states(1) | {"previous": torch.full((1, 1, 1), 0.25), "known": torch.ones(1, 1, 1)}
    memory.calibrate(features, states, starts)  # 0.75, 0.5 and -1
    mean, std = 0.25 / 3, math.sqrt((0.75**2 + 0.5**2 + 1.0) / 3 - (0.25 / 3) ** 2)
    assert memory.normalizer.mean.item() == pytest.approx(mean)
    assert memory.normalizer.std.item() == pytest.approx(std)
    scaled = [(change - mean) / (std + 1e-3) for change in (0.75, 0.5, -1.0)]
    expected = [[1.0, scaled[0]], [1.5, scaled[1]], [7.0, 0.0], [6.0, scaled[2]]]
    assert_close(memory.sequence(features, states, starts)[:, 0, 2:], torch.tensor(expected))


def test_small_changes_of_large_signals_come_at_unit_scale(memory: ChangeMemory) -> None:
    memory = ChangeMemory(2, hidden_size=4)
    steps = torch.randn(500, 8, 2) * torch.tensor([0.01, 0.2])
    features, starts = 3.0 + steps.cumsum(0), torch.zeros(500, 8, dtype=torch.bool)
    memory.calibrate(features, memory.initial_states(8), starts)
    changes = memory.sequence(features, memory.initial_states(8), starts)[1:, :, -2:]
    assert_close(changes.std((0, 1)), torch.ones(2), rtol=0.12, atol=0)  # eps is a tenth of the smaller one
