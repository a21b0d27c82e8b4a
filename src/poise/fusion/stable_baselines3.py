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

from poise.envs.vision import MISSING_CAMERAS
from poise.errors import InvalidValueError
from poise.fusion.building import build_fusion, fusion_config
from poise.fusion.config import AnyFusionConfig
from poise.fusion.missing import missing_modalities


class FusionFeaturesExtractor(BaseFeaturesExtractor):
    """Features of observations that are mappings.

    Args:
        observation_space: of the environment, a Dict of Box, Discrete (which Stable-Baselines3 gives as one-hot
            vectors), MultiDiscrete or MultiBinary.
        fusion: `name` and settings, as `policy.fusion` has them in a configuration of poise, but for `dropout`; a name
            stands for {"name": name}. Cameras that `missing_cameras` tells to be missing are not looked at.

    Raises:
        InvalidValueError: the space is another, or the settings do not fit it.
    """

    def __init__(self, observation_space: spaces.Space[Any], fusion: AnyFusionConfig | Mapping[str, Any] | str) -> None:
        if not isinstance(observation_space, spaces.Dict):
            raise InvalidValueError(
                f"fusion is of mappings, and the observation is {observation_space}; make a Dict space of it, by a "
                "wrapper such as gymnasium.wrappers.TransformObservation, and learn with the 'MultiInputPolicy'"
            )
        if fusion_config(fusion).dropout is not None:
            raise InvalidValueError(
                "fusion.dropout withholds modalities in poise's own learners, which keep with the rollout what was "
                "withheld; Stable-Baselines3 has no place for that, so leave it out"
            )
        shapes = {name: _shape(name, space) for name, space in observation_space.items() if name != MISSING_CAMERAS}
        made = build_fusion(shapes, fusion)
        super().__init__(observation_space, features_dim=made.output_size)
        self.fusion, self._shapes = made, shapes

    def forward(self, observations: Mapping[str, Tensor]) -> Tensor:
        """{name: (B, *shape)} to (B, features_dim)."""
        # One-hot vectors of Discrete come as (B, n) or (B, 1, n).
        components = {name: observations[name].reshape(-1, *shape) for name, shape in self._shapes.items()}
        features: Tensor = self.fusion(components, missing_modalities(observations, self.fusion.modalities.groups))
        return features


def _shape(name: str, space: spaces.Space[Any]) -> tuple[int, ...]:
    """Of a component as Stable-Baselines3 passes it on."""
    if isinstance(space, spaces.Box | spaces.MultiBinary):
        return tuple(space.shape)
    if isinstance(space, spaces.Discrete):
        return (int(space.n),)
    if isinstance(space, spaces.MultiDiscrete):
        return (int(space.nvec.sum()),)
    raise InvalidValueError(
        f"nothing can be made of '{name}', a {type(space).__name__}; components are Box, Discrete, MultiDiscrete or "
        "MultiBinary"
    )
