"""Weights for a policy that sees other components."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from gymnasium import spaces
from torch import Tensor
from torch.testing import assert_close

from poise.config import parse
from poise.errors import PoiseError
from poise.fusion import ObsSegments
from poise.policies import ActorCritic, ActorCriticRecurrent, PolicyConfig, build_policy
from poise.policies.actor_critic import Components, Shapes
from poise.policies.look import Look, Sequences
from poise.policies.sharing import Role

SMALL = {"actor": {"hidden_sizes": [8]}, "critic": {"hidden_sizes": [8]}}
OLD = {"position": (2,), "speed": (), "heights": (3, 4), "wind": (2,)}
NEW = {"wind": (2,), "heights": (3, 4), "smell": (3,), "position": (2,)}  # another order, one gone, one new
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "recurrent": {"memory": {"hidden_size": 8}},
    "recurrent, of changes": {"memory": {"hidden_size": 8, "changes": True}},
    "estimator, of changes": {
        "memory": {"hidden_size": 8, "changes": True},
        "estimator": {"observations": ["heights", "position"], "targets": ["wind"]},
    },
    "encoder, estimator, recurrent": {
        "memory": {"type": "gru", "hidden_size": 8},
        "encoders": {"heights": {"latent_size": 4}},
        "estimator": {"observations": ["position", "heights"], "targets": ["wind"]},
    },
    "estimator": {"estimator": {"observations": ["heights"], "targets": ["wind", "position"], "replace_prob": 1.0}},
    "encoder of the actor's": {"encoders": {"heights": {"latent_size": 4}}, "critic_encoders": "none"},
}
FIRST_LAYERS = ("memory_a.normalizer.mean", "memory_a.rnn.weight_ih_l0", "actor.model.0.weight")


def make(shapes: dict[str, tuple[int, ...]], seed: int, **config: Any) -> ActorCritic:
    torch.manual_seed(seed)
    return build_policy(shapes, spaces.Box(-1, 1, (2,)), parse(PolicyConfig, SMALL | config)).requires_grad_(False)


@pytest.mark.parametrize("config", KINDS.values(), ids=KINDS)
def test_it_does_the_same_where_what_is_gone_and_new_says_nothing(config: dict[str, Any]) -> None:
    old, new = make(OLD, 1, **config), make(NEW, 2, **config)
    seen = {name: torch.randn(50, *shape) for name, shape in (OLD | NEW).items()}
    old.update_normalization(seen | {"speed": torch.zeros(50)})
    steps = {name: torch.randn(9, 5, *shape) for name, shape in OLD.items()} | {"speed": torch.zeros(9, 5)}
    old.update_normalization(steps, Sequences({}, torch.zeros(9, 5, dtype=torch.bool)))
    report = new.load_misaligned_state_dict(old.state_dict(), OLD)
    silent = seen | {"speed": torch.zeros(50)}
    before, now = {}, {}
    for _ in range(3):  # what is remembered of the first steps matters in the later ones
        actions, before = old.infer(silent, before)
        realigned, now = new.infer(silent, now)
        assert_close(realigned, actions)
        assert_close(new.value_of(silent, now), old.value_of(silent, before))
        assert_close(
            {name: now[name] for name in now if "previous" not in name},
            {name: before[name] for name in before if "previous" not in name},
        )
        silent = silent | {name: torch.randn(50, *OLD[name]) for name in ("position", "heights", "wind")}
    louder = silent | {"smell": 100.0 * seen["smell"]}
    assert_close(new.infer(louder, {})[0], old.infer(silent, {})[0])  # new components change nothing yet
    first = next(name for name in FIRST_LAYERS if name in report.matched)
    assert report.matched[first] == ["wind", "heights", "position"]
    assert report.added[first] == ["smell"]
    assert report.dropped[first] == ["speed"]


def test_a_component_of_another_shape_is_new() -> None:
    old, new = make(OLD, 1), make(OLD | {"wind": (3,)}, 2)
    report = new.load_misaligned_state_dict(old.state_dict(), OLD)
    assert report.added["actor.model.0.weight"] == report.dropped["actor.model.0.weight"] == ["wind"]
    assert not new.actor.model[0].weight[:, -3:].any()


def test_wrong_use(observe: Callable[..., dict[str, Tensor]]) -> None:
    state, new = make(OLD, 1).state_dict(), make(NEW, 2)
    before = {name: value.clone() for name, value in new.state_dict().items()}
    with pytest.raises(PoiseError, match="has 17 columns, but the components wind, heights, smell, position have 19"):
        new.load_misaligned_state_dict(state, NEW)
    with pytest.raises(PoiseError, match="belong to another architecture: .*actor.model.2"):
        new.load_misaligned_state_dict({k: v for k, v in state.items() if k != "actor.model.2.bias"}, OLD)
    with pytest.raises(PoiseError, match="memory_a.rnn.weight_ih_l0 has no columns"):
        make(NEW, 2, memory={}).load_misaligned_state_dict(state, OLD)
    assert_close(new.state_dict(), before, rtol=0, atol=0)


class SquaresMixin(ActorCritic):
    """Shows the square of the wind beside it."""

    def build_transform(self, segments: ObsSegments, role: Role) -> Shapes:
        return super().build_transform(ObsSegments(dict(segments.shapes) | {"wind": (4,)}), role)

    def transform(self, components: Components, look: Look, role: Role) -> Components:
        wind = components["wind"]
        return super().transform(components | {"wind": torch.cat([wind, wind.square()], -1)}, look, role)


class RecurrentWithSquares(SquaresMixin, ActorCriticRecurrent):
    """It remembers, too."""


def test_mixins_that_the_library_never_heard_of_take_over_weights_too() -> None:
    space, config = spaces.Box(-1, 1, (2,)), parse(PolicyConfig, SMALL | {"memory": {"hidden_size": 8}})
    old, new = (RecurrentWithSquares(shapes, space, config).requires_grad_(False) for shapes in (OLD, NEW))
    modules = dict(new.named_modules())
    new.load_misaligned_state_dict(old.state_dict(), OLD)
    assert dict(new.named_modules()) == modules
    seen = {name: torch.randn(5, *shape) for name, shape in (OLD | NEW).items()} | {"speed": torch.zeros(5)}
    assert_close(new.infer(seen, {})[0], old.infer(seen, {})[0])
