"""A student learns to act as its teacher does, in the states that either gets into."""

import copy
from typing import Any

import pytest
import torch
from gymnasium import spaces
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from torch.testing import assert_close

from poise.algorithms import Distillation, DistillationConfig
from poise.config import parse
from poise.policies import ActorCritic, PolicyConfig, build_policy
from poise.storage import Rollout

SMALL = {"hidden_sizes": [32]}
BOX, CHOICE = spaces.Box(-1, 1, (2,)), spaces.Discrete(3)
STUDENT = {"observations": ["position"]}
LSTM = {"memory": {"hidden_size": 8}}
ENVS = 32


def policy(space: spaces.Space[Any], seed: int, **config: Any) -> ActorCritic:
    torch.manual_seed(seed)
    whole = parse(PolicyConfig, {"actor": SMALL, "critic": SMALL, **config})
    return build_policy({"position": (2,), "truth": (2,)}, space, whole)


def teacher(space: spaces.Space[Any], **config: Any) -> ActorCritic:
    """Reads what the student does not, and means it."""
    made = policy(space, 7, observations=["truth"], init_std=0.3, **config).eval().requires_grad_(False)
    for parameter in made.actor.parameters():
        parameter.mul_(3.0)
    return made


def distillation(
    space: spaces.Space[Any] = BOX, student: Any = STUDENT, teaching: Any = None, **settings: Any
) -> Distillation:
    config = {"name": "distillation", "teacher": "runs/t", "learning_rate": 3e-3, **settings}
    return Distillation(
        policy(space, 1, **student), parse(DistillationConfig, config), teacher(space, **(teaching or {}))
    )


def rollout_of(algorithm: Distillation, steps: int = 16, ends: float = 0.1) -> Rollout:
    """The position is the truth: a student can learn everything there is to learn."""
    rollout = Rollout(steps, ENVS)
    rollout.clear(algorithm.hidden_states)
    for _ in range(steps):
        position = torch.randn(ENVS, 2)
        seen = algorithm.prepare({"position": position, "truth": position.clone()})
        decision, dones = algorithm.act(seen), torch.rand(ENVS) < ends
        zeros = torch.zeros(ENVS)
        rollout.add(seen, rewards=zeros, dones=dones, bootstraps=zeros, **decision.columns())
        algorithm.reset(dones)
    return rollout


@pytest.mark.parametrize("space", [BOX, CHOICE])
@pytest.mark.parametrize("memory", [{}, LSTM])
def test_the_student_comes_to_act_as_the_teacher_does(space: spaces.Space[Any], memory: dict[str, Any]) -> None:
    algorithm = distillation(space, STUDENT | memory)
    first = algorithm.update(rollout_of(algorithm), torch.zeros(ENVS), 0.0)
    for _ in range(25):
        last = algorithm.update(rollout_of(algorithm), torch.zeros(ENVS), 1.0)
    assert last["imitation_loss"] < 0.1 * first["imitation_loss"]
    assert last["action_error"] < (0.3 if space is CHOICE else 0.1) * first["action_error"] + 0.02


def test_the_loss_is_the_divergence_from_the_teacher() -> None:
    algorithm = distillation(num_epochs=1, num_minibatches=1, learning_rate=0.0)
    rollout = rollout_of(algorithm)
    seen = {name: value.flatten(0, 1) for name, value in rollout.observations.items()}
    normals = []
    for one in (algorithm.teacher, algorithm.policy):
        with torch.no_grad():
            distribution = one.step(seen, {}).distribution
        mean, log_std = distribution.parameters.chunk(2, -1)
        normals.append(Normal(mean, log_std.exp()))
    expected = kl_divergence(*normals).sum(-1).mean()
    measured = algorithm.update(rollout, torch.zeros(ENVS), 0.0)["imitation_loss"]
    assert measured == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize(("share", "teachers"), [(1.0, 1.0), (0.0, 0.0), (0.5, 0.5)])
def test_who_acts(share: float, teachers: float) -> None:
    torch.manual_seed(0)
    algorithm = distillation(teacher_share=share)
    rollout = rollout_of(algorithm, steps=60, ends=0.3)
    shown = (rollout.actions == rollout.teacher_actions).all(-1)
    assert shown.float().mean() == pytest.approx(teachers, abs=0.06)
    kept = ~rollout.dones[:-1]  # whoever acts goes on to the end of the episode
    assert torch.equal(shown[1:][kept], shown[:-1][kept])


def test_the_teachers_share_follows_its_schedule() -> None:
    algorithm = distillation(teacher_share={"values": [1.0, 0.0], "fractions": [0.0, 0.5]})
    for fraction, share in ((0.0, 1.0), (0.25, 1.0), (0.5, 0.5), (1.0, 0.0)):  # of the rollout that was learned from
        metrics = algorithm.update(rollout_of(algorithm), torch.zeros(ENVS), fraction)
        assert metrics["teacher_share"] == pytest.approx(share)


def test_the_teacher_stays_as_it_is_and_remembers_its_own_way() -> None:
    algorithm = distillation(teaching=LSTM, student=STUDENT | LSTM)
    before = copy.deepcopy(algorithm.teacher.state_dict())
    algorithm.update(rollout_of(algorithm), torch.zeros(ENVS), 0.0)
    assert_close(algorithm.teacher.state_dict(), before, rtol=0, atol=0)
    position = torch.randn(ENVS, 2)
    seen = {"position": position, "truth": position}
    algorithm.reset(torch.ones(ENVS, dtype=torch.int64))  # integers, as some environments have them
    alone = algorithm.teacher.step(seen, {}).distribution.mode
    assert_close(algorithm.act(seen).teacher_actions, alone)
    assert not torch.equal(algorithm.act(seen).teacher_actions, alone)


def test_state_continues_bit_for_bit() -> None:
    first, second = (distillation(teaching=LSTM, student=STUDENT | LSTM, teacher_share=0.5) for _ in range(2))
    first.update(rollout_of(first), torch.zeros(ENVS), 0.1)
    second.load_state(copy.deepcopy(first.state()))
    outcomes: list[Tensor] = []
    for algorithm in (first, second):
        torch.manual_seed(5)
        algorithm.update(rollout_of(algorithm), torch.zeros(ENVS), 0.2)
        outcomes.append(algorithm.policy.actor.model[0].weight)
    assert torch.equal(*outcomes)


def test_a_teacher_whose_critic_saw_more_needs_it_no_more() -> None:
    torch.manual_seed(0)
    shapes, config = {"truth": (2,), "secret": (3,)}, {"observations": ["truth"], "critic_observations": ["secret"]}
    wise = build_policy(shapes, BOX, parse(PolicyConfig, config)).eval().requires_grad_(False)
    algorithm = Distillation(
        policy(BOX, 1, **STUDENT), parse(DistillationConfig, {"name": "distillation", "teacher": "runs/t"}), wise
    )
    decision = algorithm.act({"position": torch.zeros(4, 2), "truth": torch.ones(4, 2)})
    assert_close(decision.teacher_actions, wise.act_inference({"truth": torch.ones(4, 2)}))
