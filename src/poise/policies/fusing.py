"""Actor-critics that fuse the modalities of what they see, in one of several ways.

components ──► (encoders) ──► fusion ──► features ──► (memory) ──► actor
                                ▲
             modalities that are missing, drawn while it learns
"""

import torch
from torch import nn

from poise.errors import InvalidValueError, did_you_mean
from poise.fusion import FusionConfig, ObsSegments, build_fusion
from poise.fusion.modalities import BODY
from poise.policies.actor_critic import ActorCritic, Components, Role, Shapes
from poise.policies.look import AnyObservation, Look, TensorObservation
from poise.policies.recurrent import ActorCriticRecurrent

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
            self._check_spared()
            self._fused_of = segments
        elif self._critic_encodes == "own":
            self.critic_fusion = build_fusion(segments.shapes, _for_critic(self._fusion_config, segments.shapes))
        elif self._critic_encodes == "shared" and segments.shapes != self._fused_of.shapes:
            raise InvalidValueError(
                "policy.critic_encoders is 'shared', but the critic sees other components than the actor; set it to "
                "'own' or 'none'"
            )
        fuses = role == "actor" or self._critic_encodes != "none"
        width = (self.critic_fusion if role == "critic" and self._critic_encodes == "own" else self.fusion).output_size
        return super().build_transform(ObsSegments({FUSED: (width,)}) if fuses else segments, role)

    def transform(self, components: Components, look: Look, role: Role) -> Components:
        if role == "critic" and self._critic_encodes == "own":
            components = {FUSED: look.once("fused for the critic", lambda: self.critic_fusion(components))}
        elif role == "actor" or self._critic_encodes == "shared":
            missing = look.observation.get(MISSING)
            apart = role if self.critic_extractor is not None else "both"
            components = {FUSED: look.once(f"fused for {apart}", lambda: self.fusion(components, missing))}
        return super().transform(components, look, role)

    def prepare(self, observation: AnyObservation) -> TensorObservation:
        prepared, dropout = super().prepare(observation), self._fusion_config.dropout
        if dropout is None or MISSING in prepared:
            return prepared
        some = next(iter(prepared.values()))
        names = self.fusion.modalities.names
        prob = torch.tensor([0.0 if name in dropout.spare else dropout.prob for name in names], device=some.device)
        return {**prepared, MISSING: torch.rand(len(some), len(names), device=some.device) < prob}

    def critic_modules(self) -> list[nn.Module]:
        own = [self.critic_fusion] if self._critic_encodes == "own" else []
        return [*super().critic_modules(), *own]

    # --- parts ----------------------------------------------------------------------------------------------------

    @property
    def _fusion_config(self) -> FusionConfig:
        assert self.config.fusion is not None
        return self.config.fusion

    @property
    def _critic_encodes(self) -> str:
        return self.config.critic_encoders

    def _check_spared(self) -> None:
        """Modalities that are never withheld are there."""
        dropout, names = self._fusion_config.dropout, self.fusion.modalities.names
        unknown = [name for name in (dropout.spare if dropout else ()) if name not in names]
        if unknown:
            raise InvalidValueError(
                f"policy.fusion.dropout.spare names '{unknown[0]}'{did_you_mean(unknown[0], names)}; the modalities "
                f"are {', '.join(names)}"
            )


def _for_critic(config: FusionConfig, shapes: Shapes) -> FusionConfig:
    """The same modalities of what the critic sees, all of the time; what the actor does not see belongs to the body."""
    config = config.model_copy(update={"dropout": None})
    if config.modalities is None:
        return config
    groups = {name: tuple(each for each in group if each in shapes) for name, group in config.modalities.items()}
    left = tuple(each for each in shapes if not any(each in group for group in groups.values()))
    groups[BODY] = groups.get(BODY, ()) + left
    return config.model_copy(update={"modalities": {name: group for name, group in groups.items() if group}})


class FusionActorCritic(FusionMixin, ActorCritic):
    """Fuses what it sees."""


class FusionActorCriticRecurrent(FusionMixin, ActorCriticRecurrent):
    """Fuses what it sees, and remembers."""
