"""The extractor that a configuration asks for."""

from poise.fusion.config import AnyFusionConfig
from poise.fusion.language import VisionLanguageAction
from poise.fusion.modalities import Shapes
from poise.fusion.patterns import (
    ConcatFusion,
    CrossAttention,
    EarlyFusion,
    FusionExtractor,
    HierarchicalAttention,
    SharedEncoder,
    TransformerFusion,
    WeightedSum,
)

_PATTERNS: dict[str, type[FusionExtractor]] = {
    "concat": ConcatFusion,
    "early": EarlyFusion,
    "weighted_sum": WeightedSum,
    "shared_encoder": SharedEncoder,
    "cross_attention": CrossAttention,
    "hierarchical_attention": HierarchicalAttention,
    "transformer": TransformerFusion,
    "vision_language_action": VisionLanguageAction,
}


def build_fusion(shapes: Shapes, config: AnyFusionConfig) -> FusionExtractor:
    """The extractor that a configuration describes, for components of these shapes.

    Raises:
        InvalidValueError: they do not go together.
    """
    return _PATTERNS[config.name](shapes, config)  # type: ignore[arg-type]
