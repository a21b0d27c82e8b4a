"""The extractor that a configuration asks for."""

import re
from collections.abc import Mapping
from typing import Any

from poise.config import Config, parse
from poise.envs.options import CAMERAS
from poise.errors import InvalidValueError
from poise.fusion.config import AnyFusionConfig, FusionConfig, PatchConfig
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
    shapes: Mapping[str, int | tuple[int, ...]], fusion: AnyFusionConfig | Mapping[str, Any] | str
) -> FusionExtractor:
    """The extractor that settings describe, for components of these shapes.

    Args:
        shapes: name to shape of every component; an integer n stands for (n,).
        fusion: `name` and settings, as `policy.fusion` has them in a configuration; a name stands for {"name": name}.

    Raises:
        InvalidValueError: there is no such way or setting, or it does not fit the shapes.
    """
    config, segments = fusion_config(fusion), ObsSegments(shapes)
    of_a_run = isinstance(fusion, FusionConfig)
    try:
        _check_images(config, segments.shapes, of_a_run)
        return _PATTERNS[config.name](segments.shapes, config)  # type: ignore[arg-type]
    except InvalidValueError as error:
        raise InvalidValueError(_with_key(str(error), config, "policy.fusion" if of_a_run else "fusion")) from None


def fusion_config(fusion: AnyFusionConfig | Mapping[str, Any] | str) -> AnyFusionConfig:
    """Settings as `build_fusion` takes them, checked.

    Raises:
        InvalidValueError: there is no such way or setting.
    """
    if isinstance(fusion, FusionConfig):
        return fusion
    return parse(_Settings, {"fusion": dict(fusion) if isinstance(fusion, Mapping) else fusion}, where="").fusion


def _with_key(message: str, config: FusionConfig, key: str) -> str:
    """What is wrong with a setting, `query names ...`, told by the whole key: `policy.fusion.query names ...`."""
    begins_with_setting = re.split(r"\W", message, maxsplit=1)[0] in type(config).model_fields
    return f"{key}.{message}" if begins_with_setting else f"{key}: {message}"


def _check_images(config: FusionConfig, shapes: Shapes, of_a_run: bool) -> None:
    """Settings of images must have an image to be of.

    A run's critic is built of its actor's settings, and may see no camera at all; cameras that it sees as features have
    been encoded for the actor as well.

    Raises:
        InvalidValueError: there is none.
    """
    coded = [name for name, shape in shapes.items() if name in CAMERAS and len(shape) < 3]
    if config.images == PatchConfig() or any(len(shape) == 3 for shape in shapes.values()) or (of_a_run and not coded):
        return
    how = f", {', '.join(coded)} being encoded already" if coded else ""
    remedy = "leave it out, or leave out what encodes them (policy.encoder)" if coded else "leave it out"
    raise InvalidValueError(f"images changes nothing: there are none to encode{how}; {remedy}")
