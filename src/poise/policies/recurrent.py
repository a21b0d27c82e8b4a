"""Actor-critics that remember."""

from collections.abc import Mapping

from torch import Tensor, nn

from poise.fusion import ObsSegments
from poise.nn import Memory
from poise.policies.actor_critic import ActorCritic
from poise.policies.config import MemoryConfig
from poise.policies.look import Look

_NETWORKS = (("actor", "memory_a"), ("critic", "memory_c"))


class ActorCriticRecurrent(ActorCritic):
    """An actor and a critic with a memory each, an LSTM or a GRU, between the features and their networks."""

    is_recurrent = True

    def _build_memories(self, actor_width: int, critic_width: int) -> tuple[int, int]:
        memory = self.config.memory or MemoryConfig()
        self.memory_a = Memory(actor_width, memory.type, memory.num_layers, memory.hidden_size)
        self.memory_c = Memory(critic_width, memory.type, memory.num_layers, memory.hidden_size)
        return self.memory_a.output_size, self.memory_c.output_size

    def input_layers(
        self, segments: Mapping[str, ObsSegments], transformed: Mapping[str, ObsSegments]
    ) -> dict[str, ObsSegments]:
        layers = super().input_layers(segments, transformed)
        moved = {f"{network}.model.0.weight": f"{memory}.rnn.weight_ih_l0" for network, memory in _NETWORKS}
        return {moved.get(name, name): layout for name, layout in layers.items()}

    def _actor_features(self, look: Look) -> Tensor:
        features = super()._actor_features
        return look.once("memory_a", lambda: look.remember("memory_a", self.memory_a, features(look)))

    def _critic_features(self, look: Look) -> Tensor:
        features = super()._critic_features
        return look.once("memory_c", lambda: look.remember("memory_c", self.memory_c, features(look)))

    def _critic_modules(self) -> list[nn.Module]:
        return [*super()._critic_modules(), self.memory_c]
