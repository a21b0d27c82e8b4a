"""The encoder as fast as a CPU runs it: BatchNorm folded into the weights, activations fused into the convolutions.

Images go through in blocks of 8, the last one filled up with zeros. That keeps the 128 KB of each image's first layer
in the cache, and it makes every image meet kernels of the same shape, so that its features are the same bit for bit
whatever batch it comes in.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from poise.perception.autoencoder import FILTERS, DepthEncoder

Precision = Literal["float32", "bfloat16"]
BLOCK = 8
_SLOPE = 0.01  # LeakyReLU's default, which `DepthEncoder` uses


class FoldedEncoder:
    """An immutable compiled form of `encoder` as it is now: CPU, no gradients.

    precision: "bfloat16" computes the two convolutions in bfloat16. It pays only on CPUs that multiply it natively
    (AVX512-BF16, AMX); features move by less than 1e-2.
    """

    def __init__(self, encoder: DepthEncoder, precision: Precision = "float32") -> None:
        self.spec = encoder.spec
        self.dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
        height, width = self.spec.height, self.spec.width
        with torch.no_grad():
            conv1 = fuse_conv_bn_eval(encoder.conv1, encoder.norm1)
            conv2 = fuse_conv_bn_eval(encoder.conv2, encoder.norm2)
            linear = fuse_linear_bn_eval(encoder.project, encoder.norm3)
            self._conv1 = _Convolution(conv1, (height, width), self.dtype)
            self._conv2 = _Convolution(conv2, (height // 2, width // 2), self.dtype)
            # The convolutions leave (height, width, channel); the Linear was trained on (channel, height, width).
            weight = linear.weight.detach().float().view(-1, FILTERS, height // 4, width // 4)
            self._weight = weight.permute(0, 2, 3, 1).flatten(1).contiguous()
            self._bias = linear.bias.detach().float().clone()

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Images (B, channels, height, width) to features (B, latent), float32 on the CPU."""
        features = torch.empty(len(images), self.spec.latent)
        for start in range(0, len(images), BLOCK):
            block = images[start : start + BLOCK]
            filled = len(block)
            if filled < BLOCK:
                block = torch.cat([block, block.new_zeros(BLOCK - filled, *block.shape[1:])])
            features[start : start + filled] = self._encode(block)[:filled]
        return features

    def _encode(self, block: Tensor) -> Tensor:
        hidden = self._conv2(self._conv1(block.to(self.dtype)))
        return F.linear(hidden.permute(0, 2, 3, 1).flatten(1).float(), self._weight, self._bias).tanh_()


class _Convolution:
    """3x3, stride 2, padding 1, then LeakyReLU; channels last.

    Where torch comes with oneDNN, its fused operator and a weight laid out for it in advance spare a fifth of the
    time. torch offers both only under the names its own compiler uses, so they are asked for, not relied on.
    """

    def __init__(self, convolution: nn.Conv2d, size: tuple[int, int], dtype: torch.dtype) -> None:
        self._weight = convolution.weight.detach().to(dtype, memory_format=torch.channels_last, copy=True)
        self._bias = None if convolution.bias is None else convolution.bias.detach().to(dtype, copy=True)
        self._fused = has_fused_convolution()
        if self._fused:
            shape = [BLOCK, convolution.in_channels, *size]
            self._weight = torch.ops.mkldnn._reorder_convolution_weight(self._weight, [1, 1], [2, 2], [1, 1], 1, shape)

    def __call__(self, images: Tensor) -> Tensor:
        images = images.contiguous(memory_format=torch.channels_last)
        if not self._fused:
            return F.leaky_relu_(F.conv2d(images, self._weight, self._bias, stride=2, padding=1), _SLOPE)
        output: Tensor = torch.ops.mkldnn._convolution_pointwise(
            images, self._weight, self._bias, [1, 1], [2, 2], [1, 1], 1, "leaky_relu", [_SLOPE], ""
        )
        return output


def has_fused_convolution() -> bool:
    """Whether this build of torch has oneDNN's convolution with a fused activation."""
    names = ("_convolution_pointwise", "_reorder_convolution_weight")
    return all(hasattr(torch.ops.mkldnn, name) for name in names)
