"""What mixed observations become: one vector of components side by side, and features of it."""

from poise.fusion.building import FUSIONS, build_fusion
from poise.fusion.concatenation import ConcatExtractor
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
from poise.fusion.segments import ObsSegments, component

__all__ = [
    "FUSIONS",
    "AnyFusionConfig",
    "ConcatExtractor",
    "ConcatFusion",
    "CrossAttention",
    "EarlyFusion",
    "FusionConfig",
    "FusionExtractor",
    "HierarchicalAttention",
    "ObsSegments",
    "SharedEncoder",
    "TransformerFusion",
    "VisionLanguageAction",
    "WeightedSum",
    "build_fusion",
    "component",
]
