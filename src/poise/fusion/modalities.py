"""Components by modality, and what each modality becomes: tokens, vectors of some width, one or several of them.

orientation ─┐
vel ─────────┼─► body ──► network ─────────────────────────────► one token, or one for each component
actions ─────┘
rgbd_0 ────────► camera ► convolutions, or patches ────────────► one token, or one for each place
"""

import math
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from poise.envs.instructions import INSTRUCTION
from poise.envs.options import CAMERAS
from poise.errors import InvalidValueError, did_you_mean
from poise.fusion.config import FusionConfig, PatchConfig
from poise.fusion.segments import AnyComponent, ObsSegments, checked, component
from poise.nn import Conv2dModel, MlpModel, has_channels_last
from poise.nn.frames import Frames, encode
from poise.nn.precision import is_low
from poise.nn.settings import can_name_network

Shapes = Mapping[str, tuple[int, ...]]
BODY = "body"
"""The modality of what is in no other."""


def default_groups(shapes: Shapes) -> dict[str, tuple[str, ...]]:
    """Images, cameras (also where an encoder has made features of them) and the instruction one each; then the body."""
    alone = [name for name, shape in shapes.items() if _is_seen(name, shape) or name == INSTRUCTION]
    rest = tuple(name for name in shapes if name not in alone)
    return ({BODY: rest} if rest else {}) | {name: (name,) for name in alone}


def _is_seen(name: str, shape: tuple[int, ...]) -> bool:
    """Whether a component is an image, or what a frozen encoder has made of a camera's."""
    return len(shape) == 3 or name in CAMERAS


def withheld(config: FusionConfig, groups: Mapping[str, ObsSegments]) -> list[str]:
    """Modalities that are withheld at times, of these: by default those that hold images or cameras' features.

    Raises:
        InvalidValueError: one that is to be spared is not there, or by default none would be withheld.
    """
    if config.dropout is None:
        return []
    if config.dropout.spare is None:
        seen = [name for name, group in groups.items() if any(map(_is_seen, group.shapes, group.shapes.values()))]
        if not seen:
            raise InvalidValueError(
                "dropout withholds cameras and images, and there is none; name what it is to spare of "
                f"{', '.join(groups)} in dropout.spare"
            )
        return seen
    for name in config.dropout.spare:
        check_modality("dropout.spare", name, groups)
    return [name for name in groups if name not in config.dropout.spare]


def check_modality(setting: str, name: str, names: Collection[str]) -> None:
    """A setting, which may be a default that nobody chose, must name one of the modalities.

    Raises:
        InvalidValueError: there is none of that name.
    """
    if name not in names:
        raise InvalidValueError(
            f"{setting} names '{name}', and there is no such modality; name one of {', '.join(names)}"
            f"{did_you_mean(name, names)}"
        )


def grouped(shapes: Shapes, modalities: Mapping[str, Sequence[str]] | None) -> dict[str, ObsSegments]:
    """Components by modality; whatever order they are named in, the same.

    Args:
        shapes: name to shape of every component.
        modalities: names of components by modality; by default images and cameras are one each, the rest is the body.

    Raises:
        InvalidValueError: a component is unknown or in no modality, or an image is not alone in its own.
    """
    strange = [name for name, shape in shapes.items() if len(shape) > 3]
    if strange:
        raise InvalidValueError(
            f"no modality can take '{strange[0]}' of shape {shapes[strange[0]]}; they are made of numbers, vectors, "
            "tables of numbers, and images of three axes"
        )
    modalities = default_groups(shapes) if modalities is None else modalities
    for modality, names in modalities.items():
        if not can_name_network(modality):
            raise InvalidValueError(
                f"modalities names one '{modality}', and torch can keep no network called '{modality}'; name it "
                "otherwise"
            )
        for name in names:
            if name not in shapes:
                raise InvalidValueError(
                    f"modalities.{modality} names '{name}', and there is no such component; there are "
                    f"{', '.join(shapes)}{did_you_mean(name, shapes)}"
                )
        images = [name for name in names if len(shapes[name]) == 3]
        if images and len(names) > 1:
            raise InvalidValueError(
                f"modalities.{modality} mixes the image '{images[0]}' with others; an image is a modality of its own"
            )
    left = [name for name in shapes if not any(name in names for names in modalities.values())]
    if left:
        raise InvalidValueError(
            f"modalities leaves out {', '.join(left)}; every component must be in one, of {', '.join(modalities)} or "
            "of another name"
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

    def forward(self, components: Mapping[str, AnyComponent]) -> Tensor:
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
        shape: (C, H, W), or (H, W, C) where the last axis is a picture's few channels.
        sizes: of the layers of a network that makes a token; the last is the token's width.
        config: convolutions, or patches (Dosovitskiy et al., arXiv 2010.11929).
        activation: after each layer.
        spatial: a token for each place; otherwise one of all places together.

    Raises:
        InvalidValueError: nothing is left of such an image, or patches do not fill it.
    """

    def __init__(
        self,
        name: str,
        shape: tuple[int, ...],
        sizes: Sequence[int],
        config: PatchConfig,
        activation: str,
        spatial: bool,
    ) -> None:
        super().__init__()
        self.name, self.shape, self.width = name, shape, sizes[-1]
        self._channels_last = has_channels_last(shape)
        self._mixed = is_low(config.precision)
        height, breadth, channels = shape if self._channels_last else (*shape[1:], shape[0])
        self.layers: Conv2dModel | nn.Conv2d
        if config.kind == "vit":
            if height % config.patch_size or breadth % config.patch_size:
                fitting = [n for n in range(1, min(height, breadth) + 1) if height % n == 0 and breadth % n == 0]
                raise InvalidValueError(
                    f"images.patch_size of {config.patch_size} does not divide '{name}' of shape {shape}; these do: "
                    f"{', '.join(map(str, fitting))}"
                )
            self.layers = nn.Conv2d(channels, self.width, config.patch_size, config.patch_size)
            self.grid, depth = (height // config.patch_size, breadth // config.patch_size), self.width
        else:
            kernels, strides = config.kernel_sizes, config.strides
            paddings = [max(kernel - stride + 1, 0) // 2 for kernel, stride in zip(kernels, strides, strict=True)]
            self.layers = Conv2dModel(channels, config.channels, kernels, strides, paddings, activation)
            self.grid, depth = self.layers.conv_out_resolution(height, breadth), config.channels[-1]
            if min(self.grid) < 1:
                raise InvalidValueError(
                    f"images leaves nothing of '{name}' of shape {shape} after convolutions of kernel_sizes "
                    f"{list(kernels)} and strides {list(strides)}; choose smaller ones, or 'kind: vit'"
                )
        places = math.prod(self.grid)
        self.spatial = spatial
        self.count = places if spatial else 1
        self.project = MlpModel(depth if spatial else depth * places, sizes, None, activation)
        self.position = nn.Parameter(0.02 * torch.randn(places, self.width)) if spatial else None

    def forward(self, images: Tensor) -> Tensor:
        """(..., C, H, W) to (..., count, width)."""
        lead = images.shape[:-3]
        flat = images.reshape(-1, *self.shape)
        with torch.autocast(flat.device.type, torch.bfloat16, enabled=self._mixed):
            maps: Tensor = self.layers(flat.movedim(-1, -3) if self._channels_last else flat).flatten(-2)
            tokens: Tensor = self.project(maps.transpose(-1, -2) if self.spatial else maps.flatten(-2)[..., None, :])
        tokens = tokens.float() if self._mixed else tokens
        tokens = tokens if self.position is None else tokens + self.position
        return tokens.reshape(*lead, self.count, self.width)


class _Finite(nn.Module):
    """Zeros for what is no finite number."""

    def forward(self, images: Tensor) -> Tensor:
        """(..., *shape) to the same."""
        return images.nan_to_num(0.0, 0.0, 0.0)


_FINITE = _Finite()


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
        layers = (width,) if sizes is None else tuple(sizes)
        for modality, segments in self.groups.items():
            name, shape = next(iter(segments.shapes.items()))
            if len(shape) == 3:
                made: nn.Module = ImageTokens(
                    name, shape, layers or (width,), config.images, config.activation, several
                )
            else:
                made = VectorTokens(segments, layers, config.activation, several)
            self.encoders[modality] = made
        self.widths: dict[str, int] = {name: encoder.width for name, encoder in self.encoders.items()}  # type: ignore[misc]
        self.counts: dict[str, int] = {name: encoder.count for name, encoder in self.encoders.items()}  # type: ignore[misc]
        at_times = withheld(config, self.groups)
        learned = at_times if config.missing == "learned" else []
        self.missing = nn.ParameterDict({name: nn.Parameter(torch.zeros(self.widths[name])) for name in learned})

    def forward(self, components: Mapping[str, AnyComponent], missing: Tensor | None = None) -> dict[str, Tensor]:
        """Tokens by modality.

        Args:
            components: {name: (..., *shape)}.
            missing: (..., M) bool, the modalities, in the order of `names`, that are not to be looked at.

        Returns:
            {modality: (..., n, width)}.
        """
        if missing is None:
            return {name: self._tokens(name, components) for name in self.names}
        tokens = {}
        for i, name in enumerate(self.names):
            gone = missing[..., i]
            seen = self._tokens(name, self._blanked(components, name, gone))
            tokens[name] = torch.where(gone[..., None, None], self._instead(name, seen), seen)
        return tokens

    def _tokens(self, modality: str, components: Mapping[str, AnyComponent]) -> Tensor:
        """(..., n, width) of one modality; of frames each image is encoded once."""
        encoder = self.encoders[modality]
        if not isinstance(encoder, ImageTokens):
            tokens: Tensor = encoder(components)
            return tokens
        return encode(checked(encoder.name, components, encoder.shape), encoder)

    def _blanked(self, components: Mapping[str, AnyComponent], name: str, gone: Tensor) -> dict[str, AnyComponent]:
        """A modality's components with zeros where it is missing: what is not a number would spoil the gradients."""
        blanked: dict[str, AnyComponent] = {}
        for key, shape in self.groups[name].shapes.items():
            value = component(key, components)
            if isinstance(value, Frames):  # others may see the same image
                blanked[key] = value.through(_FINITE)
            else:
                blanked[key] = value.masked_fill(gone.view(*gone.shape, *[1] * len(shape)), 0.0)
        return blanked

    def _instead(self, name: str, tokens: Tensor) -> Tensor:
        """What stands for a missing modality: what has been learned, or zeros."""
        return self.missing[name] if name in self.missing else torch.zeros_like(tokens)
