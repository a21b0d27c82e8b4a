"""What a policy is made of."""

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from poise.config import Config
from poise.envs.options import ENGAGING_BLOCK
from poise.fusion.config import AnyFusionConfig
from poise.nn.settings import MAX_STD, Activation, Width, Widths, can_name_network, check_convolutions

Shape = int | tuple[int, ...]
"""Of a component of the observation; a number stands for a vector of that length."""


class NetworkConfig(Config):
    """A multilayer perceptron."""

    hidden_sizes: Widths = Field((128, 128, 128, 128), description="widths of the hidden layers")
    activation: Activation = Field("leaky_relu", description="nonlinearity between them")


class MemoryConfig(Config):
    """A recurrent network, one for the actor and one for the critic."""

    type: Literal["lstm", "gru"] = Field("lstm", description="of the network")
    hidden_size: Width = Field(64, description="numbers each layer remembers")
    num_layers: int = Field(1, ge=1, le=1024, description="one upon the other")
    changes: bool = Field(False, description="read also what changed since the step before, and let both past it")


class EncoderConfig(Config):
    """A network that turns a component of the observation into a latent, and learns with the policy."""

    latent_size: Width = Field(16, description="numbers that take the component's place")
    hidden_sizes: Widths = Field((64,), description="widths of the hidden layers before them")
    activation: Activation = Field("elu", description="nonlinearity after each layer, the latent's included")
    linear: bool = Field(False, description="leave the latent as it is, without the nonlinearity")
    channels: Widths = Field((), description="of convolutions before all that, for images; none by default")
    kernel_sizes: Widths = Field((), description="of the convolutions")
    strides: Widths = Field((), description="of the convolutions")

    @model_validator(mode="after")
    def _as_many(self) -> Self:
        check_convolutions(self.channels, self.kernel_sizes, self.strides)
        return self


class EstimatorConfig(Config):
    """A network that estimates components from others, learns from their true values, and may stand in for them."""

    observations: tuple[str, ...] = Field(
        (), description="components it reads, of those the actor sees; none with use_actor_rnn"
    )
    targets: tuple[str, ...] = Field(description="components it estimates, of those the critic sees")
    hidden_sizes: Widths = Field((128, 64), description="widths of its hidden layers")
    activation: Activation = Field("elu", description="nonlinearity between them")
    coef: float = Field(1.0, ge=0, description="weight of its loss, the squared error summed over the components")
    replace_prob: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of the samples in which the actor sees estimates in place of true values while it learns; "
        "unless it is 0, what acts without exploring sees estimates alone",
    )
    use_actor_rnn: bool = Field(False, description="read what the actor's memory holds; otherwise it has its own")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.use_actor_rnn and self.replace_prob > 0:
            raise ValueError(
                "replace_prob must be 0 with use_actor_rnn: the actor's memory has read the observation by then, "
                "and nothing can be replaced in it"
            )
        if self.use_actor_rnn and self.observations:
            raise ValueError(f"observations must be left away with use_actor_rnn, got {list(self.observations)}")
        if not (self.observations or self.use_actor_rnn) or not self.targets:
            raise ValueError("observations and targets must each name at least one component")
        copied = [name for name in self.targets if name in self.observations]
        if copied:
            raise ValueError(f"'{copied[0]}' is among observations and targets: to copy it is not to estimate it")
        return self


class DiscriminatorConfig(Config):
    """What tells a policy's motion from a reference (adversarial motion priors)."""

    observations: tuple[str, ...] = Field(min_length=1, description="components that make up a motion's state")
    hidden_sizes: Widths = Field((256, 128), min_length=1, description="widths of its hidden layers")
    style_reward_coef: float = Field(1.0, ge=0, description="reward of a step that looks like the reference")
    task_reward_lerp: float = Field(0.5, ge=0, le=1, description="share of the task's reward, the rest being style's")
    discriminator_grad_pen: float = Field(5.0, ge=0, description="weight of the gradient penalty")


Command = float | tuple[float, float]
"""A number, or the bounds between which each robot draws its own when its episode begins."""


class MutexConfig(Config):
    """A policy made of finished ones, which take turns by the field ahead."""

    sub_policies: dict[str, str] = Field(
        min_length=1, description="folders of runs or checkpoints by a name each, in the order of the selector"
    )
    kind: Literal["field", "climb"] = Field(
        "field", description="a policy for each field; or a last one for going down, which the last number's sign tells"
    )
    selector: str = Field(ENGAGING_BLOCK, description="component that tells the field ahead, one number for each")
    command: str | None = Field(None, description="component that commands the velocity, to be set")
    cmd_vel_mapping: dict[str, tuple[Command, ...]] = Field(
        default_factory=dict, description="velocities commanded to sub-policies, by name: numbers or [lowest, highest]"
    )
    last_action: str | None = Field(None, description="component that tells the last action, rescaled")
    action_smoothing_buffer_len: int = Field(1, ge=1, description="latest selections that are averaged")
    reset_non_selected: Literal["all", "when_skill", "never"] = Field(
        "never", description="who forgets while not acting: all, all but the first, or nobody"
    )

    @field_validator("sub_policies")
    @classmethod
    def _words(cls, policies: dict[str, str]) -> dict[str, str]:
        unfit = [name for name in policies if not (name.isidentifier() and can_name_network(name)) or name == "mutex"]
        if unfit:
            raise ValueError(f"names must be words, and not 'mutex' or what torch reserves, got '{unfit[0]}'")
        return policies

    @field_validator("cmd_vel_mapping")
    @classmethod
    def _in_order(cls, mapping: dict[str, tuple[Command, ...]]) -> dict[str, tuple[Command, ...]]:
        for name, command in mapping.items():
            for bounds in command:
                if isinstance(bounds, tuple) and bounds[0] > bounds[1]:
                    raise ValueError(f"{name}: a range must be [lowest, highest], got {list(bounds)}")
        return mapping


class PolicyConfig(Config):
    """An actor and a critic over shared features."""

    actor: NetworkConfig = NetworkConfig()
    critic: NetworkConfig = NetworkConfig()
    memory: MemoryConfig | None = Field(None, description="what the policy remembers with; by default it does not")
    encoders: dict[str, EncoderConfig] = Field(
        default_factory=dict, description="networks that encode components, by the component's name"
    )
    memories: dict[str, MemoryConfig] = Field(
        default_factory=dict,
        description="networks that remember single components (or latents of them), by the component's name",
    )
    critic_encoders: Literal["own", "shared", "none"] = Field(
        "own", description="whose networks encode, remember and fuse for the critic: its own, the actor's, or none"
    )
    fusion: AnyFusionConfig | None = Field(
        None, description="how modalities become features; by default they stand side by side"
    )
    estimator: EstimatorConfig | None = Field(None, description="estimates components of the observation")
    adaptor: EstimatorConfig | None = Field(None, description="another one, for what only the critic is told")
    amp_discriminator: DiscriminatorConfig | None = Field(
        None, description="tells its motion from a reference, for algorithm.name 'amp'"
    )
    mixins: tuple[str, ...] = Field(
        (), description="classes of your own on Python's path, ['module:Class'], upon those that the rest asks for"
    )
    mutex: MutexConfig | None = Field(None, description="finished policies to take turns, in place of a new one")
    init_std: float = Field(1.0, gt=0, description="initial standard deviation of the actions")
    min_std: float = Field(1e-3, gt=0, description="smallest standard deviation of the actions")
    normalize_observations: bool = Field(True, description="by running mean and standard deviation")
    obs_segments: dict[str, Shape] | None = Field(
        None, min_length=1, description="components of an observation that is a vector, by name and width or shape"
    )
    observations: tuple[str, ...] | None = Field(None, description="components the policy sees; all by default")
    critic_observations: tuple[str, ...] | None = Field(
        None, description="components the critic sees, in place of the actor's"
    )
    encoder: str | None = Field(None, description="folder of the frozen depth encoder that turns images into features")
    encoder_precision: Literal["float32", "bfloat16"] = Field("float32", description="of the frozen encoder")

    @model_validator(mode="after")
    def _assembled_or_new(self) -> Self:
        fresh = type(self).model_construct()
        beside = [name for name in type(self).model_fields if getattr(self, name) != getattr(fresh, name)]
        beside = [name for name in beside if name not in ("mutex", "obs_segments")]
        if self.mutex is not None and beside:
            raise ValueError(
                f"mutex puts finished policies together, which have settings of their own: remove {', '.join(beside)}"
            )
        return self

    @model_validator(mode="after")
    def _changes_of_one_thing(self) -> Self:
        for name, estimator in (("estimator", self.estimator), ("adaptor", self.adaptor)):
            drawn = estimator is not None and 0.0 < estimator.replace_prob < 1.0
            if drawn and self.memory is not None and self.memory.changes:
                raise ValueError(
                    f"{name}.replace_prob must be 0 or 1 with memory.changes: from a true value to an estimate is no "
                    "change"
                )
        return self

    @property
    def is_recurrent(self) -> bool:
        """Whether the policy remembers anything."""
        return self.memory is not None or bool(self.memories)

    @field_validator("memories")
    @classmethod
    def _plain(cls, memories: dict[str, MemoryConfig]) -> dict[str, MemoryConfig]:
        for name, memory in memories.items():
            if memory.changes:
                raise ValueError(f"{name}.changes must be false: changes are for policy.memory")
        return memories

    @model_validator(mode="after")
    def _changes_of_what_is_there(self) -> Self:
        withheld = self.fusion is not None and self.fusion.dropout is not None
        if withheld and self.memory is not None and self.memory.changes:
            raise ValueError("fusion.dropout does not go with memory.changes: that one is gone is no change of it")
        return self

    @model_validator(mode="after")
    def _can_learn_its_std(self) -> Self:
        if not self.min_std <= self.init_std <= MAX_STD:
            raise ValueError(
                f"init_std must be from min_std, {self.min_std:g}, to {MAX_STD:g}, got {self.init_std:g}: "
                "outside it would never change"
            )
        return self

    @model_validator(mode="after")
    def _estimated_once(self) -> Self:
        names = [name for each in (self.estimator, self.adaptor) if each is not None for name in each.targets]
        both = [name for name in names if names.count(name) > 1]
        if both:
            raise ValueError(f"'{both[0]}' is estimated twice; leave it to the estimator or the adaptor")
        return self

    @property
    def replaced(self) -> tuple[str, ...]:
        """Components that estimates stand for in all samples: who acts need not sense them."""
        estimators = [each for each in (self.adaptor, self.estimator) if each is not None]
        return tuple(name for each in estimators if each.replace_prob == 1.0 for name in each.targets)

    @property
    def sensed(self) -> tuple[str, ...] | None:
        """Components that somebody sees; None for all."""
        if self.observations is None or self.critic_observations is None:
            return self.observations
        return tuple(dict.fromkeys(self.observations + self.critic_observations))

    @field_validator("mixins")
    @classmethod
    def _places(cls, mixins: tuple[str, ...]) -> tuple[str, ...]:
        unfit = [place for place in mixins if not re.fullmatch(r"[\w.]+:\w+", place)]
        if unfit:
            raise ValueError(f"must each be 'module:Class', got '{unfit[0]}'")
        if len(set(mixins)) < len(mixins):
            raise ValueError(f"must name no class twice, got {list(mixins)}")
        return mixins

    @field_validator("obs_segments")
    @classmethod
    def _some_numbers(cls, segments: dict[str, Shape] | None) -> dict[str, Shape] | None:
        for name, shape in (segments or {}).items():
            if any(size < 1 for size in (shape if isinstance(shape, tuple) else (shape,))):
                raise ValueError(f"must be positive widths, got {shape} for '{name}'")
        return segments

    @field_validator("observations", "critic_observations")
    @classmethod
    def _some_once(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if names is not None and (not names or len(set(names)) < len(names)):
            raise ValueError(f"must name at least one component and none twice, got {list(names)}")
        return names
