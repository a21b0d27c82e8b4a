"""A policy that is told something else in the place of one of its modalities."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from poise.fusion.modalities import withheld
from poise.inspection.groups import Group
from poise.nn.frames import dense
from poise.policies import ActorCritic
from poise.policies.fusing import MISSING, FusionMixin
from poise.policies.look import HiddenStates, TensorObservation

Instead = Literal["mean", "another's", "withheld"]


class Silenced:
    """A policy to which a modality says nothing of its own.

    Args:
        policy: which.
        group: what is silenced.
        instead: what it is told in its place: the mean, what another robot senses at the same time, or nothing, as
            `policy.fusion.dropout` withheld it while the policy learned.
        means: {component: (*shape)}.
        withheld: modalities of its fusion.
    """

    def __init__(
        self,
        policy: ActorCritic,
        group: Group,
        instead: Instead,
        means: Mapping[str, Tensor],
        withheld: tuple[str, ...] = (),
    ) -> None:
        self._policy, self._group, self._instead = policy, group, instead
        self._means = means
        names = policy.fusion.modalities.names if isinstance(policy, FusionMixin) else ()
        self._mask = torch.tensor([name in withheld for name in names])

    def infer(self, observation: TensorObservation, states: HiddenStates) -> tuple[Tensor, dict[str, Tensor]]:
        """The most likely actions, and what is remembered after them."""
        return self._policy.infer(self._told(observation), states)

    def _told(self, observation: TensorObservation) -> TensorObservation:
        observation = {name: dense(value) for name, value in observation.items()}
        if self._instead == "withheld":
            count = len(next(iter(observation.values())))
            return {**observation, MISSING: self._mask.expand(count, -1)}
        if self._instead == "mean":
            return self._group.replaced(observation, self._means)
        others = {part.name: observation[part.name].roll(1, dims=0) for part in self._group.components}
        return self._group.replaced(observation, others)


def training_means(policy: ActorCritic) -> dict[str, Tensor]:
    """{component: (*shape)} over the training, as the normaliser knows them; empty without one."""
    normalizer = policy.extractor.normalizer
    return {} if normalizer is None else policy.segments["actor"].split(normalizer.mean)


def withholds(policy: ActorCritic, modality: str) -> bool:
    """Whether the policy has learned to do without a modality."""
    if not isinstance(policy, FusionMixin) or policy.config.fusion is None:
        return False
    return modality in withheld(policy.config.fusion, policy.fusion.modalities.groups)
