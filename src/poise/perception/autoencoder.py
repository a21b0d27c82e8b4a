"""The TinyAutoencoder that learns what a depth camera sees: 64x64 pixels squeezed into 20 numbers and drawn again.

    image (B, 1, 64, 64)                                        reconstruction (B, 1, 64, 64)
      | Conv 1->32, /2  + BatchNorm + LeakyReLU                   ^ ConvTranspose 32->1, x2 + Sigmoid
    (B, 32, 32, 32)                                             (B, 32, 32, 32)
      | Conv 32->32, /2 + BatchNorm + LeakyReLU                   ^ ConvTranspose 32->32, x2 + BatchNorm + LeakyReLU
    (B, 32, 16, 16)                                             (B, 32, 16, 16)
      | flatten, Linear 8192->20 + BatchNorm + Tanh               ^ Linear 20->8192 + BatchNorm + LeakyReLU
      +------------------> features (B, 20), in [-1, 1] ----------+

Only the encoder is used for control. It keeps BatchNorm because it is frozen afterwards (see `frozen`), so that its
features never depend on the batch they are computed in.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from poise.errors import InvalidValueError

FILTERS = 32


class ImageSpec(NamedTuple):
    """What an encoder reads and how much it writes: pixels, channels, and numbers per image."""

    height: int = 64
    width: int = 64
    channels: int = 1
    latent: int = 20

    def checked(self) -> ImageSpec:
        """Itself, or an error: two halvings must undo exactly in the decoder."""
        for name, value in zip(("height", "width"), self[:2], strict=True):
            if value < 4 or value % 4:
                raise InvalidValueError(f"the {name} of depth images must be a positive multiple of 4, got {value}")
        if self.channels < 1 or self.latent < 1:
            raise InvalidValueError(
                f"an encoder needs at least one channel and one feature, got {self.channels} and {self.latent}"
            )
        return self

    @property
    def flat(self) -> int:
        """Numbers after the second convolution."""
        return FILTERS * (self.height // 4) * (self.width // 4)


class DepthEncoder(nn.Module):
    """Images (B, channels, height, width), depth in metres in [0, 1], to features (B, latent) in [-1, 1]."""

    def __init__(self, height: int = 64, width: int = 64, channels: int = 1, latent: int = 20) -> None:
        super().__init__()
        self.spec = ImageSpec(height, width, channels, latent).checked()
        self.conv1 = nn.Conv2d(channels, FILTERS, kernel_size=3, stride=2, padding=1)
        self.norm1 = nn.BatchNorm2d(FILTERS)
        self.conv2 = nn.Conv2d(FILTERS, FILTERS, kernel_size=3, stride=2, padding=1)
        self.norm2 = nn.BatchNorm2d(FILTERS)
        self.project = nn.Linear(self.spec.flat, latent)
        self.norm3 = nn.BatchNorm1d(latent)
        self.activation = nn.LeakyReLU()

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.activation(self.norm1(self.conv1(images)))
        hidden = self.activation(self.norm2(self.conv2(hidden)))
        features: Tensor = self.norm3(self.project(hidden.flatten(1)))
        return features.tanh()


class DepthDecoder(nn.Module):
    """Features (B, latent) to images (B, channels, height, width) in [0, 1]: the encoder, mirrored."""

    def __init__(self, height: int = 64, width: int = 64, channels: int = 1, latent: int = 20) -> None:
        super().__init__()
        self.spec = ImageSpec(height, width, channels, latent).checked()
        self.expand = nn.Linear(latent, self.spec.flat)
        self.norm1 = nn.BatchNorm1d(self.spec.flat)
        self.unflatten = nn.Unflatten(1, (FILTERS, height // 4, width // 4))
        # output_padding=1 makes each layer double the size, as the encoder's halve it; without it 16 would become 31.
        self.conv1 = nn.ConvTranspose2d(FILTERS, FILTERS, kernel_size=3, stride=2, padding=1, output_padding=1)
        self.norm2 = nn.BatchNorm2d(FILTERS)
        self.conv2 = nn.ConvTranspose2d(FILTERS, channels, kernel_size=3, stride=2, padding=1, output_padding=1)
        self.activation = nn.LeakyReLU()

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.unflatten(self.activation(self.norm1(self.expand(features))))
        images: Tensor = self.conv2(self.activation(self.norm2(self.conv1(hidden))))
        return images.sigmoid()


class TinyAutoencoder(nn.Module):
    """Encoder and decoder, trained together to return the image they were given (see `pretrain`)."""

    def __init__(self, height: int = 64, width: int = 64, channels: int = 1, latent: int = 20) -> None:
        super().__init__()
        self.encoder = DepthEncoder(height, width, channels, latent)
        self.decoder = DepthDecoder(height, width, channels, latent)

    def forward(self, images: Tensor) -> Tensor:
        reconstructions: Tensor = self.decoder(self.encoder(images))
        return reconstructions
