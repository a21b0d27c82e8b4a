import math
import random
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from poise.errors import PoiseError
from poise.nn import ChangeMemory, LstmHiddenState, Memory, forget

Type = Literal["lstm", "gru"]


@pytest.fixture(params=["lstm", "gru"])
def memory(request: pytest.FixtureRequest) -> Memory:
    torch.manual_seed(0)
    return Memory(3, request.param, num_layers=2, hidden_size=5)


def one_by_one(memory: Memory, features: Tensor, states: dict[str, Tensor], starts: Tensor) -> Tensor:
    outputs = []
    for row, start in zip(features, starts, strict=True):
        output, states = memory.step(row, forget(states, start))
        outputs.append(output)
    return torch.stack(outputs)


def remembered(memory: Memory, num_envs: int) -> dict[str, Tensor]:
    return {name: torch.randn_like(state) for name, state in memory.initial_states(num_envs).items()}


@pytest.mark.parametrize(("steps", "envs", "share"), [(1, 1, 0), (9, 4, 0), (9, 4, 0.3), (30, 3, 1), (6, 1, 0.5)])
def test_a_sequence_is_its_steps(memory: Memory, steps: int, envs: int, share: float) -> None:
    for _ in range(5):
        features = torch.randn(steps, envs, 3)
        states, starts = remembered(memory, envs), torch.rand(steps, envs) < share
        found = memory.sequence(features, states, starts)
        assert_close(found, one_by_one(memory, features, states, starts), rtol=1e-5, atol=1e-6)


def test_so_are_its_gradients(memory: Memory) -> None:
    features, states, starts = torch.randn(12, 4, 3), remembered(memory, 4), torch.rand(12, 4) < 0.2
    gradients = []
    for outputs in (memory.sequence(features, states, starts), one_by_one(memory, features, states, starts)):
        loss = (outputs * torch.arange(5.0)).square().mean()
        gradients.append(torch.autograd.grad(loss, list(memory.parameters())))
    assert_close(gradients[0], gradients[1], rtol=1e-5, atol=1e-6)


def test_an_lstm_by_hand() -> None:
    memory = Memory(1, "lstm", hidden_size=1)
    for parameter in memory.parameters():
        torch.nn.init.constant_(parameter, 0.5)  # every gate reads 0.5 x + 0.5 h + 1
    states = {"hidden": torch.full((1, 1, 1), 0.2), "cell": torch.full((1, 1, 1), -0.4)}
    read = 0.5 * 2.0 + 0.5 * 0.2 + 1.0
    gate = 1.0 / (1.0 + math.exp(-read))
    cell = gate * -0.4 + gate * math.tanh(read)
    output, after = memory.step(torch.tensor([[2.0]]), states)
    assert after["cell"].item() == pytest.approx(cell)
    assert output.item() == after["hidden"].item() == pytest.approx(gate * math.tanh(cell))


@pytest.mark.parametrize("number", [torch.bool, torch.int64, torch.float32])
def test_forgetting_takes_any_kind_of_number(memory: Memory, number: torch.dtype) -> None:
    """Indexing with integers would forget environments 0 and 1 whoever is done."""
    states = remembered(memory, 3)
    forgotten = forget(states, torch.tensor([0, 0, 1]).to(number))
    for name, state in states.items():
        assert_close(forgotten[name][:, :2], state[:, :2])
        assert not forgotten[name][:, 2].any()
        assert state[:, 2].all()  # what was given stays as it was


@pytest.mark.parametrize("shape", [(1,), (3, 1), (4,)])
def test_forgetting_takes_one_number_for_each_environment(memory: Memory, shape: tuple[int, ...]) -> None:
    with pytest.raises(PoiseError, match=r"dones must be of shape \(3,\), got"):
        forget(remembered(memory, 3), torch.zeros(shape))


@pytest.mark.parametrize("dones", [[False, True, False], np.array([0.0, 1.0, 0.0])], ids=["list", "array"])
def test_what_was_not_a_number_is_forgotten_too(memory: Memory, dones: Any) -> None:
    states = remembered(memory, 3)
    for state in states.values():
        state[:, 1] = math.nan
    for name, state in forget(states, dones).items():
        assert not state[:, 1].any()
        assert_close(state[:, [0, 2]], states[name][:, [0, 2]])


@pytest.mark.parametrize("dones", [[2, 0, 1], [0.5, 0.0, 0.0]], ids=["indices", "shares"])
def test_forgetting_takes_truth_values(memory: Memory, dones: list[float]) -> None:
    with pytest.raises(PoiseError, match="dones must be truth values, one for each environment"):
        forget(remembered(memory, 3), torch.tensor(dones))


def test_what_it_keeps_itself(memory: Memory) -> None:
    assert memory.hidden_states is None
    features = torch.randn(4, 3, 3)
    dones = torch.tensor([0, 1, 0])
    found = []
    for row in features:
        found.append(memory(row))
        memory.reset(dones)
    starts = torch.tensor([[False] * 3] + [[False, True, False]] * 3)
    assert_close(torch.stack(found), memory.sequence(features, memory.initial_states(3), starts), rtol=1e-5, atol=1e-6)
    assert isinstance(memory.hidden_states, LstmHiddenState if len(memory.state_names) == 2 else Tensor)
    memory.reset()
    assert memory.hidden_states is None


def test_padded_trajectories(memory: Memory) -> None:
    features, states = torch.randn(6, 2, 3), remembered(memory, 2)
    masks = torch.arange(6)[:, None] < torch.tensor([6, 4])
    given = LstmHiddenState(**states) if len(states) == 2 else states["hidden"]
    found = memory(features, masks, given)
    whole = memory.sequence(features, states, torch.zeros(6, 2, dtype=torch.bool))
    assert_close(found, whole * masks[..., None])
    assert memory.hidden_states is None


def test_there_are_two_kinds() -> None:
    with pytest.raises(PoiseError, match="unknown memory 'rnn'; expected lstm or gru"):
        Memory(3, "rnn")  # type: ignore[arg-type]


def test_a_gru_by_hand() -> None:
    memory = Memory(1, "gru", hidden_size=1)
    for parameter in memory.parameters():
        torch.nn.init.constant_(parameter, 0.5)  # gates read 0.5 x + 0.5 h + 1, as many biases as an LSTM has
    gate = 1.0 / (1.0 + math.exp(-(0.5 * 2.0 + 0.5 * 0.2 + 1.0)))  # of what is forgotten, and of what is kept
    candidate = math.tanh(0.5 * 2.0 + 0.5 + gate * (0.5 * 0.2 + 0.5))
    output, after = memory.step(torch.tensor([[2.0]]), {"hidden": torch.full((1, 1, 1), 0.2)})
    assert_close(output, torch.tensor([[(1.0 - gate) * candidate + gate * 0.2]]))
    assert_close(after["hidden"][0], output)


@pytest.mark.parametrize("seed", range(40))
def test_a_sequence_of_any_shape_is_its_steps(seed: int) -> None:
    draw = random.Random(seed)
    layers, width, hidden, steps, envs = (draw.randint(1, most) for most in (3, 4, 5, 9, 4))
    kind, share = draw.choice(["lstm", "gru"]), draw.choice([0.0, 0.2, 1.0])
    torch.manual_seed(seed)
    memory: Any = draw.choice([Memory, ChangeMemory])(width, kind, layers, hidden)
    features, starts = torch.randn(steps, envs, width), torch.rand(steps, envs) < share
    states = remembered(memory, envs)
    found = memory.sequence(features, states, starts)
    assert found.shape == (steps, envs, memory.output_size)
    assert_close(found, one_by_one(memory, features, states, starts), rtol=1e-5, atol=1e-5)
    assert_close(memory.sequence(features, states, starts.long()), found, rtol=0, atol=0)  # 0 and 1 are truth values


@pytest.mark.parametrize("kind", [Memory, ChangeMemory])
def test_what_a_finished_episode_remembered_does_not_matter_were_it_no_number(kind: Any) -> None:
    memory = kind(3, "gru", hidden_size=5)
    features, starts = torch.randn(4, 2, 3), torch.tensor([[True, True]] + [[False, False]] * 3)
    broken = {name: torch.full_like(state, math.nan) for name, state in memory.initial_states(2).items()}
    fresh = memory.initial_states(2)
    assert_close(memory.sequence(features, broken, starts), memory.sequence(features, fresh, starts))


def test_a_step_from_given_states(memory: Memory) -> None:
    states = remembered(memory, 2)
    given = tuple(states[name] for name in memory.state_names)
    memory(torch.randn(2, 3))
    found = memory(torch.ones(2, 3), None, given[0] if len(given) == 1 else given)
    assert_close(found, memory.step(torch.ones(2, 3), states)[0])


def test_starts_that_are_none(memory: Memory) -> None:
    features, states = torch.randn(3, 2, 3), memory.initial_states(2)
    with pytest.raises(PoiseError, match=r"starts must be of shape \(3, 2\), as the sequence is, got \(3,\)"):
        memory.sequence(features, states, torch.zeros(3, dtype=torch.bool))
    with pytest.raises(PoiseError, match="starts must be truth values, one for each step .* got .7"):
        memory.sequence(features, states, torch.full((3, 2), 7))
