"""Components by modality, and what each modality becomes: tokens, vectors of some width, one or several of them.

orientation ─┐
vel ─────────┼─► body ──► network ─────────────────────────────► one token, or one for each component
actions ─────┘
rgbd_0 ────────► camera ► convolutions, or patches ────────────► one token, or one for each place
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from poise.errors import InvalidValueError, did_you_mean
from poise.fusion.config import FusionConfig, PatchConfig
from poise.fusion.segments import ObsSegments
from poise.nn import Conv2dModel, MlpModel, get_activation_Cls

Shapes = Mapping[str, tuple[int, ...]]
BODY = "body"
"""The modality of what is in no other."""
CAMERA = "rgbd_"
"""How components begin that are what a camera sees, be it an image or what an encoder has made of one."""


def grouped(shapes: Shapes, modalities: Mapping[str, Sequence[str]] | None) -> dict[str, ObsSegments]:
    """Components by modality; whatever order they are named in, the same.

    Args:
        shapes: name to shape of every component.
        modalities: names of components by modality; by default images and cameras are one each, the rest is the body.

    Raises:
        InvalidValueError: a component is unknown or in no modality, or an image is not alone in its own.
    """
    if modalities is None:
        alone = [name for name, shape in shapes.items() if len(shape) == 3 or name.startswith(CAMERA)]
        rest = [name for name in shapes if name not in alone]
        modalities = ({BODY: rest} if rest else {}) | {name: [name] for name in alone}
    for modality, names in modalities.items():
        for name in names:
            if name not in shapes:
                raise InvalidValueError(
                    f"policy.fusion.modalities.{modality} names '{name}'{did_you_mean(name, shapes)}; "
                    f"the policy sees {', '.join(shapes)}"
                )
        images = [name for name in names if len(shapes[name]) == 3]
        if images and len(names) > 1:
            raise InvalidValueError(
                f"policy.fusion.modalities.{modality} mixes the image '{images[0]}' with others; an image is a "
                "modality of its own"
            )
    left = [name for name in shapes if not any(name in names for names in modalities.values())]
    if left:
        raise InvalidValueError(
            f"no modality of policy.fusion.modalities takes '{left[0]}' of shape {shapes[left[0]]}; there are "
            f"{', '.join(modalities)}"
        )
    return {
        modality: ObsSegments({name: shapes[name] for name in sorted(modalities[modality])})
        for modality in sorted(modalities)
    }


class VectorTokens(nn.Module):
    """Components that are no images to one token, or to one for each.

    Args:
        segments: the components.
        sizes: of the layers of a network; none leaves the numbers as they are.
        activation: after each layer.
        apart: a token for each component, by a network of its own.
    """

    def __init__(self, segments: ObsSegments, sizes: Sequence[int], activation: str, apart: bool = False) -> None:
        super().__init__()
        self.segments = segments
        self._groups = [[name] for name in segments.shapes] if apart else [list(segments.shapes)]
        widths = [segments.width(group) for group in self._groups]
        self.networks = nn.ModuleList(MlpModel(width, list(sizes), None, activation) for width in widths)
        self.width = sizes[-1] if sizes else segments.size
        self.count = len(self._groups)

    def forward(self, components: Mapping[str, Tensor]) -> Tensor:
        """{name: (..., *shape)} to (..., count, width)."""
        tokens = [
            network(self.segments.join(components, group))
            for network, group in zip(self.networks, self._groups, strict=True)
        ]
        return torch.stack(tokens, dim=-2)


class ImageTokens(nn.Module):
    """An image to one token, or to one for each place, with a learned position added.

    Args:
        name: of the component.
        shape: (C, H, W).
        width: of a token.
        config: convolutions, or patches (Dosovitskiy et al., arXiv 2010.11929).
        activation: after each layer.
        spatial: a token for each place; otherwise one that all places together are projected to.

    Raises:
        InvalidValueError: nothing is left of such an image, or patches do not fill it.
    """

    def __init__(
        self, name: str, shape: tuple[int, ...], width: int, config: PatchConfig, activation: str, spatial: bool
    ) -> None:
        super().__init__()
        self.name, self.shape, self.width = name, shape, width
        channels, height, breadth = shape
        self.layers: Conv2dModel | nn.Conv2d
        if config.kind == "vit":
            if height % config.patch_size or breadth % config.patch_size:
                raise InvalidValueError(
                    f"policy.fusion.images.patch_size of {config.patch_size} does not divide '{name}' of shape {shape}"
                )
            self.layers = nn.Conv2d(channels, width, config.patch_size, config.patch_size)
            places, depth = (height // config.patch_size) * (breadth // config.patch_size), width
        else:
            three, two, one = ([number] * len(config.channels) for number in (3, 2, 1))
            self.layers = Conv2dModel(channels, config.channels, three, two, one, activation)
            places, depth = math.prod(self.layers.conv_out_resolution(height, breadth)), config.channels[-1]
        self.spatial = spatial
        self.count = places if spatial else 1
        self.project = nn.Linear(depth if spatial else depth * places, width)
        self.activation = get_activation_Cls(activation)()
        self.position = nn.Parameter(0.02 * torch.randn(places, width)) if spatial else None

    def forward(self, components: Mapping[str, Tensor]) -> Tensor:
        """{name: (..., C, H, W)} to (..., count, width)."""
        image = components[self.name]
        lead = image.shape[:-3]
        maps: Tensor = self.layers(image.reshape(-1, *self.shape)).flatten(-2)
        tokens: Tensor = self.project(maps.transpose(-1, -2) if self.spatial else maps.flatten(-2)[..., None, :])
        tokens = self.activation(tokens)
        tokens = tokens if self.position is None else tokens + self.position
        return tokens.reshape(*lead, self.count, self.width)


class Modalities(nn.Module):
    """What each modality becomes, with something else in the place of those that are missing.

    Args:
        shapes: name to shape of every component.
        config: modalities, images, what stands for missing ones.
        width: of a token of an image.
        sizes: of the layers of the vectors' networks; by default one of that width, none with `()`.
        several: a token for each component and place, and not one for each modality.

    Attributes:
        widths: of a token, by modality.
        counts: of tokens, by modality.
    """

    def __init__(
        self,
        shapes: Shapes,
        config: FusionConfig,
        width: int,
        sizes: Sequence[int] | None = None,
        several: bool = False,
    ) -> None:
        super().__init__()
        self.groups = grouped(shapes, config.modalities)
        self.names = tuple(self.groups)
        self.encoders = nn.ModuleDict()
        layers = (width,) if sizes is None else sizes
        for modality, segments in self.groups.items():
            name, shape = next(iter(segments.shapes.items()))
            if len(shape) == 3:
                last = layers[-1] if layers else width
                made: nn.Module = ImageTokens(name, shape, last, config.images, config.activation, several)
            else:
                made = VectorTokens(segments, layers, config.activation, several)
            self.encoders[modality] = made
        self.widths: dict[str, int] = {name: encoder.width for name, encoder in self.encoders.items()}  # type: ignore[misc]
        self.counts: dict[str, int] = {name: encoder.count for name, encoder in self.encoders.items()}  # type: ignore[misc]
        self.missing = nn.ParameterDict(
            {name: nn.Parameter(torch.zeros(self.widths[name])) for name in _learned(config, self.names)}
        )

    def forward(self, components: Mapping[str, Tensor], missing: Tensor | None = None) -> dict[str, Tensor]:
        """Tokens by modality.

        Args:
            components: {name: (..., *shape)}.
            missing: (..., M) bool, the modalities, in the order of `names`, that are not to be looked at.

        Returns:
            {modality: (..., n, width)}.

        Raises:
            InvalidValueError: the mask has another shape.
        """
        tokens = {name: encoder(components) for name, encoder in self.encoders.items()}
        if missing is None:
            return tokens
        lead = tokens[self.names[0]].shape[:-2]
        if missing.shape != (*lead, len(self.names)):
            raise InvalidValueError(
                f"the mask of missing modalities must be of shape {(*lead, len(self.names))}, for "
                f"{', '.join(self.names)}, got {tuple(missing.shape)}"
            )
        return {
            name: torch.where(missing[..., i, None, None], self._instead(name, tokens[name]), tokens[name])
            for i, name in enumerate(self.names)
        }

    def _instead(self, name: str, tokens: Tensor) -> Tensor:
        """What stands for a missing modality: what has been learned, or zeros."""
        return self.missing[name] if name in self.missing else torch.zeros_like(tokens)


def _learned(config: FusionConfig, names: Sequence[str]) -> list[str]:
    """Modalities that are withheld at times, so that what stands for them can be learned."""
    if config.missing == "zeros" or config.dropout is None:
        return []
    return [name for name in names if name not in config.dropout.spare]
