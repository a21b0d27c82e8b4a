"""Which way of fusing modalities, and how large."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from poise.config import Config
from poise.nn.precision import MixedPrecision
from poise.nn.settings import Activation, Width, Widths, check_convolutions


class PatchConfig(Config):
    """How an image becomes tokens: the last pixels of convolutions, or patches as of a vision transformer."""

    kind: Literal["cnn", "vit"] = Field("cnn", description="convolutions, or patches that are projected as they are")
    channels: Widths = Field((8, 16), min_length=1, description="of the convolutions")
    kernel_sizes: Widths = Field((8, 4), description="of the convolutions")
    strides: Widths = Field((4, 2), description="of the convolutions")
    patch_size: int = Field(16, ge=1, description="pixels along each side of a patch")
    precision: MixedPrecision = Field(
        "float32",
        description="of the multiplications; auto is bfloat16, faster and coarser, where the processor has it",
    )

    @model_validator(mode="after")
    def _one_for_each(self) -> Self:
        check_convolutions(self.channels, self.kernel_sizes, self.strides)
        return self

    @model_validator(mode="after")
    def _nothing_without_effect(self) -> Self:
        for name in ("patch_size",) if self.kind == "cnn" else ("channels", "kernel_sizes", "strides"):
            if getattr(self, name) != PatchConfig.model_fields[name].default:
                raise ValueError(f"{name} changes nothing of kind '{self.kind}'")
        return self


class ModalityDropoutConfig(Config):
    """Modalities that are withheld from the actor at random while it learns, so that it can do without one."""

    prob: float = Field(0.1, ge=0, lt=1, description="of each modality in each sample, drawn apart")
    spare: tuple[str, ...] | None = Field(
        None, description="modalities that are never withheld; by default all that hold no camera or image"
    )


class FusionConfig(Config):
    """What all ways have in common."""

    modalities: dict[str, tuple[str, ...]] | None = Field(
        None,
        min_length=1,
        description="components by modality; by default cameras and instruction are one each, the rest is the 'body'",
    )
    images: PatchConfig = PatchConfig()
    activation: Activation = Field("elu", description="nonlinearity")
    missing: Literal["zeros", "learned"] = Field(
        "learned",
        description="what stands for the tokens of a modality that is missing; learned only where it is withheld",
    )
    dropout: ModalityDropoutConfig | None = Field(None, description="withholds modalities while the policy learns")

    @field_validator("modalities")
    @classmethod
    def _once(cls, modalities: dict[str, tuple[str, ...]] | None) -> dict[str, tuple[str, ...]] | None:
        names = [name for group in (modalities or {}).values() for name in group]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"'{twice[0]}' must be in one modality only")
        empty = [name for name, group in (modalities or {}).items() if not group]
        if empty:
            raise ValueError(f"must have components each, and '{empty[0]}' has none")
        return modalities


class ConcatFusionConfig(FusionConfig):
    """Separate encoders, and concatenation."""

    name: Literal["concat"] = Field("concat", description="of the way of fusing")
    hidden_sizes: Widths = Field((), description="of a network for each modality; none leaves vectors as they are")
    width: Width = Field(32, description="numbers that an image becomes where there are no hidden sizes")

    @model_validator(mode="after")
    def _one_width(self) -> Self:
        if self.hidden_sizes and self.width != ConcatFusionConfig.model_fields["width"].default:
            raise ValueError("width changes nothing where there are hidden_sizes, of which the last is the width")
        return self


class EarlyFusionConfig(FusionConfig):
    """Everything side by side first, and one encoder of all."""

    name: Literal["early"] = Field("early", description="of the way of fusing")
    hidden_sizes: Widths = Field((128, 64), min_length=1, description="of the encoder; the last are the features")

    @model_validator(mode="after")
    def _pixels_as_they_are(self) -> Self:
        if self.images != PatchConfig():
            raise ValueError("images changes nothing of 'early', which takes pixels as they are")
        return self


class WeightedSumConfig(FusionConfig):
    """A sum of the modalities' features with learned weights."""

    name: Literal["weighted_sum"] = Field("weighted_sum", description="of the way of fusing")
    width: Width = Field(64, description="features of each modality, and of the sum")


class SharedEncoderConfig(FusionConfig):
    """One encoder for all modalities, and a head for each."""

    name: Literal["shared_encoder"] = Field("shared_encoder", description="of the way of fusing")
    width: Width = Field(64, description="of what the encoder reads and gives")
    head_size: Width = Field(32, description="features of each modality")


class _AttendingConfig(FusionConfig):
    """What ways with attention have in common."""

    width: Width = Field(64, description="of a token")
    num_heads: int = Field(4, ge=1, description="of the attention; they share the width")

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.width % self.num_heads:
            raise ValueError(f"num_heads must divide width, got {self.num_heads} and {self.width}")
        return self


class CrossAttentionConfig(_AttendingConfig):
    """One modality asks, the others answer."""

    name: Literal["cross_attention"] = Field("cross_attention", description="of the way of fusing")
    query: str = Field("body", description="the modality that asks")


class HierarchicalAttentionConfig(_AttendingConfig):
    """Attention within each modality, then across modalities."""

    name: Literal["hierarchical_attention"] = Field("hierarchical_attention", description="of the way of fusing")


class TransformerFusionConfig(_AttendingConfig):
    """A transformer encoder over the tokens of all modalities."""

    name: Literal["transformer"] = Field("transformer", description="of the way of fusing")
    num_layers: int = Field(2, ge=1, le=64, description="one upon the other")
    pooling: Literal["mean", "attention"] = Field("mean", description="of the tokens to features")


class VisionLanguageActionConfig(_AttendingConfig):
    """An instruction conditions what is seen and felt."""

    name: Literal["vision_language_action"] = Field("vision_language_action", description="of the way of fusing")
    language: str = Field("instruction", description="the modality that conditions all others")
    query: str = Field("body", description="the modality that asks what is seen, together with the instruction")


def _by_name(given: Any) -> Any:
    """`concat` for `{name: concat}`."""
    return {"name": given} if isinstance(given, str) else given


AnyFusionConfig = Annotated[
    ConcatFusionConfig
    | EarlyFusionConfig
    | WeightedSumConfig
    | SharedEncoderConfig
    | CrossAttentionConfig
    | HierarchicalAttentionConfig
    | TransformerFusionConfig
    | VisionLanguageActionConfig,
    Field(discriminator="name"),
    BeforeValidator(_by_name),
]
"""Of the way that `name` chooses; a plain name chooses it as it is by default."""
