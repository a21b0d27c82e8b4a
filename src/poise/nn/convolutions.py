"""Convolutions over images, and a network on top of them."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from poise.errors import InvalidValueError
from poise.nn.mlp import MlpModel, get_activation_Cls

Size = int | tuple[int, int]


def conv2d_output_shape(
    h: int, w: int, kernel_size: Size = 1, stride: Size = 1, padding: Size = 0, dilation: Size = 1
) -> tuple[int, int]:
    """Height and width after a convolution or a pooling: floor((n + 2 p - d (k - 1) - 1) / s) + 1."""
    sizes = [(value, value) if isinstance(value, int) else value for value in (kernel_size, stride, padding, dilation)]
    kernel, step, pad, spread = sizes

    def along(axis: int, n: int) -> int:
        return (n + 2 * pad[axis] - spread[axis] * (kernel[axis] - 1) - 1) // step[axis] + 1

    return along(0, h), along(1, w)


def has_channels_last(image_shape: Sequence[int]) -> bool:
    """Whether an image is (H, W, C), as gymnasium's pictures are, by its having few channels."""
    return image_shape[-1] <= 4 < image_shape[0]


class Conv2dModel(nn.Module):
    """Convolutions, each with an optional normalisation and a nonlinearity.

    Args:
        in_channels: of the image.
        channels, kernel_sizes, strides: of each layer.
        paddings: of each layer; 0 by default.
        nonlinearity: name of an activation or its class.
        use_maxpool: convolve with stride 1, then pool over windows of the stride's size.
        normlayer: e.g. `torch.nn.BatchNorm2d`, made with the layer's channels; none by default. Where a policy learns
            through it, one without statistics of the batch, or rollout and update see different features.
        channels_last: images are (..., H, W, C) and not (..., C, H, W).
    """

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int],
        kernel_sizes: Sequence[int],
        strides: Sequence[int],
        paddings: Sequence[int] | None = None,
        nonlinearity: str | type[nn.Module] = "leaky_relu",
        use_maxpool: bool = False,
        normlayer: type[nn.Module] | None = None,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        paddings = [0] * len(channels) if paddings is None else paddings
        lengths = {len(channels), len(kernel_sizes), len(strides), len(paddings)}
        if len(lengths) > 1:
            raise InvalidValueError(
                "convolutions need as many kernel sizes, strides and paddings as channels, got "
                f"{len(kernel_sizes)}, {len(strides)} and {len(paddings)} for {len(channels)}"
            )
        activation = get_activation_Cls(nonlinearity) if isinstance(nonlinearity, str) else nonlinearity
        layers: list[nn.Module] = []
        for (before, after), kernel, stride, padding in zip(
            pairwise([in_channels, *channels]), kernel_sizes, strides, paddings, strict=True
        ):
            layers.append(nn.Conv2d(before, after, kernel, 1 if use_maxpool else stride, padding))
            layers += [] if normlayer is None else [normlayer(after)]
            layers.append(activation())
            layers += [nn.MaxPool2d(stride)] if use_maxpool and stride > 1 else []
        self.conv = nn.Sequential(*layers)
        self.out_channels = channels[-1] if channels else in_channels
        self._channels_last = channels_last

    def forward(self, input: Tensor) -> Tensor:
        """Images (..., C, H, W) to (..., C', H', W'); any leading axes."""
        images = input.movedim(-1, -3) if self._channels_last else input
        output: Tensor = self.conv(images.reshape(-1, *images.shape[-3:]))
        return output.reshape(*images.shape[:-3], *output.shape[-3:])

    def conv_out_resolution(self, h: int, w: int) -> tuple[int, int]:
        """Height and width of the output for images of that size."""
        for layer in self.conv:
            if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
                h, w = conv2d_output_shape(h, w, layer.kernel_size, layer.stride, layer.padding)  # type: ignore[arg-type]
        return h, w

    def conv_out_size(self, h: int, w: int) -> int:
        """Numbers in the output for an image of that size."""
        height, width = self.conv_out_resolution(h, w)
        return self.out_channels * height * width


class Conv2dHeadModel(nn.Module):
    """Convolutions, and a multilayer perceptron that reads all of what they leave.

    Args:
        image_shape: (C, H, W), or (H, W, C) with `channels_last`.
        channels ... channels_last: of `Conv2dModel`.
        hidden_sizes, output_size: of `MlpModel`.

    Raises:
        InvalidValueError: nothing is left of such an image.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        channels: Sequence[int],
        kernel_sizes: Sequence[int],
        strides: Sequence[int],
        hidden_sizes: Sequence[int] | int | None,
        output_size: int | None = None,
        paddings: Sequence[int] | None = None,
        nonlinearity: str | type[nn.Module] = "leaky_relu",
        use_maxpool: bool = False,
        normlayer: type[nn.Module] | None = None,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        if len(image_shape) != 3:
            raise InvalidValueError(f"an image has three axes, got the shape {tuple(image_shape)}")
        h, w, c = image_shape if channels_last else (*image_shape[1:], image_shape[0])
        self.conv = Conv2dModel(
            c, channels, kernel_sizes, strides, paddings, nonlinearity, use_maxpool, normlayer, channels_last
        )
        height, width = self.conv.conv_out_resolution(h, w)
        if min(height, width) < 1:
            raise InvalidValueError(f"nothing is left of an image {tuple(image_shape)} after these convolutions")
        self.head = MlpModel(self.conv.out_channels * height * width, hidden_sizes, output_size, nonlinearity)

    @property
    def output_size(self) -> int:
        """Width of the output."""
        return self.head.output_size

    def forward(self, input: Tensor) -> Tensor:
        """Images (..., C, H, W) to (..., output_size)."""
        output: Tensor = self.head(self.conv(input).flatten(-3))
        return output
