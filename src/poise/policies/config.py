"""What a policy is made of."""

from typing import Literal

from pydantic import Field, field_validator

from poise.config import Config
from poise.nn import get_activation_Cls


class NetworkConfig(Config):
    """A multilayer perceptron."""

    hidden_sizes: tuple[int, ...] = Field((128, 128, 128, 128), description="widths of the hidden layers")
    activation: str = Field("leaky_relu", description="nonlinearity between them")

    @field_validator("hidden_sizes")
    @classmethod
    def _positive(cls, sizes: tuple[int, ...]) -> tuple[int, ...]:
        if any(size < 1 for size in sizes):
            raise ValueError(f"must be positive widths, got {list(sizes)}")
        return sizes

    @field_validator("activation")
    @classmethod
    def _known(cls, name: str) -> str:
        get_activation_Cls(name)
        return name


class MemoryConfig(Config):
    """A recurrent network, one for the actor and one for the critic."""

    type: Literal["lstm", "gru"] = Field("lstm", description="of the network")
    hidden_size: int = Field(64, ge=1, description="numbers each layer remembers")
    num_layers: int = Field(1, ge=1, description="one upon the other")


class PolicyConfig(Config):
    """An actor and a critic over shared features."""

    actor: NetworkConfig = NetworkConfig()
    critic: NetworkConfig = NetworkConfig()
    memory: MemoryConfig | None = Field(None, description="what the policy remembers with; by default it does not")
    init_std: float = Field(1.0, gt=0, description="initial standard deviation of the actions")
    min_std: float = Field(1e-3, gt=0, description="smallest standard deviation of the actions")
    normalize_observations: bool = Field(True, description="by running mean and standard deviation")
    observations: tuple[str, ...] | None = Field(None, description="components the policy sees; all by default")
    critic_observations: tuple[str, ...] | None = Field(
        None, description="components the critic sees, in place of the actor's"
    )
    encoder: str | None = Field(None, description="folder of the frozen depth encoder that turns images into features")
    encoder_precision: Literal["float32", "bfloat16"] = Field("float32", description="of the frozen encoder")

    @property
    def sensed(self) -> tuple[str, ...] | None:
        """Components that somebody sees; None for all."""
        if self.observations is None or self.critic_observations is None:
            return self.observations
        return tuple(dict.fromkeys(self.observations + self.critic_observations))

    @field_validator("observations", "critic_observations")
    @classmethod
    def _some_once(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if names is not None and (not names or len(set(names)) < len(names)):
            raise ValueError(f"must name at least one component and none twice, got {list(names)}")
        return names
