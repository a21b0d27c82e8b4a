"""Separate encoders and concatenation: every component normalised, flattened and put side by side."""

from collections.abc import Mapping

from torch import Tensor, nn

from poise.fusion.segments import ObsSegments
from poise.nn import EmpiricalNormalization


class ConcatExtractor(nn.Module):
    """Concatenates the components of an observation, each normalised by its running statistics.

    Args:
        shapes: component name to shape of one sample, in the order of the features; of an image, its features' shape.
        normalize: whether to normalise; without it the statistics stay unused.
        clip: bound of a normalised value's magnitude.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], normalize: bool = True, clip: float = 10.0) -> None:
        super().__init__()
        self.segments = ObsSegments(shapes)
        self.output_size = self.segments.size
        self.normalizer = EmpiricalNormalization(self.output_size, clip=clip) if normalize else None

    def forward(self, observation: Mapping[str, Tensor]) -> Tensor:
        """{name: (..., *shape)} to (..., output_size)."""
        features = self._features(observation)
        return features if self.normalizer is None else self.normalizer(features)

    def update_normalization(self, observation: Mapping[str, Tensor]) -> None:
        """Take observations into the running statistics."""
        if self.normalizer is not None:
            self.normalizer.update(self._features(observation))

    def _features(self, observation: Mapping[str, Tensor]) -> Tensor:
        return self.segments.join(observation).float()
