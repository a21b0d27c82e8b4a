"""Outputs that a refactor must reproduce: `golden.json`, of weights and inputs that follow a formula.

A change that is meant to change them writes them anew: python tests/policies/test_golden.py
"""

import json
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.testing import assert_close

sys.path.insert(0, str(Path(__file__).parent))
from zoo import SHAPES, SMALL, ZOO

from poise.config import parse
from poise.nn import (
    Conv2dHeadModel,
    Conv2dModel,
    EmpiricalNormalization,
    Memory,
    MlpModel,
    Normalize,
    Normalizer,
    RunningMeanStd,
)
from poise.policies import (
    ActorCritic,
    ActorCriticClimbMutex,
    ActorCriticFieldMutex,
    AMPDiscriminator,
    MutexConfig,
    PolicyConfig,
    Sequences,
    VisualDeterministicAC,
    VisualDeterministicRecurrent,
    build_policy,
)

FILE = Path(__file__).with_name("golden.json")
Outputs = dict[str, Tensor]
SEES = {"image": {"latent_size": 3, "linear": True, "channels": [2], "kernel_sizes": [3], "strides": [2]}}


def numbers(*shape: int, start: float = 0.0) -> Tensor:
    """Between -1 and 1, by a formula."""
    count = int(np.prod(shape))
    return torch.sin(1.7 * torch.arange(count, dtype=torch.float64) + start).float().reshape(shape)


def filled(module: Any) -> Any:
    """With weights and statistics by a formula, in the order of their names."""
    for i, (name, value) in enumerate(sorted(module.state_dict().items())):
        if value.is_floating_point() and value.dtype == torch.float32:
            given = 0.4 * numbers(*value.shape, start=float(i))
            value.copy_(given.abs() + 0.5 if name.endswith(("var", "std")) else given)
    return module.eval()


def of_block(make: Callable[[], nn.Module], *shape: int) -> Outputs:
    return {"output": filled(make())(numbers(*shape))}


def of_memory(kind: Any) -> Outputs:
    memory = filled(Memory(3, kind, 2, 4))
    starts = torch.tensor([[False, True], [False, False], [True, False], [False, True]])
    before = {name: 0.5 * numbers(2, 2, 4, start=9.0) for name in memory.state_names}
    stepped, after = memory.step(numbers(2, 3), before)
    return {"step": stepped, **after, "sequence": memory.sequence(numbers(4, 2, 3), before, starts)}


def of_statistics(kind: Callable[..., Any], *arguments: Any) -> Outputs:
    made, samples = kind(*arguments), numbers(3, 5, 4)
    for some in samples:
        (made.update_normalizer if isinstance(made, Normalizer) else made.update)(
            some if isinstance(made, nn.Module) else some.double().numpy()
        )
    told = {"mean": torch.as_tensor(made.mean), "var": torch.as_tensor(made.var)}
    if isinstance(made, RunningMeanStd):
        return told | ({"output": made.normalize_torch(samples[0])} if isinstance(made, Normalizer) else {})
    return told | {"output": made(samples[0])}


def of_discriminator() -> Outputs:
    made, pairs = filled(AMPDiscriminator(6, 0.7, (8, 5), 0.3, 5.0)), numbers(4, 6)
    reward, style = made.predict_style_reward(pairs, numbers(4))
    return {"score": made(pairs), "penalty": made.compute_grad_pen(pairs), "reward": reward, "style": style}


def of_zoo(config: dict[str, Any], discrete: bool) -> Outputs:
    """Three steps of four robots, and what is thought of fixed actions."""
    space = spaces.Discrete(3) if discrete else spaces.Box(-1, 1, (2,))
    policy = filled(build_policy(SHAPES, space, parse(PolicyConfig, {"actor": SMALL, "critic": SMALL, **config})))
    states: Mapping[str, Tensor] = {}
    found: Outputs = {}
    for t in range(3):
        seen = {name: numbers(4, *shape, start=3.0 * t + i) for i, (name, shape) in enumerate(SHAPES.items())}
        step = policy.step(seen, states)
        states = step.hidden_states
        found |= {f"mode {t}": step.distribution.mode, f"values {t}": step.values}
    actions = torch.tensor([0, 1, 2, 1]) if discrete else numbers(4, 2)
    single = {name: value[None] for name, value in seen.items()}
    judged = policy.judge(single, actions[None], Sequences({}, torch.zeros(1, 4, dtype=torch.bool)))
    return found | {"log_probs": judged.log_probs[0], "entropies": judged.entropies[0], **judged.auxiliary_losses}


def of_visual(kind: Callable[..., ActorCritic]) -> Outputs:
    shapes = {"image": (1, 8, 8), "vel": (3,)}
    policy = filled(kind(shapes, spaces.Box(-1, 1, (2,)), parse(PolicyConfig, {"encoders": SEES, "actor": SMALL})))
    seen = {name: numbers(4, *shape) for name, shape in shapes.items()}
    return {"latent": policy.embed_visual_latent(seen)["image"], "first": policy.act(seen), "second": policy.act(seen)}


def of_mutex(kind: type[ActorCriticFieldMutex], names: tuple[str, ...]) -> Outputs:
    shapes = {"engaging_block": (3,), "vel": (3,)}
    whole = parse(PolicyConfig, {"actor": SMALL, "critic": SMALL, "memory": {"hidden_size": 4}})
    policies = {name: filled(build_policy(shapes, spaces.Box(-1, 1, (2,)), whole)) for name in names}
    with torch.no_grad():
        for i, policy in enumerate(policies.values()):
            policy.actor.model[-1].bias += i
    settings = {"kind": kind.kind, "sub_policies": dict.fromkeys(names, "")}
    config = parse(MutexConfig, settings | {"action_smoothing_buffer_len": 2})
    mutex = kind(policies, shapes, config, {names[0]: 0.5})
    fields = torch.tensor([[[1.0, 0, 0], [0, 1, 0.3]], [[0, 1, -0.3], [0, 1, 0.3]], [[0, 1, 0.3], [0, 1, -0.3]]])
    return {f"{t}": mutex.act_inference({"engaging_block": f, "vel": numbers(2, 3)}) for t, f in enumerate(fields)}


KINDS: dict[str, Callable[[], Outputs]] = {
    "MlpModel": partial(of_block, lambda: MlpModel(4, (6, 5), 3, "elu"), 2, 4),
    "Conv2dModel": partial(of_block, lambda: Conv2dModel(2, (3, 4), (3, 2), (2, 1)), 2, 2, 7, 6),
    "Conv2dHeadModel": partial(of_block, lambda: Conv2dHeadModel((2, 7, 6), (3,), (3,), (2,), 5, 4), 2, 2, 7, 6),
    "Normalize": partial(of_block, Normalize, 2, 3),
    "Memory, LSTM": partial(of_memory, "lstm"),
    "Memory, GRU": partial(of_memory, "gru"),
    "EmpiricalNormalization": partial(of_statistics, EmpiricalNormalization, 4),
    "RunningMeanStd": partial(of_statistics, RunningMeanStd, 1e-4, (4,)),
    "Normalizer": partial(of_statistics, Normalizer, 4),
    "AMPDiscriminator": of_discriminator,
    **{f"{name}, box": partial(of_zoo, config, False) for name, config in ZOO.items()},
    **{f"{name}, discrete": partial(of_zoo, config, True) for name, config in ZOO.items()},
    "VisualDeterministicAC": partial(of_visual, VisualDeterministicAC),
    "VisualDeterministicRecurrent": partial(of_visual, VisualDeterministicRecurrent),
    "ActorCriticFieldMutex": partial(of_mutex, ActorCriticFieldMutex, ("flat", "up", "down")),
    "ActorCriticClimbMutex": partial(of_mutex, ActorCriticClimbMutex, ("flat", "up", "down")),
}


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_are_what_they_were(kind: str) -> None:
    golden = json.loads(FILE.read_text())[kind]
    found = {name: value.detach() for name, value in KINDS[kind]().items()}
    assert list(found) == list(golden)
    for name, value in found.items():
        assert_close(value.double(), torch.tensor(golden[name], dtype=torch.float64), atol=1e-5, rtol=1e-5)


def test_nothing_else_is_golden() -> None:
    assert list(json.loads(FILE.read_text())) == list(KINDS)


def _write() -> None:
    whole = {
        kind: {name: np.round(value.detach().double().numpy(), 7).tolist() for name, value in outputs().items()}
        for kind, outputs in KINDS.items()
    }
    lines = [f"{json.dumps(kind)}: {json.dumps(outputs)}" for kind, outputs in whole.items()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    _write()
