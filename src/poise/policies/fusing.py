"""Actor-critics that fuse the modalities of what they see, in one of several ways.

components ──► (encoders) ──► fusion ──► features ──► (memory) ──► actor
                                ▲
             modalities that are missing: cameras that are told to be, and some withheld at random while it learns
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from poise.errors import InvalidValueError
from poise.fusion import AnyFusionConfig, FusionExtractor, ObsSegments, build_fusion
from poise.fusion.missing import missing_modalities
from poise.fusion.modalities import default_groups, withheld
from poise.policies.actor_critic import ActorCritic, Components, Shapes
from poise.policies.look import AnyObservation, Look, TensorObservation
from poise.policies.recurrent import ActorCriticRecurrent
from poise.policies.sharing import Role, are_shared, has_its_own, takes_part

FUSED = "fused"
"""Name of the one component that is left."""
MISSING = "fusion.missing"
"""Name of the component that tells which modalities are withheld, (N, M) bool."""


class FusionMixin(ActorCritic):
    """Fuses what is left after everything else, as `config.fusion` says.

    The critic fuses by itself, with the actor's weights ("shared"), or not at all, as `config.critic_encoders` says.
    With `dropout`, modalities are withheld from the actor at random, in each sample apart, as the rollout tells.
    """

    section = "fusion"

    def build_transform(self, segments: ObsSegments, role: Role) -> Shapes:
        if role == "actor":
            self.fusion = build_fusion(segments.shapes, self._fusion_config)
            self._fused_of = segments
            self._withheld = _withheld(self._fusion_config, self.fusion.modalities.groups)
        elif has_its_own(self.config, role):
            self.critic_fusion = _critics(segments.shapes, self._fusion_config)
        elif takes_part(self.config, role) and segments.shapes != self._fused_of.shapes:
            raise InvalidValueError(
                "policy.critic_encoders is 'shared', but the critic sees other components than the actor; set it to "
                "'own' or 'none'"
            )
        if takes_part(self.config, role):
            segments = ObsSegments({FUSED: (self._fusion_of(role).output_size,)})
        return super().build_transform(segments, role)

    def transform(self, components: Components, look: Look, role: Role) -> Components:
        if takes_part(self.config, role):
            both = are_shared(self.config) and self.reads_alike and self._fusion_config.dropout is None
            fusion, missing = self._fusion_of(role), self._missing(look, role)
            fused = look.once(f"fused for {'both' if both else role}", lambda: fusion(components, missing))
            return super().transform({FUSED: fused}, look, role)
        return super().transform(components, look, role)

    def _fusion_of(self, role: Role) -> FusionExtractor:
        """That fuses for a role."""
        return self.critic_fusion if role == "critic" and has_its_own(self.config, role) else self.fusion

    def _missing(self, look: Look, role: Role) -> Tensor | None:
        """(..., M) bool which modalities not to look at: what is told to be missing, and what is withheld."""
        told = missing_modalities(look.observation, self._fusion_of(role).modalities.groups)
        withheld = look.observation.get(MISSING) if role == "actor" else None
        if withheld is None or told is None:
            return told if withheld is None else withheld  # which the extractor checks
        if withheld.shape != told.shape:
            raise InvalidValueError(
                f"'{MISSING}' must be of shape {tuple(told.shape)}, for {', '.join(self.fusion.modalities.names)}, "
                f"got {tuple(withheld.shape)}"
            )
        return told | withheld

    def prepare(self, observation: AnyObservation) -> TensorObservation:
        prepared = super().prepare(observation)
        if self._withheld is None or MISSING in prepared:
            return prepared
        some = next(iter(prepared.values()))
        drawn = torch.rand(len(some), len(self._withheld), device=some.device)
        return {**prepared, MISSING: drawn < self._withheld.to(some.device)}

    def critic_modules(self) -> list[nn.Module]:
        own = [self.critic_fusion] if has_its_own(self.config, "critic") else []
        return [*super().critic_modules(), *own]

    # --- parts ----------------------------------------------------------------------------------------------------

    @property
    def _fusion_config(self) -> AnyFusionConfig:
        assert self.config.fusion is not None
        return self.config.fusion

    def check_seen(self, seen: Mapping[str, ObsSegments]) -> None:
        """The same components, in whatever order: modalities are fused by networks that read them together."""
        for role, segments in seen.items():
            own = self.segments[role].shapes
            if dict(segments.shapes) != dict(own):
                raise InvalidValueError(
                    f"a policy that fuses takes over weights only of one that saw the same components; the {role} sees "
                    f"{', '.join(own)}, and that one saw {', '.join(segments.shapes)}"
                )


def _withheld(config: AnyFusionConfig, groups: Mapping[str, ObsSegments]) -> Tensor | None:
    """(M,) how often each modality is withheld from the actor while it learns; None where none is."""
    if config.dropout is None:
        return None
    at_times = withheld(config, groups)
    return torch.tensor([config.dropout.prob if name in at_times else 0.0 for name in groups], device="cpu")


def _critics(shapes: Shapes, config: AnyFusionConfig) -> FusionExtractor:
    """The critic's own: nothing is withheld from it, and what only it sees is grouped as by default."""
    groups = None
    if config.modalities is not None:
        groups = {name: tuple(each for each in group if each in shapes) for name, group in config.modalities.items()}
        named = {each for group in groups.values() for each in group}
        for name, group in default_groups({each: shape for each, shape in shapes.items() if each not in named}).items():
            groups[name] = groups.get(name, ()) + group
        groups = {name: group for name, group in groups.items() if group}
    try:
        return build_fusion(shapes, config.model_copy(update={"dropout": None, "modalities": groups}))
    except InvalidValueError as error:
        raise InvalidValueError(
            f"what the critic sees cannot be fused: {error}; set policy.critic_encoders to 'none', "
            "or to 'shared' where it sees what the actor does"
        ) from None


class FusionActorCritic(FusionMixin, ActorCritic):
    """Fuses what it sees."""


class FusionActorCriticRecurrent(FusionMixin, ActorCriticRecurrent):
    """Fuses what it sees, and remembers."""
