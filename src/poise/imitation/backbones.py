"""What makes features of pictures: a small CNN, ResNet-18 and ViT-B/16, in plain torch.

pictures (N, C, H, W), normalised ─► backbone.places ─► (N, F, h, w) what is where ─┬─► average       (N, F)
                                                                                  ├─► spatial softmax (N, 2 F)
                                                                                  └─► tokens        (N, h w, F)

The parameters of ResNet-18 and ViT-B/16 have torchvision's names, so that weights published for these load as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from poise.errors import InvalidValueError
from poise.nn.deep_convolution import DeepConv2d

BackboneName = Literal["cnn", "resnet18", "vit_b_16"]
Norm = Callable[[int], nn.Module]
"""Makes a normalisation of so many channels."""


class Backbone(nn.Module):
    """A network over pictures.

    Attributes:
        channels: F, features of each place.
    """

    channels: int

    def places(self, pictures: Tensor) -> Tensor:
        """(N, C, H, W) to (N, F, h, w)."""
        raise NotImplementedError

    def summary(self, pictures: Tensor) -> Tensor:
        """(N, F): the average over places, or what a network sums up itself."""
        return self.places(pictures).mean(dim=(2, 3))


class SmallCnn(Backbone):
    """Four convolutions: 8x8 by 4, 4x4 by 2, and 3x3 twice; 84x84 pixels become 10x10 places of 64 features."""

    LAYERS = ((32, 8, 4, 2), (64, 4, 2, 1), (64, 3, 1, 1), (64, 3, 1, 1))
    """Channels, kernel, stride and padding of each."""

    def __init__(self, in_channels: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        widths = [in_channels, *(layer[0] for layer in self.LAYERS)]
        for (before, after), (_, kernel, stride, padding) in zip(pairwise(widths), self.LAYERS, strict=True):
            layers += [nn.Conv2d(before, after, kernel, stride, padding), nn.ReLU()]
        self.conv = nn.Sequential(*layers[:-1])  # places may be negative, for softmax over them
        self.channels = widths[-1]

    def places(self, pictures: Tensor) -> Tensor:
        """(N, C, H, W) to (N, 64, h, w), before the last nonlinearity."""
        return self.conv(pictures)

    def summary(self, pictures: Tensor) -> Tensor:
        """(N, 64) the average after it."""
        return functional.relu(self.places(pictures)).mean(dim=(2, 3))


class FixedBatchNorm2d(nn.BatchNorm2d):
    """With the statistics of the images that it was trained on, whatever the batch."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.train()

    def train(self, mode: bool = True) -> FixedBatchNorm2d:
        """Stays as it is."""
        return super().train(False)


def _group_norm(channels: int) -> nn.Module:
    return nn.GroupNorm(channels // 16, channels)


def _convolution(before: int, after: int, stride: int = 1) -> nn.Conv2d:
    """3x3."""
    kind = DeepConv2d if before >= 256 else nn.Conv2d
    return kind(before, after, 3, stride, 1, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a way past them (He et al., arXiv 1512.03385, figure 5 left)."""

    def __init__(self, before: int, after: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.conv1 = _convolution(before, after, stride)
        self.bn1 = norm(after)
        self.conv2 = _convolution(after, after)
        self.bn2 = norm(after)
        self.downsample: nn.Module | None = None
        if stride != 1 or before != after:
            self.downsample = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), norm(after))

    def forward(self, x: Tensor) -> Tensor:
        """(N, before, h, w) to (N, after, h / stride, w / stride)."""
        past = x if self.downsample is None else self.downsample(x)
        x = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(x)) + past)


class ResNet18(Backbone):
    """ResNet-18, its classifier left out (He et al., arXiv 1512.03385).

    84x84 pixels become 3x3 places of 512 features. Statistics of small batches of alike pictures are poor ones:
    published weights keep those they come with, and what learns from nothing normalises groups of 16 channels of each
    picture by itself (Wu and He, arXiv 1803.08494), as Chi et al. (arXiv 2303.04137) found best for imitation.

    Args:
        in_channels: of the pictures.
        published: made for published weights.
    """

    def __init__(self, in_channels: int = 3, published: bool = False) -> None:
        super().__init__()
        norm: Norm = FixedBatchNorm2d if published else _group_norm
        self.conv1 = nn.Conv2d(in_channels, 64, 7, 2, 3, bias=False)
        self.bn1 = norm(64)
        for number, (before, after) in enumerate(pairwise([64, 64, 128, 256, 512]), start=1):
            blocks = BasicBlock(before, after, 1 if number == 1 else 2, norm), BasicBlock(after, after, 1, norm)
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
        self.channels = 512

    def places(self, pictures: Tensor) -> Tensor:
        """(N, C, H, W) to (N, 512, H / 32, W / 32)."""
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(pictures))), 3, 2, 1)
        for number in range(1, 5):
            x = self.get_submodule(f"layer{number}")(x)
        return x


class EncoderBlock(nn.Module):
    """Self-attention and a perceptron, each after a normalisation and beside a way past it."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Identity(), nn.Linear(hidden, width), nn.Identity()
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, T, width) to the same."""
        x = self.ln_1(tokens)
        tokens = tokens + self.self_attention(x, x, x, need_weights=False)[0]
        return tokens + self.mlp(self.ln_2(tokens))


class VitEncoder(nn.Module):
    """Blocks over tokens that know where they are."""

    def __init__(self, places: int, width: int, depth: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.empty(1, places + 1, width).normal_(std=0.02))
        self.layers = nn.Sequential()
        for number in range(depth):
            self.layers.add_module(f"encoder_layer_{number}", EncoderBlock(width, heads, hidden))
        self.ln = nn.LayerNorm(width, eps=1e-6)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, T, width) to the same."""
        return self.ln(self.layers(tokens + self.pos_embedding))


class VitB16(Backbone):
    """ViT-B/16, its classifier left out (Dosovitskiy et al., arXiv 2010.11929): 16x16 pixels a patch, 12 blocks of 768.

    84x84 pixels are 5x5 patches; the last 4 rows and columns are not seen.

    Args:
        height, width: of the pictures, pixels, which fix how many places there are.
        in_channels: of the pictures.
        size: features, blocks, heads and hidden features of a block; those of B/16 by default.
    """

    PATCH = 16

    def __init__(
        self, height: int, width: int, in_channels: int = 3, size: tuple[int, int, int, int] = (768, 12, 12, 3072)
    ) -> None:
        super().__init__()
        self.channels, depth, heads, hidden = size
        self.grid = (height // self.PATCH, width // self.PATCH)
        if not all(self.grid):
            raise InvalidValueError(f"vit_b_16 needs pictures of at least 16x16 pixels, got {height}x{width}")
        self.class_token = nn.Parameter(torch.zeros(1, 1, self.channels))
        self.conv_proj = nn.Conv2d(in_channels, self.channels, self.PATCH, self.PATCH)
        self.encoder = VitEncoder(self.grid[0] * self.grid[1], self.channels, depth, heads, hidden)

    def places(self, pictures: Tensor) -> Tensor:
        """(N, C, H, W) to (N, 768, H / 16, W / 16)."""
        tokens = self._encoded(pictures)[:, 1:]
        return tokens.transpose(1, 2).unflatten(2, self.grid)

    def summary(self, pictures: Tensor) -> Tensor:
        """(N, 768) the class token."""
        return self._encoded(pictures)[:, 0]

    def _encoded(self, pictures: Tensor) -> Tensor:
        patches = self.conv_proj(pictures).flatten(2).transpose(1, 2)
        return self.encoder(torch.cat([self.class_token.expand(len(patches), -1, -1), patches], dim=1))


class SpatialSoftmax(nn.Module):
    """Where each feature is: the expected place of a softmax over all places (Levine et al., arXiv 1504.00702).

    Rows and columns run from -1 to 1. A temperature is learned.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_temperature = nn.Parameter(torch.zeros(()))

    def forward(self, places: Tensor) -> Tensor:
        """(N, F, h, w) to (N, 2 F): columns, then rows."""
        height, width = places.shape[2:]
        flat = places.permute(0, 2, 3, 1).flatten(1, 2).float()  # (N, h w, F), as it lies in memory
        share = (flat * (-self.log_temperature).exp()).softmax(dim=1)
        rows, columns = (torch.linspace(-1, 1, size, device=places.device) for size in (height, width))
        where = torch.stack([columns.repeat(height), rows.repeat_interleave(width)])
        return (where @ share).flatten(1)


def build_backbone(name: BackboneName, shape: Sequence[int], published: bool = False) -> Backbone:
    """A new backbone for pictures of a shape (C, H, W).

    Args:
        name: which.
        shape: of the pictures.
        published: made for published weights, which `published.load_published` reads.

    Raises:
        InvalidValueError: the pictures are too small.
    """
    channels, height, width = shape
    if name == "vit_b_16":
        return VitB16(height, width, channels)
    return SmallCnn(channels) if name == "cnn" else ResNet18(channels, published)
