"""Looking on while policies of every kind decide, which changes nothing that they decide."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import zoo
from torch import Tensor
from torch.testing import assert_close

from poise.nn.distributions import Categorical
from poise.policies import ActorCritic
from poise.policies.watching import (
    component_groups,
    gradients,
    meeting_features,
    modality_groups,
    outputs,
    watch,
)

MakePolicy = Callable[..., ActorCritic]
Observe = Callable[..., dict[str, Tensor]]


@pytest.mark.parametrize("settings", zoo.ZOO.values(), ids=zoo.ZOO.keys())
@pytest.mark.parametrize("apart", [False, True])
def test_who_is_watched_decides_as_ever(
    make_policy: MakePolicy, observe: Observe, settings: dict[str, Any], apart: bool
) -> None:
    policy, seen = make_policy(**settings), observe(5)
    policy.update_normalization(observe(50))
    with torch.no_grad():
        _, states = policy.infer(observe(5), {})
        actions, _ = policy.infer(seen, states)
    watched = watch(policy, seen, states, apart)
    assert_close(outputs(watched.distribution), actions, rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        again, _ = policy.infer(seen, states)
    assert_close(again, actions, rtol=0, atol=0)  # hooks are gone, and nothing was remembered
    found = gradients(watched)
    assert all(value.shape == (actions.shape[1], *watched.features[name].shape) for name, value in found.items())
    assert any(value.abs().sum() > 0 for value in found.values())
    features = meeting_features(policy, seen)
    assert set(features) == set(modality_groups(policy)) == set(component_groups(policy))
    named = {name for names in component_groups(policy).values() for name in names}
    if apart:
        assert set(watched.features) == named


def test_gradients_are_those_of_finite_differences(make_policy: MakePolicy, observe: Observe) -> None:
    policy, seen = make_policy(fusion=zoo.ATTENDS | {"name": "transformer"}).double(), observe(3)
    seen = {name: value.double() for name, value in seen.items()}
    watched = watch(policy, seen, {})
    found = gradients(watched)

    def moved(step: float) -> Tensor:
        """The actions with the second token of the first sample's body moved a little."""

        def nudge(module: Any, arguments: Any, tokens: dict[str, Tensor]) -> dict[str, Tensor]:
            changed = tokens["body"].clone()
            changed[0, 1, 2] += step
            return tokens | {"body": changed}

        handle = policy.fusion.modalities.register_forward_hook(nudge)  # type: ignore[union-attr, operator]
        with torch.no_grad():
            actions, _ = policy.infer(seen, {})
        handle.remove()
        return actions

    expected = (moved(1e-5) - moved(-1e-5))[0] / 2e-5
    assert_close(found["body"][:, 0, 1, 2], expected, rtol=1e-4, atol=1e-8)


def test_choices_are_told_by_their_probabilities() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0]], requires_grad=True)
    probabilities = outputs(Categorical(logits))
    assert_close(probabilities, torch.softmax(logits, -1))


def test_samples_have_gradients_of_their_own(make_policy: MakePolicy, observe: Observe) -> None:
    policy, seen = make_policy(), observe(4)
    whole = gradients(watch(policy, seen, {}))
    alone = gradients(watch(policy, {name: value[1:2] for name, value in seen.items()}, {}))
    for name, value in alone.items():
        assert_close(whole[name][:, 1:2], value, rtol=1e-5, atol=1e-7)
