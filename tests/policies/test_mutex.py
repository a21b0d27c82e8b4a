"""Policies made of policies: who acts, with which command, in which scale, and what is remembered."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from gymnasium import spaces
from torch import Tensor
from torch.testing import assert_close

from poise.config import parse
from poise.errors import InvalidValueError
from poise.policies import (
    ActorCritic,
    ActorCriticClimbMutex,
    ActorCriticFieldMutex,
    ActorCriticMutex,
    MutexConfig,
    PolicyConfig,
    build_policy,
)
from poise.policies.actor_critic import Shapes

SHAPES = {"engaging_block": (3,), "command": (2,), "actions": (2,), "felt": (3,)}
NAMES = ("flat", "up", "down")
SMALL = {"hidden_sizes": [8]}
LSTM = {"memory": {"hidden_size": 4}}
ENVS = 6


def sub_policy(
    seed: int = 0, space: spaces.Space[Any] | None = None, shapes: Shapes = SHAPES, **config: Any
) -> ActorCritic:
    torch.manual_seed(seed)
    whole = parse(PolicyConfig, {"actor": SMALL, "critic": SMALL, **config})
    made = build_policy(shapes, space or spaces.Box(-1, 1, (2,)), whole).eval()
    with torch.no_grad():  # new heads hardly act
        for parameter in made.actor.parameters():
            parameter.normal_()
    return made


def sub_policies(space: spaces.Space[Any] | None = None, **config: Any) -> dict[str, ActorCritic]:
    return {name: sub_policy(seed, space, **config) for seed, name in enumerate(NAMES)}


def mutex(
    kind: type[ActorCriticMutex] = ActorCriticFieldMutex,
    /,
    policies: dict[str, ActorCritic] | None = None,
    scales: dict[str, float] | None = None,
    env_scale: float = 1.0,
    **config: Any,
) -> ActorCriticMutex:
    settings = {"kind": kind.kind or "field", "sub_policies": {name: f"runs/{name}" for name in NAMES}}
    whole = parse(MutexConfig, settings | config)
    return kind(policies or sub_policies(), SHAPES, whole, scales, env_scale)


def observe(fields: list[int], seed: int = 0) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    seen = {name: torch.randn(len(fields), *shape) for name, shape in SHAPES.items()}
    ahead = torch.nn.functional.one_hot(torch.tensor(fields).clamp(min=0), 3).float()
    return seen | {"engaging_block": torch.where(torch.tensor(fields)[:, None] < 0, 0.0, ahead)}


def test_each_robot_is_driven_by_the_policy_of_its_field() -> None:
    policies = sub_policies()
    seen = observe([0, 1, 2, 2, 1, -1])
    actions = mutex(policies=policies).act_inference(seen)
    alone = [policies[name].act_inference(seen) for name in NAMES]
    for robot, policy in enumerate([0, 1, 2, 2, 1, 0]):  # nothing ahead: the first
        assert_close(actions[robot], alone[policy][robot])


def test_actions_are_rescaled_and_the_last_one_is_told_in_the_policys_own_scale() -> None:
    policies = sub_policies()
    seen = observe([1] * ENVS)
    before = {name: value.clone() for name, value in seen.items()}
    actions = mutex(policies=policies, scales={"up": 0.5}, env_scale=0.25, last_action="actions").act_inference(seen)
    expected = 2.0 * policies["up"].act_inference(seen | {"actions": seen["actions"] / 2.0})
    assert_close(actions, expected)
    assert_close(seen, before, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("who", "flat", "up"), [("never", True, True), ("all", False, False), ("when_skill", True, False)]
)
def test_memories_go_on_while_others_act_or_forget(who: str, flat: bool, up: bool) -> None:
    policies = sub_policies(**LSTM)
    made = mutex(policies=policies, reset_non_selected=who)
    assert made.is_recurrent
    made.act_inference(observe([0] * ENVS, seed=1))

    def remembers(name: str) -> bool:
        return bool(made.get_hidden_states()[f"{name}.memory_a.hidden"].any())

    assert remembers("flat")
    assert remembers("up") == up
    made.act_inference(observe([2] * ENVS, seed=2))
    assert remembers("flat") == flat
    assert remembers("down")


def test_who_forgot_begins_anew() -> None:
    policies = sub_policies(**LSTM)
    first, second = observe([0] * ENVS, seed=1), observe([1] * ENVS, seed=2)
    made = mutex(policies=policies, reset_non_selected="all")
    made.act_inference(first)
    assert_close(made.act_inference(second), policies["up"].act_inference(second))


def test_selections_are_smoothed_from_the_first_on() -> None:
    policies = sub_policies()
    made = mutex(policies=policies, action_smoothing_buffer_len=4)
    here, ahead = observe([0] * ENVS), observe([2] * ENVS)
    flat, down = policies["flat"].act_inference(ahead), policies["down"].act_inference(ahead)
    assert_close(made.act_inference(here), policies["flat"].act_inference(here))  # not a quarter of it
    for share in (0.25, 0.5, 0.75, 1.0, 1.0):
        assert_close(made.act_inference(ahead), (1.0 - share) * flat + share * down)
    made.reset(torch.tensor([1, 0, 0, 0, 0, 0]))  # integers, as some environments have them
    again = made.act_inference(here)
    flat, down = policies["flat"].act_inference(here), policies["down"].act_inference(here)
    assert_close(again[0], flat[0])
    assert_close(again[1], (0.25 * flat + 0.75 * down)[1])


def test_each_robot_draws_its_own_velocity_once_an_episode() -> None:
    policies = sub_policies()
    made = mutex(policies=policies, command="command", cmd_vel_mapping={"up": [[0.5, 1.0], 0.0], "down": [2.0, 3.0]})
    seen = observe([1] * ENVS)
    before = {name: value.clone() for name, value in seen.items()}
    actions = made.act_inference(seen)
    drawn = made.get_hidden_states()["mutex.command.up"][0].clone()
    assert ((drawn[:, 0] >= 0.5) & (drawn[:, 0] <= 1.0)).all()
    assert len(drawn[:, 0].unique()) == ENVS
    assert_close(drawn[:, 1], torch.zeros(ENVS))
    assert_close(actions, policies["up"].act_inference(seen | {"command": drawn}))
    made.act_inference(seen)
    assert_close(made.get_hidden_states()["mutex.command.up"][0], drawn)
    made.reset(torch.tensor([True] + [False] * (ENVS - 1)))
    made.act_inference(seen)
    changed = made.get_hidden_states()["mutex.command.up"][0]
    assert changed[0, 0] != drawn[0, 0]
    assert_close(changed[1:], drawn[1:])
    downhill = observe([2] * ENVS)
    fixed = torch.tensor([2.0, 3.0]).expand(ENVS, 2)
    assert_close(made.act_inference(downhill), policies["down"].act_inference(downhill | {"command": fixed}))
    assert_close(seen, before, rtol=0, atol=0)


def test_up_and_down_are_told_apart_by_the_height() -> None:
    seen = observe([0, 1, 1, 1, 0, -1])
    seen["engaging_block"] = torch.tensor(
        [[1.0, 0, 0.2], [0, 1.0, 0.2], [0, 1.0, -0.2], [0, 1.0, 0.0], [1.0, 0, -0.2], [0, 0, -0.2]]
    )
    selection = mutex(ActorCriticClimbMutex).get_policy_selection(seen)
    assert selection.argmax(dim=1).tolist() == [0, 1, 2, 1, 0, 0]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: mutex(policies={"flat": sub_policies()["flat"]}), "the sub-policy 'up' is missing; there are flat"),
        (lambda: mutex(selector="engaging_blok"), "selector is 'engaging_blok'.*did you mean 'engaging_block'"),
        (lambda: mutex(selector="x"), "it holds engaging_block, command, actions, felt"),
        (lambda: mutex(selector="command"), "has 2 numbers, but 3 are needed for the sub-policies flat, up, down"),
        (lambda: mutex(cmd_vel_mapping={"up": [1.0, 2.0]}), "command must name their component"),
        (lambda: mutex(command="command", cmd_vel_mapping={"upp": [1.0, 2.0]}), "names 'upp'.*did you mean 'up'"),
        (lambda: mutex(command="command", cmd_vel_mapping={"up": [1.0]}), "up must have 2 numbers.*got 1"),
        (lambda: mutex(command="command", cmd_vel_mapping={"up": [[2.0, 1.0], 0]}), "must be .lowest, highest."),
        (lambda: mutex(policies=sub_policies(spaces.Discrete(3))), "'flat' chooses among discrete actions"),
        (
            lambda: mutex(policies=sub_policies() | {"up": sub_policy(space=spaces.Box(-1, 1, (4,)))}),
            "widths: {'flat': 2, 'up': 4, 'down': 2}",
        ),
        (
            lambda: mutex(policies=sub_policies() | {"up": sub_policy(shapes=SHAPES | {"felt": (5,)})}),
            r"'up' looks at 'felt' of shape \(5,\), which is \(.*\) here",
        ),
        (
            lambda: mutex(policies=sub_policies() | {"down": sub_policy(shapes={"wind": (1,)})}),
            r"'down' looks at 'wind' of shape \(1,\), which is not there",
        ),
        (lambda: mutex(scales={"flt": 0.5}), "action_scales names 'flt'.*did you mean 'flat'"),
        (lambda: mutex(kind="climb"), "ActorCriticFieldMutex needs a MutexConfig of kind 'field', got 'climb'"),
        (lambda: mutex().act_inference({"felt": torch.zeros(2, 3)}), "no component 'engaging_block'; it has felt"),
        (lambda: parse(MutexConfig, {"sub_policies": {}}), "sub_policies"),
        (lambda: parse(MutexConfig, {"sub_policies": {"forward": "a"}}), "torch reserves, got 'forward'"),
        (
            lambda: parse(PolicyConfig, {"mutex": {"sub_policies": {"flat": "a"}}, "memory": {}, "actor": SMALL}),
            "settings of their own: remove actor, memory",
        ),
    ],
)
def test_wrong_use_is_named(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(InvalidValueError, match=words):
        make()


def test_the_base_chooses_nothing() -> None:
    with pytest.raises(NotImplementedError, match="say which policy is to act"):
        mutex(ActorCriticMutex).act_inference(observe([0]))


def test_robots_that_come_or_go_are_noticed() -> None:
    policy = mutex()
    policy.act_inference(observe([0, 1]))
    with pytest.raises(InvalidValueError, match=r"remembers 2 environments, but looks at 3; call reset\(\)"):
        policy.act_inference(observe([0, 1, 2]))


def test_arrays_are_looked_at_like_tensors() -> None:
    seen = observe([0, 1, 2])
    arrays = {name: value.double().numpy() for name, value in seen.items()}
    assert_close(mutex().act_inference(arrays), mutex().act_inference(seen))  # type: ignore[arg-type]


def test_a_vector_is_split_as_the_shapes_lie() -> None:
    seen = observe([0, 1, 2, 2, 1, -1])
    vector = torch.cat([seen[name] for name in SHAPES], dim=1)
    assert_close(mutex().act_inference(vector), mutex().act_inference(seen))
    with pytest.raises(InvalidValueError, match="has 9 numbers, but its segments .* have 10"):
        mutex().act_inference(vector[:, 1:])


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
def test_the_field_may_be_told_in_whole_numbers(dtype: torch.dtype) -> None:
    seen = observe([0, 1, 2, 2, 1, -1])
    whole = seen | {"engaging_block": seen["engaging_block"].to(dtype)}
    assert_close(mutex().act_inference(whole), mutex().act_inference(seen))


def test_commands_are_drawn_anew_on_demand() -> None:
    made = mutex(command="command", cmd_vel_mapping={"up": [[0.0, 1.0], [0.0, 1.0]]})
    seen = observe([1] * ENVS)
    commands = []
    for again in (None, torch.zeros(ENVS), torch.tensor([1.0, 0, 0, 0, 0, 0])):
        if again is not None:
            made.resample_cmd_vel_current(again)
        made.act_inference(seen)
        commands.append(made.get_hidden_states()["mutex.command.up"][0])
    assert_close(commands[1], commands[0])
    assert (commands[2] != commands[0]).any(dim=1).tolist() == [True] + [False] * 5
    told = made.override_cmd_vel(seen, made.get_hidden_states(), "up")
    assert_close(told["command"], commands[2])
    made.resample_cmd_vel_current()
    made.act_inference(seen)
    assert (made.get_hidden_states()["mutex.command.up"][0] != commands[2]).any(dim=1).all()


def test_to_climb_takes_two() -> None:
    one = parse(MutexConfig, {"kind": "climb", "sub_policies": {"flat": "runs/flat"}})
    with pytest.raises(InvalidValueError, match="needs a policy for going up and one for going down, got only 'flat'"):
        ActorCriticClimbMutex({"flat": sub_policy()}, SHAPES, one)
