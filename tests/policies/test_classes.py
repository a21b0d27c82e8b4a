"""What holds for every public class of policy, made directly."""

import shutil
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pytest
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.testing import assert_close
from zoo import (
    ADAPTS,
    ATTENDS,
    ENCODERS,
    ESTIMATES,
    GRU,
    LSTM,
    SHAPES,
    SMALL,
    STYLE,
    WITHHOLDS,
    assert_judged_as_at_the_time,
)

from poise import policies
from poise.algorithms import PPO, PPOConfig
from poise.config import parse
from poise.policies import (
    ActorCritic,
    ActorCriticClimbMutex,
    ActorCriticFieldMutex,
    ActorCriticMutex,
    ActorCriticRecurrent,
    AmpActorCritic,
    AmpActorCriticRecurrent,
    ComponentMemoryActorCritic,
    ComponentMemoryActorCriticRecurrent,
    EncoderActorCritic,
    EncoderActorCriticRecurrent,
    EncoderAmpActorCriticRecurrent,
    EncoderStateAc,
    EncoderStateAcRecurrent,
    FusionActorCritic,
    FusionActorCriticRecurrent,
    MutexConfig,
    PolicyConfig,
    PrivilegeStateAcRecurrent,
    StateAc,
    StateAcRecurrent,
    VisualDeterministicAC,
    VisualDeterministicRecurrent,
)
from poise.storage import Rollout

Kind = type[Any]
Observe = Callable[..., dict[str, Tensor]]
Experience = Callable[..., Rollout]
ENVS, STEPS = 5, 12
BOX = spaces.Box(-1, 1, (2,))
HEADS: dict[str, spaces.Space[Any]] = {"gaussian": BOX, "categorical": spaces.Discrete(3, start=1)}
CODES = {"encoders": ENCODERS}
LATENTS = {"encoders": {name: encoder | {"linear": True} for name, encoder in ENCODERS.items()}}
STATE = {"estimator": ESTIMATES | {"replace_prob": 0.5}}
PRIVILEGE = {"adaptor": ADAPTS}
MOTION = {"amp_discriminator": STYLE}
KINDS: dict[Kind, dict[str, Any]] = {
    ActorCritic: {},
    ActorCriticRecurrent: LSTM,
    EncoderActorCritic: CODES,
    EncoderActorCriticRecurrent: CODES | GRU,
    ComponentMemoryActorCritic: {"memories": {"heights": GRU["memory"]}},
    ComponentMemoryActorCriticRecurrent: {"memories": {"wind": LSTM["memory"]}} | GRU,
    StateAc: STATE,
    StateAcRecurrent: STATE | LSTM,
    PrivilegeStateAcRecurrent: PRIVILEGE | STATE | GRU,
    EncoderStateAc: CODES | STATE,
    EncoderStateAcRecurrent: CODES | STATE | GRU,
    FusionActorCritic: {"fusion": ATTENDS | WITHHOLDS | {"name": "cross_attention"}},
    FusionActorCriticRecurrent: {"fusion": ATTENDS | {"name": "transformer"}} | LSTM,
    VisualDeterministicAC: LATENTS,
    VisualDeterministicRecurrent: LATENTS | LSTM,
    AmpActorCritic: MOTION,
    AmpActorCriticRecurrent: MOTION | GRU,
    EncoderAmpActorCriticRecurrent: MOTION | CODES | LSTM,
}
PARTS: dict[str, Kind] = {"up": ActorCriticRecurrent, "down": EncoderActorCritic}
MUTEXES: dict[Kind, dict[str, Any]] = {
    ActorCriticFieldMutex: {"reset_non_selected": "all"},
    ActorCriticClimbMutex: {"kind": "climb", "action_smoothing_buffer_len": 2, "cmd_vel_mapping": {"up": [0.5, 1.0]}},
}


def cases(kinds: Iterable[Kind], *heads: str) -> list[Any]:
    return [pytest.param(kind, HEADS[head], id=f"{kind.__name__}-{head}") for kind in kinds for head in heads]


parameters = partial(pytest.mark.parametrize, ("kind", "space"))
learning = parameters(cases(KINDS, *HEADS))
acting = parameters([*cases(KINDS, *HEADS), *cases(MUTEXES, "gaussian")])
traced = parameters([*cases([*KINDS, *MUTEXES], "gaussian"), *cases([ActorCritic], "categorical")])


def make(kind: Kind, space: spaces.Space[Any] = BOX, **changes: Any) -> Any:
    """Small, the same weights every time."""
    if kind in MUTEXES:
        return make_mutex(kind)
    torch.manual_seed(1)
    policy = kind(SHAPES, space, parse(PolicyConfig, {"actor": SMALL, "critic": SMALL, **KINDS[kind], **changes}))
    with torch.no_grad():
        policy.actor.model[-1].weight.mul_(100.0)  # new heads hardly act
    return policy


def make_mutex(kind: Kind) -> Any:
    names = {"selector": "wind", "command": "position", "last_action": "speed"}
    config = {"sub_policies": {name: f"runs/{name}" for name in PARTS}, **names, **MUTEXES[kind]}
    parts = {name: make(part) for name, part in PARTS.items()}
    return kind(parts, SHAPES, parse(MutexConfig, config), {"up": 0.5}, 0.25)


def ends(_: int = 0) -> Tensor:
    return torch.rand(ENVS) < 0.2


def assert_finite(*tensors: Tensor) -> None:
    assert all(tensor.isfinite().all() for tensor in tensors)


def assert_possible(actions: Tensor, space: spaces.Space[Any]) -> None:
    assert actions.shape == (ENVS, *(space.shape or ()))
    if isinstance(space, spaces.Discrete):
        assert all(space.contains(int(action)) for action in actions)


def test_no_class_is_forgotten() -> None:
    public = [made for made in vars(policies).values() if isinstance(made, type) and made is not ActorCriticMutex]
    policies_of_all_kinds = {made for made in public if issubclass(made, ActorCritic | ActorCriticMutex)}
    assert {made for made in policies_of_all_kinds if not made.__name__.endswith("Mixin")} == {*KINDS, *MUTEXES}


@learning
@torch.no_grad()
def test_it_acts_and_evaluates_as_it_steps(observe: Observe, kind: Kind, space: spaces.Space[Any]) -> None:
    policy, twin = make(kind, space), make(kind, space)
    states: dict[str, Tensor] = {}
    for _ in range(STEPS):
        seen = policy.prepare(observe(ENVS))
        actions, values = policy.act(seen), policy.evaluate(seen)
        assert_possible(actions, space)
        assert values.shape == (ENVS,)
        step = twin.step(seen, states)
        found = values, policy.get_actions_log_prob(actions), policy.get_hidden_states()
        assert_close(found, (step.values, step.distribution.log_prob(actions), step.hidden_states))
        assert_finite(actions, values, *step.hidden_states.values())
        states = forgotten(step.hidden_states, policy)


@acting
@torch.no_grad()
def test_it_decides_as_it_infers(observe: Observe, kind: Kind, space: spaces.Space[Any]) -> None:
    policy, twin = make(kind, space), make(kind, space)
    states: dict[str, Tensor] = {}
    for _ in range(STEPS):
        seen = observe(ENVS)
        actions = policy.act_inference(seen)
        inferred, states = twin.infer(seen, states)
        assert_possible(actions, space)
        assert_close((actions, policy.get_hidden_states()), (inferred, states))
        assert_finite(actions, *states.values())
        states = forgotten(states, policy)
    policy.reset()
    assert policy.get_hidden_states() == {}


def forgotten(states: dict[str, Tensor], policy: Any) -> dict[str, Tensor]:
    """States after some episodes ended, as a policy that keeps its own has them when it is told."""
    dones = ends()
    policy.reset(dones)
    left = {name: torch.where(dones[:, None], 0.0, state) for name, state in states.items()}
    assert_close(policy.get_hidden_states(), left)
    return left


@learning
def test_actions_are_judged_as_when_they_were_taken(
    experience: Experience, kind: Kind, space: spaces.Space[Any]
) -> None:
    config = PPOConfig(num_steps=STEPS, num_epochs=1, num_minibatches=2)
    ppo, rollout = PPO(make(kind, space), config), Rollout(STEPS, ENVS)
    for _ in range(2):  # the second begins with what is remembered, by weights that have changed since
        experience(ppo, rollout, ends)
        assert_judged_as_at_the_time(ppo, rollout)
        ppo.update(rollout, torch.zeros(ENVS), 0.0)


class Acting(nn.Module):
    """`infer` and `act_inference` as a module, as compilers and exporters want it."""

    def __init__(self, policy: Any) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, observation: dict[str, Tensor], states: dict[str, Tensor]) -> tuple[Any, Tensor]:
        return self.policy.infer(observation, states), self.policy.act_inference(observation)


@traced
@torch.no_grad()
def test_compiled_it_acts_the_same(observe: Observe, kind: Kind, space: spaces.Space[Any]) -> None:
    torch.compiler.reset()
    policy, states = remembering(kind, space, observe)
    with torch._dynamo.config.patch(allow_rnn=True):  # else torch does not look into its LSTM and GRU
        compiled = torch.compile(Acting(policy), backend="eager", fullgraph=True)
        for _ in range(2):
            seen = observe(ENVS)
            inferred, (acted, kept) = policy.infer(seen, states), policy.infer(seen, policy.get_hidden_states())
            assert_close(compiled(seen, states), (inferred, acted))
            assert_close(policy.get_hidden_states(), kept)
            _, states = inferred


@pytest.mark.skipif(shutil.which("c++") is None, reason="torch compiles to C++")
@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_compiled_to_machine_code_it_acts_the_same(make_policy: Callable[..., Any], observe: Observe) -> None:
    """By torch's own compiler, as the guide has it, of a policy that encodes, estimates and remembers."""
    torch.compiler.reset()
    settings = {"encoders": ENCODERS} | LSTM | {"estimator": ESTIMATES | {"replace_prob": 1.0}}
    policy, twin = make_policy(**settings), make_policy(**settings)
    fast = torch.compile(policy.act_inference)
    for _ in range(3):
        seen = observe(ENVS)
        assert_close(fast(seen), twin.act_inference(seen), rtol=1e-4, atol=1e-5)


@traced
@pytest.mark.filterwarnings("ignore")  # torch's own, about its LSTM's weights
def test_exported_it_acts_the_same(observe: Observe, kind: Kind, space: spaces.Space[Any]) -> None:
    policy, states = remembering(kind, space, observe)
    kept = policy.get_hidden_states()
    exported = torch.export.export(Acting(policy), (observe(ENVS), states)).module()
    assert_close(policy.get_hidden_states(), kept, rtol=0, atol=0)
    for _ in range(2):  # what is exported acts from what was remembered then, and keeps nothing
        seen = observe(ENVS)
        inferred, (acted, _) = policy.infer(seen, states), policy.infer(seen, kept)
        assert_close(exported(seen, states), (inferred, acted))
        _, states = inferred


class Inferring(nn.Module):
    """What is deployed: states in, states out."""

    def __init__(self, policy: Any) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, seen: dict[str, Tensor], states: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        return self.policy.infer(seen, states)  # type: ignore[no-any-return]


@parameters(cases([*MUTEXES, StateAcRecurrent], "gaussian"))
@pytest.mark.filterwarnings("ignore")
def test_exported_it_acts_for_any_number_of_robots(observe: Observe, kind: Kind, space: spaces.Space[Any]) -> None:
    policy, states = remembering(kind, space, observe)
    seen, robots = observe(ENVS), torch.export.Dim("robots", min=1, max=64)
    axes = {name: {0: robots} for name in seen}, {name: {1: robots} for name in states}
    exported = torch.export.export(Inferring(policy), (seen, states), dynamic_shapes=axes).module()
    more, remembered = observe(2 * ENVS), {name: state.repeat(1, 2, 1) for name, state in states.items()}
    assert_close(exported(more, remembered), policy.infer(more, remembered))


def remembering(kind: Kind, space: spaces.Space[Any], observe: Observe) -> tuple[Any, dict[str, Tensor]]:
    """A policy that acted before, and what it remembers of others."""
    policy = make(kind, space).eval().requires_grad_(False)
    policy.act_inference(observe(ENVS))
    _, states = policy.infer(observe(ENVS), {})
    return policy, states


@pytest.mark.parametrize("kind", [StateAcRecurrent, PrivilegeStateAcRecurrent, EncoderStateAcRecurrent])
def test_what_remembers_estimates_with_memory_without_being_told_of_one(observe: Observe, kind: Kind) -> None:
    policy = make(kind, memory=None)
    policy.act_inference(observe(ENVS))
    names = {name.split(".")[0] for name in policy.get_hidden_states()}
    assert names == {"memory_a", *(name for name in ("estimator", "adaptor") if name in KINDS[kind])}
