"""Looking on while a policy decides: what its modalities are where they meet, and how the decision hangs on them.

components ─► (estimates, encoders) ─┬─► modality ─► tokens ─┐
                                     └─► modality ─► tokens ─┴─► fusion ─► (memory) ─► actor ─► decision
                                                        ▲
                                   here, or, without fusion, each component as the memory or the actor reads it
"""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from torch import Tensor

from poise.fusion.modalities import default_groups
from poise.fusion.segments import AnyComponent
from poise.nn import ActionDistribution
from poise.nn.distributions import Categorical
from poise.nn.frames import dense
from poise.policies.actor_critic import ActorCritic
from poise.policies.fusing import FusionMixin
from poise.policies.look import AnyObservation, HiddenStates, Look, TensorObservation


class Watched(NamedTuple):
    """What was seen of a decision.

    Attributes:
        distribution: of the actions.
        features: {name: (N, ...)} what the decision was made of, leaves of its graph.
        weights: {modality: (N, n)} how much of each token is looked at; empty where nothing attends.
    """

    distribution: ActionDistribution
    features: dict[str, Tensor]
    weights: dict[str, Tensor]


def watch(policy: ActorCritic, observation: AnyObservation, states: HiddenStates, apart: bool = False) -> Watched:
    """Look on while a policy looks at observations {name: (N, ...)}; what it remembers stays as it is.

    Args:
        policy: in charge.
        observation: of N environments.
        states: what is remembered from before.
        apart: components by themselves, even where a fusion makes modalities of them.
    """
    fuses = isinstance(policy, FusionMixin)
    look = _Watching(policy, observation, states, meets=not fuses)
    weights: dict[str, Tensor] = {}
    with ExitStack() as hooks:
        if isinstance(policy, FusionMixin):
            fusion = policy.fusion

            def before(module: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
                components, *rest = arguments
                return look.keep(components), *rest

            def after(module: Any, arguments: tuple[Any, ...], tokens: dict[str, Tensor]) -> dict[str, Tensor]:
                with torch.no_grad():
                    weights.update(fusion.attended(tokens))
                return tokens if apart else look.keep(tokens)

            hooks.callback(fusion.modalities.register_forward_hook(after).remove)
            if apart:
                hooks.callback(fusion.modalities.register_forward_pre_hook(before).remove)
        distribution = policy.distribution_of(look)
    return Watched(distribution, look.features, weights)


def outputs(distribution: ActionDistribution) -> Tensor:
    """(N, K): the actions' means, or the probabilities of choices."""
    return distribution.log_probs.exp() if isinstance(distribution, Categorical) else distribution.mode


def gradients(watched: Watched) -> dict[str, Tensor]:
    """{name: (K, N, ...)} the derivatives of each of the K outputs by the features, each sample's of its own."""
    wanted = outputs(watched.distribution)
    names, leaves = list(watched.features), list(watched.features.values())
    rows = []
    for k in range(wanted.shape[-1]):
        found = torch.autograd.grad(wanted[:, k].sum(), leaves, retain_graph=True, allow_unused=True)
        pairs = zip(found, leaves, strict=True)
        rows.append([torch.zeros_like(leaf) if grad is None else grad for grad, leaf in pairs])
    return {name: torch.stack([row[i] for row in rows]) for i, name in enumerate(names)}


def meeting_features(policy: ActorCritic, observation: TensorObservation) -> dict[str, Tensor]:
    """{modality: (N, ...)} what modalities are where they meet, as long as nothing is remembered."""
    with torch.no_grad():
        features = watch(policy, observation, {}).features
    groups = modality_groups(policy)
    return {
        name: torch.cat([features[each].reshape(len(features[each]), -1) for each in parts], 1)
        for name, parts in groups.items()
    }


def modality_groups(policy: ActorCritic) -> dict[str, tuple[str, ...]]:
    """Modality to the names of what `watch` keeps of it: itself where there is a fusion, its components elsewhere."""
    if isinstance(policy, FusionMixin):
        return {name: (name,) for name in policy.fusion.modalities.names}
    return component_groups(policy)


def component_groups(policy: ActorCritic) -> dict[str, tuple[str, ...]]:
    """Modality to its components; without a fusion each camera is one of its own, and the rest is the body."""
    if isinstance(policy, FusionMixin):
        return {name: tuple(segments.shapes) for name, segments in policy.fusion.modalities.groups.items()}
    seen = policy.segments["actor"].shapes
    left = policy.transformed["actor"].shapes
    return default_groups({name: seen.get(name, shape) for name, shape in left.items()})


class _Watching(Look):
    """A look that keeps what it is made of, as leaves of the graph that follows."""

    def __init__(self, policy: ActorCritic, observation: AnyObservation, states: HiddenStates, meets: bool) -> None:
        super().__init__(policy.named(observation), states)
        self.features: dict[str, Tensor] = {}
        self._segments = policy.transformed["actor"] if meets else None

    def meet(self, features: Tensor) -> Tensor:
        return features if self._segments is None else self._segments.join(self.keep(self._segments.split(features)))

    def keep(self, parts: Mapping[str, AnyComponent]) -> dict[str, Tensor]:
        """The same values, from which gradients are asked for."""
        self.features = {name: dense(value).detach().requires_grad_() for name, value in parts.items()}
        return dict(self.features)
