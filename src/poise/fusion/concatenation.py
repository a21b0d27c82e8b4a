"""Separate encoders and concatenation: every component normalised, flattened and put side by side."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from poise.errors import InvalidValueError, did_you_mean
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
        self.shapes = dict(shapes)
        self.output_size = sum(math.prod(shape) for shape in shapes.values())
        self.normalizer = EmpiricalNormalization(self.output_size, clip=clip) if normalize else None

    def forward(self, observation: Mapping[str, Tensor]) -> Tensor:
        """{name: (..., *shape)} to (..., output_size)."""
        features = self._concatenate(observation)
        return features if self.normalizer is None else self.normalizer(features)

    def update_normalization(self, observation: Mapping[str, Tensor]) -> None:
        """Take observations into the running statistics."""
        if self.normalizer is not None:
            self.normalizer.update(self._concatenate(observation))

    def _concatenate(self, observation: Mapping[str, Tensor]) -> Tensor:
        parts = []
        for name, shape in self.shapes.items():
            if name not in observation:
                raise InvalidValueError(
                    f"the policy needs the observation '{name}'{did_you_mean(name, observation)}; "
                    f"the environment gives {', '.join(observation)}"
                )
            value = observation[name].float()
            lead = value.shape[: value.dim() - len(shape)]
            parts.append(value.reshape(*lead, math.prod(shape)))
        return torch.cat(parts, dim=-1)
