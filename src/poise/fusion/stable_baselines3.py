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

from poise.errors import InvalidValueError
from poise.fusion.building import build_fusion


class FusionFeaturesExtractor(BaseFeaturesExtractor):
    """Features of observations that are mappings.

    Args:
        observation_space: of the environment, a Dict of Box, Discrete (which Stable-Baselines3 gives as one-hot
            vectors), MultiDiscrete or MultiBinary.
        fusion: `name` and settings, as `policy.fusion` has them in a configuration of poise; nothing is withheld.

    Raises:
        InvalidValueError: the space is another, or the settings do not fit it.
    """

    def __init__(self, observation_space: spaces.Space[Any], fusion: Mapping[str, Any]) -> None:
        if not isinstance(observation_space, spaces.Dict):
            raise InvalidValueError(f"fusion is of mappings; the observation is {observation_space}")
        shapes = {name: _shape(name, space) for name, space in observation_space.items()}
        made = build_fusion(shapes, fusion)
        super().__init__(observation_space, features_dim=made.output_size)
        self.fusion, self._shapes = made, shapes

    def forward(self, observations: Mapping[str, Tensor]) -> Tensor:
        """{name: (B, *shape)} to (B, features_dim)."""
        # One-hot vectors of Discrete come as (B, n) or (B, 1, n).
        features: Tensor = self.fusion({key: observations[key].reshape(-1, *to) for key, to in self._shapes.items()})
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
