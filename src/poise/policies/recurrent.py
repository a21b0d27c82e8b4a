"""Actor-critics that remember."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from poise.fusion import ObsSegments
from poise.nn import ChangeMemory
from poise.policies.actor_critic import ActorCritic
from poise.policies.config import MemoryConfig
from poise.policies.look import AnyObservation, Calibration, HiddenStates, Look, Sequences
from poise.policies.memories import build_memory, input_layers


class ActorCriticRecurrent(ActorCritic):
    """An actor and a critic with a memory each, an LSTM or a GRU, between the features and their networks."""

    is_recurrent = True
    section = "memory"

    @property
    def memory_config(self) -> MemoryConfig:
        return self.config.memory or MemoryConfig()

    def _build_memories(self, actor_width: int, critic_width: int) -> tuple[int, int]:
        memory = self.memory_config
        self.memory_a = build_memory(actor_width, memory)
        self.memory_c = build_memory(critic_width, memory)
        return self.memory_a.output_size, self.memory_c.output_size

    def input_layers(
        self, segments: Mapping[str, ObsSegments], transformed: Mapping[str, ObsSegments]
    ) -> dict[str, ObsSegments]:
        layers = super().input_layers(segments, transformed)
        for network, name, memory in (("actor", "memory_a", self.memory_a), ("critic", "memory_c", self.memory_c)):
            reader = f"{network}.model.0.weight"
            layers |= input_layers(name, memory, reader, layers.pop(reader))
        return layers

    def update_normalization(self, observation: AnyObservation, sequences: Sequences | None = None) -> None:
        super().update_normalization(observation, sequences)
        if sequences is not None and isinstance(self.memory_a, ChangeMemory):
            look = Calibration(self.named(observation), sequences.hidden_states, sequences.starts)
            with torch.no_grad():
                self._actor_features(look)
                self._critic_features(look)

    def states_after_learning(self, states: HiddenStates) -> HiddenStates:
        """Features of before are not compared with those of now, which other statistics and weights have made."""
        return {name: torch.zeros_like(state) if name.endswith(".known") else state for name, state in states.items()}

    def _actor_features(self, look: Look) -> Tensor:
        features = super()._actor_features
        return look.once("memory_a", lambda: look.remember("memory_a", self.memory_a, features(look)))

    def _critic_features(self, look: Look) -> Tensor:
        features = super()._critic_features
        return look.once("memory_c", lambda: look.remember("memory_c", self.memory_c, features(look)))

    def critic_modules(self) -> list[nn.Module]:
        return [*super().critic_modules(), self.memory_c]
