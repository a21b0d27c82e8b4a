"""The extractor that a configuration asks for."""

from collections.abc import Mapping
from typing import Any

from poise.config import Config, parse
from poise.fusion.config import AnyFusionConfig, FusionConfig
from poise.fusion.language import VisionLanguageAction
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
from poise.fusion.segments import ObsSegments

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


FUSIONS = tuple(_PATTERNS)
"""Names of all ways."""


class _Settings(Config):
    """What a user passes."""

    fusion: AnyFusionConfig


def build_fusion(
    shapes: Mapping[str, int | tuple[int, ...]], fusion: AnyFusionConfig | Mapping[str, Any]
) -> FusionExtractor:
    """The extractor that settings describe, for components of these shapes.

    Args:
        shapes: name to shape of every component; an integer n stands for (n,).
        fusion: `name` and settings, as `policy.fusion` has them in a configuration.

    Raises:
        InvalidValueError: there is no such way or setting, or it does not fit the shapes.
    """
    config = fusion if isinstance(fusion, FusionConfig) else parse(_Settings, {"fusion": dict(fusion)}, "fusion").fusion
    return _PATTERNS[config.name](ObsSegments(shapes).shapes, config)  # type: ignore[arg-type]
