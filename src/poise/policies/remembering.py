"""Actor-critics that remember single components: what a camera has shown, say, before it is fused with what is felt.

components ──► {velocity, camera, ...} ──► velocity ───────────────► features
                                      └──► camera ──► LSTM, GRU ──┘ where the camera stood
"""

import math

from torch import Tensor, nn

from poise.errors import InvalidValueError
from poise.fusion import ObsSegments
from poise.nn import Memory
from poise.policies.actor_critic import ActorCritic, Components, Shapes
from poise.policies.configured import check_networks
from poise.policies.look import Look
from poise.policies.memories import build_memory
from poise.policies.recurrent import ActorCriticRecurrent
from poise.policies.sharing import Role, check_shared, has_its_own, takes_part


class ComponentMemoryMixin(ActorCritic):
    """Replaces components, or latents of them, by what recurrent networks remember of them, as `config.memories` says.

    The critic's are its own, the actor's ("shared"), or there are none, as `config.critic_encoders` says; what is
    remembered is each one's own in any case.
    """

    section = "memories"
    is_recurrent = True

    def build_transform(self, segments: ObsSegments, role: Role) -> Shapes:
        if role == "actor":
            self.memories, self.critic_memories = nn.ModuleDict(), nn.ModuleDict()
            self._read: dict[Role, ObsSegments] = {}
            check_networks("memories", self.config.memories, self.segments.values())
        shapes = dict(segments.shapes)
        self._read[role] = ObsSegments({name: shapes[name] for name in self._remembered(role)})
        for name, shape in self._read[role].shapes.items():
            if len(shape) == 3:
                raise InvalidValueError(
                    f"policy.memories.{name}: '{name}' of shape {shape} is an image, whose pixels nobody remembers one "
                    f"by one; encode it first (policy.encoders.{name}, or policy.encoder)"
                )
            config = self.config.memories[name]
            if has_its_own(self.config, role):
                self._memories_of(role)[name] = build_memory(math.prod(shape), config)
            else:
                check_shared(f"'{name}', to be remembered,", shape, self._read["actor"].shapes.get(name))
            shapes[name] = (config.hidden_size,)
        return super().build_transform(ObsSegments(shapes), role)

    def transform(self, components: Components, look: Look, role: Role) -> Components:
        remembered = {name: self._recall(name, components, look, role) for name in self._read[role].shapes}
        return super().transform(components | remembered, look, role)

    def critic_modules(self) -> list[nn.Module]:
        return [*super().critic_modules(), self.critic_memories]

    # --- parts ----------------------------------------------------------------------------------------------------

    def _recall(self, name: str, components: Components, look: Look, role: Role) -> Tensor:
        """(..., hidden_size) what is remembered of a component, this look included."""
        key = f"memories.{role}.{name}"
        memory: Memory = self._memories_of(role)[name]  # type: ignore[assignment]
        return look.once(key, lambda: look.remember(key, memory, self._read[role].flat(name, components)))

    def _memories_of(self, role: Role) -> nn.ModuleDict:
        """That remember for a role."""
        return self.critic_memories if role == "critic" and has_its_own(self.config, role) else self.memories

    def _remembered(self, role: Role) -> list[str]:
        """Components that are remembered."""
        remembers = takes_part(self.config, role)
        return [name for name in self.segments[role].shapes if remembers and name in self.config.memories]


class ComponentMemoryActorCritic(ComponentMemoryMixin, ActorCritic):
    """Remembers some of what it sees."""


class ComponentMemoryActorCriticRecurrent(ComponentMemoryMixin, ActorCriticRecurrent):
    """Remembers some of what it sees, and what it made of it all."""
