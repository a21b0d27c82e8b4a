"""The same ways of fusing modalities as a features extractor of Stable-Baselines3, which must be installed.

PPO("MultiInputPolicy", env, policy_kwargs={
    "features_extractor_class": FusionFeaturesExtractor,
    "features_extractor_kwargs": {"fusion": {"name": "transformer"}},
})
"""

from collections.abc import Mapping
from typing import Any

from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor

from poise.config import Config, parse
from poise.errors import InvalidValueError
from poise.fusion.building import build_fusion
from poise.fusion.config import AnyFusionConfig


class _Given(Config):
    """What a user passes."""

    fusion: AnyFusionConfig


class FusionFeaturesExtractor(BaseFeaturesExtractor):
    """Features of observations that are mappings.

    Args:
        observation_space: of the environment, a Dict of Box.
        fusion: `name` and settings, as `policy.fusion` has them in a configuration of poise; nothing is withheld.

    Raises:
        InvalidValueError: the space is another, or the settings do not fit it.
    """

    def __init__(self, observation_space: spaces.Space[Any], fusion: Mapping[str, Any]) -> None:
        if not isinstance(observation_space, spaces.Dict):
            raise InvalidValueError(f"fusion is of mappings; the observation is {observation_space}")
        shapes = {name: tuple(space.shape or ()) for name, space in observation_space.spaces.items()}
        made = build_fusion(shapes, parse(_Given, {"fusion": dict(fusion)}, "features_extractor_kwargs").fusion)
        super().__init__(observation_space, features_dim=made.output_size)
        self.fusion = made

    def forward(self, observations: Mapping[str, Tensor]) -> Tensor:
        """{name: (B, *shape)} to (B, features_dim)."""
        features: Tensor = self.fusion(observations)
        return features
