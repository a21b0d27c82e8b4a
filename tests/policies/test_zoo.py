"""What holds for every kind of policy that a configuration can describe."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.testing import assert_close
from zoo import SHAPES, ZOO, assert_judged_as_at_the_time, minibatches

from poise.algorithms import PPO
from poise.nn import forget
from poise.policies import ActorCritic
from poise.policies.look import Look
from poise.storage import Minibatch, Rollout

MakePolicy = Callable[..., ActorCritic]
MakePPO = Callable[..., PPO]
Experience = Callable[..., Rollout]
ENVS, STEPS = 5, 24
ENDS: dict[str, Callable[[int], Tensor]] = {
    "never": lambda t: torch.zeros(ENVS, dtype=torch.bool),
    "now and then": lambda t: torch.rand(ENVS) < 0.1,
    "always": lambda t: torch.ones(ENVS, dtype=torch.bool),
    "all at once": lambda t: torch.full((ENVS,), t % 7 == 6),
    "with the rollout": lambda t: torch.full((ENVS,), t == STEPS - 1),
}
MEMORIES = [name for name, config in ZOO.items() if {"memory", "memories"} & set(config)]
with_memory = pytest.mark.parametrize("config", [ZOO[name] for name in MEMORIES], ids=MEMORIES)
zoo = pytest.mark.parametrize("config", ZOO.values(), ids=ZOO)
ends_of_episodes = pytest.mark.parametrize("ends", ENDS.values(), ids=ENDS)


@zoo
@ends_of_episodes
@pytest.mark.parametrize("space", [spaces.Box(-1, 1, (2,)), spaces.Discrete(3, start=1)], ids=["box", "discrete"])
def test_the_first_minibatch_sees_a_ratio_of_one(
    make_ppo: MakePPO,
    experience: Experience,
    config: dict[str, Any],
    ends: Callable[[int], Tensor],
    space: spaces.Space[Any],
) -> None:
    ppo = make_ppo(config, space=space, num_steps=STEPS, num_minibatches=2, num_epochs=2)
    rollout = Rollout(STEPS, ENVS)
    for _ in range(2):  # the second begins with what is remembered, by weights that have changed since
        experience(ppo, rollout, ends)
        assert_judged_as_at_the_time(ppo, rollout)
        ppo.update(rollout, torch.zeros(ENVS), 0.0)


@with_memory
@ends_of_episodes
def test_learning_from_sequences_is_learning_from_their_steps(
    make_ppo: MakePPO, experience: Experience, config: dict[str, Any], ends: Callable[[int], Tensor]
) -> None:
    ppo = make_ppo(config, num_steps=STEPS)
    rollout = Rollout(STEPS, ENVS)
    for _ in range(2):
        experience(ppo, rollout, ends)
    (batch,) = minibatches(ppo, rollout, count=1)
    loss, _ = ppo._loss(ppo.policy, batch, 0.0)
    found = torch.autograd.grad(loss, list(ppo.policy.parameters()), materialize_grads=True)
    stepwise = torch.autograd.grad(loss_step_by_step(ppo, batch), list(ppo.policy.parameters()), materialize_grads=True)
    for ours, theirs in zip(found, stepwise, strict=True):
        assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def loss_step_by_step(ppo: PPO, batch: Minibatch) -> Tensor:
    """PPO's loss, looking at one observation after the other."""
    assert batch.sequences is not None
    states, starts = batch.sequences
    judged, auxiliary = [], []
    for t in range(STEPS):
        look = Look({name: value[t] for name, value in batch.observations.items()}, forget(states, starts[t]))
        distribution, values = ppo.policy._distribution(look), ppo.policy._values(look)
        judged.append((distribution.log_prob(batch.actions[t]), values))
        auxiliary.append(sum(ppo.policy.auxiliary_losses(look).values(), torch.zeros(())))
        states = look.states
    log_probs, values = (torch.stack(parts) for parts in zip(*judged, strict=True))
    ratio = torch.exp(log_probs - batch.log_probs)
    surrogate = torch.min(ratio * batch.advantages, ratio.clamp(0.8, 1.2) * batch.advantages).mean()
    critic = (values - batch.returns).square().mean()
    return critic - surrogate + torch.stack(auxiliary).mean()


@zoo
def test_states_continue_bit_for_bit(make_ppo: MakePPO, experience: Experience, config: dict[str, Any]) -> None:
    found = []
    for breaks in (False, True):
        ppo, rollout = make_ppo(config, num_steps=STEPS, ewma={}), Rollout(STEPS, ENVS)
        for _ in range(2):
            if breaks:
                state, ppo = ppo.state(), make_ppo(config, num_steps=STEPS, ewma={})
                ppo.load_state(state)
            torch.manual_seed(7)
            experience(ppo, rollout, ENDS["now and then"])
            ppo.update(rollout, torch.zeros(ENVS), 0.0)
        found.append(ppo.state())
    assert_close(found[0], found[1], rtol=0, atol=0)


@zoo
def test_the_value_of_an_observation_is_what_stepping_on_it_gives(
    make_policy: MakePolicy, observe: Callable[..., dict[str, Tensor]], config: dict[str, Any]
) -> None:
    """What the actor is shown in place of the truth, or not at all, is nothing to the critic."""
    policy = make_policy(**config).requires_grad_(False)
    prepared = policy.prepare(observe(ENVS))
    seen = {name: value for name, value in prepared.items() if name in SHAPES}
    assert_close(policy.step(prepared, {}).values, policy.value_of(seen, {}))


OF_ONE_TOKEN = {
    "hierarchical_attention": r"fusion\.(within|pools)\.(air|ground)\.",
    "vision_language_action": r"fusion\.attention\.",
}
"""Attentions of `ZOO` to a single token, by the way of fusing: what asks and answers there has no gradient but
rounding, which on some processors moves it."""


def _asks_for_one_token(config: dict[str, Any], name: str) -> bool:
    attention = OF_ONE_TOKEN.get(config.get("fusion", {}).get("name", ""))
    return attention is not None and re.search(rf"{attention}.*(query|key)", name) is not None


@zoo
def test_every_parameter_learns(make_ppo: MakePPO, experience: Experience, config: dict[str, Any]) -> None:
    ppo = make_ppo(config, num_steps=STEPS)
    before = {name: value.clone() for name, value in ppo.policy.named_parameters()}
    ppo.update(experience(ppo, Rollout(STEPS, ENVS), ENDS["now and then"]), torch.zeros(ENVS), 0.0)
    unmoved = [
        name
        for name, value in ppo.policy.named_parameters()
        if torch.equal(value, before[name]) and not _asks_for_one_token(config, name)
    ]
    assert unmoved == [name for name in before if name.startswith("discriminator.")]  # adversarial PPO's own


@zoo
def test_samples_do_not_see_each_other(
    make_policy: MakePolicy, observe: Callable[..., dict[str, Tensor]], config: dict[str, Any]
) -> None:
    policy, seen = make_policy(**config), observe(ENVS)
    together, _ = policy.infer(seen, {})
    for i in range(ENVS):
        alone, _ = policy.infer({name: value[i : i + 1] for name, value in seen.items()}, {})
        assert_close(alone[0], together[i])
    backwards = dict(reversed(seen.items()))
    assert_close(policy.infer(backwards, {})[0], together, rtol=0, atol=0)


class Inference(nn.Module):
    """`infer` as a module, as exporters want it."""

    def __init__(self, policy: ActorCritic) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, observation: dict[str, Tensor], states: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        return self.policy.infer(observation, states)


@zoo
@pytest.mark.filterwarnings("ignore")  # torch's own, about its LSTM's weights
def test_inference_can_be_exported(
    make_policy: MakePolicy, observe: Callable[..., dict[str, Tensor]], config: dict[str, Any]
) -> None:
    policy = make_policy(**config).eval().requires_grad_(False)
    _, states = policy.infer(observe(ENVS), {})
    exported = torch.export.export(Inference(policy), (observe(ENVS), states)).module()
    seen = observe(ENVS)
    assert_close(exported(seen, states), policy.infer(seen, states))


@zoo
def test_inference_can_be_compiled(
    make_policy: MakePolicy, observe: Callable[..., dict[str, Tensor]], config: dict[str, Any]
) -> None:
    torch.compiler.reset()
    policy, same = make_policy(**config).eval(), make_policy(**config).eval()
    # Whole but for memories: torch does not look into its LSTM and GRU, and calls them from between two graphs.
    act = torch.compile(policy.act_inference, backend="aot_eager", fullgraph=not {"memory", "memories"} & set(config))
    with torch.no_grad():
        for _ in range(3):
            seen = observe(ENVS)
            assert_close(act(seen), same.act_inference(seen))
