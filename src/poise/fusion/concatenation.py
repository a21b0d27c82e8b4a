"""Separate encoders and concatenation: every component normalised, flattened and put side by side."""

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from poise.fusion.segments import AnyComponent, ObsSegments, checked
from poise.nn import EmpiricalNormalization
from poise.nn.frames import Frames


class ConcatExtractor(nn.Module):
    """Concatenates the components of an observation, each normalised by its running statistics.

    Args:
        shapes: component name to shape of one sample, in the order of the features; of an image, its features' shape.
        normalize: whether to normalise; without it the statistics stay unused.
        clip: bound of a normalised value's magnitude.

    Attributes:
        has_images: whether components have three axes: such are best read apart, by `components`.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], normalize: bool = True, clip: float = 10.0) -> None:
        super().__init__()
        self.segments = ObsSegments(shapes)
        self.output_size = self.segments.size
        self.has_images = any(len(shape) == 3 for shape in self.segments.shapes.values())
        self.normalizer = EmpiricalNormalization(self.output_size, clip=clip) if normalize else None
        self._parts = {name: ComponentNormalization(self, name) for name in self.segments.shapes}

    def forward(self, observation: Mapping[str, AnyComponent]) -> Tensor:
        """{name: (..., *shape)} to (..., output_size)."""
        features = self.segments.join(observation).float()
        return features if self.normalizer is None else self.normalizer(features)

    def components(self, observation: Mapping[str, AnyComponent]) -> dict[str, AnyComponent]:
        """{name: (..., *shape)} to the same, normalised; frames stay frames."""
        if not self.has_images:
            return dict(self.segments.split(self(observation)))
        given = {name: checked(name, observation, shape) for name, shape in self.segments.shapes.items()}
        return {
            name: value.through(self._parts[name]) if isinstance(value, Frames) else self._parts[name](value)
            for name, value in given.items()
        }

    def update_normalization(
        self, observation: Mapping[str, AnyComponent], missing: Mapping[str, Tensor] | None = None
    ) -> None:
        """Take observations into the running statistics; of frames, each image once.

        Args:
            observation: {name: (..., *shape)}.
            missing: {name: (...,) bool} of components that tell nothing in some of the samples, which do not count.
        """
        normalizer = self.normalizer
        if normalizer is None:
            return
        missing = {name: where for name, where in (missing or {}).items() if name in self.segments.shapes}
        if not self.has_images and not missing:
            normalizer.update(self.segments.join(observation).float())
            return
        moments = [self._moments(name, observation, missing.get(name), normalizer) for name in self.segments.shapes]
        counts, means, variances = zip(*moments, strict=True)
        normalizer.update_from_moments(torch.cat(means), torch.cat(variances), max(counts))

    def _moments(
        self,
        name: str,
        observation: Mapping[str, AnyComponent],
        missing: Tensor | None,
        normalizer: EmpiricalNormalization,
    ) -> tuple[int, Tensor, Tensor]:
        """Samples of a component, and the mean and variance of each of its numbers: where none counts, those so far."""
        shape = self.segments.shapes[name]
        value = checked(name, observation, shape)
        samples = math.prod(value.shape[: value.dim() - len(shape)])
        if isinstance(value, Frames):
            numbers = value.images if missing is None else value.images[value.index[~missing].unique()]
        else:
            numbers = value if missing is None else value[~missing]
        numbers = numbers.reshape(-1, math.prod(shape)).float()
        if not len(numbers):
            part = self.segments.slice(name)
            return samples, normalizer.mean[part], normalizer.var[part]
        mean = numbers.mean(dim=0)
        return samples, mean, (numbers - mean).square_().mean(dim=0)  # torch's var takes four times as long along rows


class ComponentNormalization:
    """What an extractor's normaliser does to one of the components."""

    def __init__(self, extractor: ConcatExtractor, name: str) -> None:
        self._normalizer = extractor.normalizer
        self._slice, self._shape = extractor.segments.slice(name), extractor.segments.shapes[name]

    def __call__(self, value: Tensor) -> Tensor:
        """(..., *shape) to the same."""
        if self._normalizer is None:
            return value.float()
        return self._normalizer.part(value.float(), self._slice, self._shape)

    def buffers(self) -> Iterator[Tensor]:
        """The statistics."""
        return iter(()) if self._normalizer is None else self._normalizer.buffers()
