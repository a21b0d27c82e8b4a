"""What policies that imitate are made of."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from poise.config import Config
from poise.imitation.augmentation import AugmentationConfig
from poise.imitation.backbones import BackboneName
from poise.nn.precision import MixedPrecision
from poise.nn.settings import Width, Widths
from poise.policies.config import MemoryConfig


class BackboneConfig(Config):
    """What makes features of pictures; each camera has its own."""

    name: BackboneName = Field("cnn", description="four convolutions, ResNet-18, or ViT-B/16")
    weights: str | None = Field(
        None, description="a file of weights that torchvision has published for it; nothing is downloaded"
    )
    pooling: Literal["summary", "spatial_softmax"] = Field(
        "spatial_softmax", description="the average (of ViT, its class token), which forgets where things are, or where"
    )
    normalize: Literal["imagenet", "demonstrations"] = Field(
        "imagenet", description="whose mean and spread of colours pictures are brought to"
    )

    @model_validator(mode="after")
    def _published(self) -> Self:
        if self.weights is not None and self.name == "cnn":
            raise ValueError("weights are of networks that torchvision has published: set name to resnet18 or vit_b_16")
        return self


class ImitationPolicyConfig(Config):
    """What all have."""

    observations: tuple[str, ...] = Field(("image", "state"), min_length=1, description="components that it sees")
    backbone: BackboneConfig = BackboneConfig()
    coordinates: Literal["cartesian", "spherical"] = Field(
        "cartesian", description="of the actions it learns: spherical ones keep length and direction apart"
    )
    precision: MixedPrecision = Field("auto", description="of multiplications while it learns")


class CloningPolicyConfig(ImitationPolicyConfig):
    """One action at a time."""

    name: Literal["bc"] = Field("bc", description="behavioural cloning, an action at a time")
    memory: MemoryConfig | None = Field(None, description="what it remembers with; by default it does not")
    hidden_sizes: Widths = Field((512, 512), description="widths of the head's hidden layers")
    dropout: float = Field(0.3, ge=0, lt=1, description="share of hidden numbers that are left out while it learns")

    @model_validator(mode="after")
    def _no_changes(self) -> Self:
        if self.memory is not None and self.memory.changes:
            raise ValueError("memory.changes is for policies that learn by reinforcement; leave it out")
        return self


class LatentConfig(Config):
    """A style of each chunk, read from its actions while learning, and left at its mean in earnest (a CVAE)."""

    size: Width = Field(32, description="numbers")
    weight: float = Field(10.0, ge=0, description="of its divergence from a standard normal distribution in the loss")


class ActPolicyConfig(ImitationPolicyConfig):
    """Several actions at a time, by transformers (Zhao et al., arXiv 2304.13705)."""

    name: Literal["act"] = Field("act", description="action chunking with transformers")
    chunk: int = Field(10, ge=1, le=1000, description="actions that are predicted at once")
    discount: float = Field(
        1.0,
        gt=0,
        le=1,
        description="what each action of a chunk counts of the one before it while learning; where only the first is "
        "done (horizon 1), those further on, which noise makes uncertain, had better count less",
    )
    history: int = Field(1, ge=1, le=100, description="observations that are seen, the latest among them")
    width: Width = Field(128, description="features of a token")
    num_heads: int = Field(4, ge=1, description="of attention")
    encoder_layers: int = Field(2, ge=1, description="over what is seen")
    decoder_layers: int = Field(2, ge=1, description="from what is seen to actions")
    feedforward: Width = Field(512, description="hidden features of a layer")
    head: Widths = Field((256,), description="widths of the hidden layers from a token to an action")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of features that are left out while it learns")
    grid: int = Field(5, ge=1, le=64, description="places along each side of a picture that become tokens, at most")
    latent: LatentConfig | None = Field(None, description="a style of each chunk; by default there is none")
    execution: Literal["chunk", "receding", "ensemble"] = Field(
        "ensemble", description="do all of a chunk, its beginning, or the average of all that was predicted for a step"
    )
    horizon: int = Field(5, ge=1, description="actions of a chunk that are done with execution 'receding'")
    decay: float = Field(0.01, ge=0, description="m of the weights exp(-m i) of an ensemble, i = 0 for the oldest")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.width % (2 * self.num_heads):
            raise ValueError(
                f"width must be a multiple of 2 num_heads ({2 * self.num_heads}), so that heads share it and "
                f"positions have sines and cosines, got {self.width}"
            )
        if self.execution == "receding" and self.horizon > self.chunk:
            raise ValueError(f"horizon must be at most chunk ({self.chunk}), got {self.horizon}")
        return self


def _kind(given: Any) -> str:
    name = given.get("name", "bc") if isinstance(given, dict) else getattr(given, "name", "bc")
    return str(name)


AnyImitationPolicyConfig = Annotated[
    Annotated[CloningPolicyConfig, Tag("bc")] | Annotated[ActPolicyConfig, Tag("act")], Discriminator(_kind)
]
"""Of the policy that `name` chooses."""


class CloningConfig(Config):
    """How a policy learns from demonstrations."""

    batch_size: int = Field(64, ge=1, le=65536, description="decisions of a step of the optimiser")
    window: int = Field(
        8,
        ge=2,
        le=1000,
        description="of a policy with memory: decisions in a row of a step; batch_size / window rows",
    )
    learning_rate: float = Field(1e-3, gt=0, description="at first")
    weight_decay: float = Field(1e-4, ge=0, description="of AdamW")
    max_grad_norm: float = Field(1.0, gt=0, description="longest gradient; longer ones are scaled down")
    weighted: bool = Field(True, description="weigh an action a by 1 + 2 |a|, relative to the largest demonstrated")
    huber_delta: float = Field(
        1.0,
        gt=0,
        description="errors count squared up to it, and as they are beyond; where an expert does now this, now that in "
        "what looks alike, a small one chooses, and a large one does something in between",
    )
    averaging: float = Field(
        0.99, ge=0, lt=1, description="of the weights that act: share of their running average that a step keeps"
    )
    patience: int = Field(2, ge=0, description="epochs without improvement of the held-out loss, then the rate falls")
    least_improvement: float = Field(0.01, ge=0, lt=1, description="of the held-out loss that counts, as a share")
    reduction: float = Field(0.5, gt=0, lt=1, description="what the rate is multiplied by then")
    augmentation: AugmentationConfig = AugmentationConfig()
