"""What is told apart: a policy's modalities, its components, or their single numbers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from poise.envs.options import CAMERAS
from poise.policies import ActorCritic
from poise.policies.watching import component_groups, modality_groups

By = Literal["modality", "component", "number"]
BY: tuple[By, ...] = get_args(By)
_MOST_NUMBERS = 64
"""More would make no page that anybody reads: images stay whole."""


class Part(NamedTuple):
    """A component or a modality, or one of its numbers."""

    name: str
    number: int | None = None


@dataclass(frozen=True)
class Group:
    """What counts as one.

    Attributes:
        features: of it where modalities meet, as `watch` names them.
        components: of it in the observation.
    """

    features: tuple[Part, ...]
    components: tuple[Part, ...]

    def columns(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """What is known of each feature, {name: (n,)}, to that of this group's, (m,)."""
        parts = [arrays[name] if number is None else arrays[name][[number]] for name, number in self.features]
        return np.concatenate(parts)

    def replaced(self, observation: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The observation with other values, (*shape) or (N, *shape) each, in the place of this group's."""
        result = dict(observation)
        for name, number in self.components:
            value = values[name].expand_as(result[name])
            if number is None:
                result[name] = value
            else:
                changed = result[name].clone().flatten(1)
                changed[:, number] = value.flatten(1)[:, number]
                result[name] = changed.view_as(result[name])
        return result


@dataclass(frozen=True)
class Groups:
    """All that is told apart.

    Attributes:
        by: how.
        members: by their names on the page.
        apart: whether components are watched before a fusion makes modalities of them.
        cameras: members that are images, or what encoders make of them.
    """

    by: By
    members: dict[str, Group]
    apart: bool
    cameras: tuple[str, ...]


def groups_of(policy: ActorCritic, by: By | None = None) -> Groups:
    """What to tell apart of a policy; by default its modalities, or, where there is one only, what that consists of."""
    modalities = component_groups(policy)
    if by is None:
        components = [name for names in modalities.values() for name in names]
        by = "modality" if len(modalities) > 1 else "component" if len(components) > 1 else "number"
    seen = policy.segments["actor"].shapes
    sensed = [name for name in seen if name not in policy.config.replaced]
    if by == "modality":
        kept = modality_groups(policy)
        members = {
            name: Group(tuple(map(Part, kept[name])), tuple(Part(each) for each in names if each in sensed))
            for name, names in modalities.items()
        }
    else:
        members = {}
        for name in (each for names in modalities.values() for each in names):
            for label, number in _numbers(policy, name) if by == "number" else [(name, None)]:
                part = Part(name, number)
                members[label] = Group((part,), (part,) if name in sensed else ())
    images = {name for name in seen if len(seen[name]) == 3 or name in CAMERAS}
    cameras = tuple(
        name for name, group in members.items() if group.components and {p.name for p in group.components} <= images
    )
    return Groups(by, members, by != "modality", cameras)


def together(groups: Sequence[Group]) -> Group:
    """Several as one."""
    features = tuple(part for group in groups for part in group.features)
    return Group(features, tuple(part for group in groups for part in group.components))


def _numbers(policy: ActorCritic, name: str) -> list[tuple[str, int | None]]:
    """A component's numbers with their names; of an image, or of what has become something else, all together."""
    before, after = policy.segments["actor"].shapes.get(name), policy.transformed["actor"].shapes.get(name)
    count = math.prod(before) if before is not None else 0
    encoded = after is not None and after != before
    if not 1 < count <= _MOST_NUMBERS or encoded or name in CAMERAS:
        return [(name, None)]
    return [(f"{name}[{i}]", i) for i in range(count)]
