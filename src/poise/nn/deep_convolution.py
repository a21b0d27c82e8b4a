"""A convolution of many channels over few places, whose weights' gradient is a matrix product."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional
from torch.nn.grad import conv2d_input


class DeepConv2d(nn.Conv2d):
    """As `nn.Conv2d`, with the same outputs and, but for rounding, the same gradients.

    Deep in a network pictures are small and channels many. There oneDNN takes several times as long for the weights'
    gradient as a matrix product of the output's gradient and the patches does (256 channels of 6x6 pixels: half,
    512 of 3x3: a tenth, in bfloat16 on a CPU with AMX). With few channels over many places it is the other way around.
    Groups, dilation and other padding than zeros are not for it.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) to (N, F, h, w)."""
        if not torch.is_grad_enabled() or input.device.type != "cpu":
            return super().forward(input)
        low = torch.is_autocast_enabled("cpu")
        dtype = torch.get_autocast_dtype("cpu") if low else input.dtype
        found: Tensor = _Convolution.apply(input.to(dtype), self.weight.to(dtype), self.stride, self.padding)
        return found if self.bias is None else found + self.bias.to(dtype).view(-1, 1, 1)


class _Convolution(Function):
    @staticmethod
    def forward(ctx: Any, pictures: Tensor, weight: Tensor, stride: Any, padding: Any) -> Tensor:
        ctx.save_for_backward(pictures, weight)
        ctx.stride, ctx.padding = stride, padding
        return functional.conv2d(pictures, weight, None, stride, padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        pictures, weight = ctx.saved_tensors
        (gradient,) = gradients
        of_pictures, of_weight = None, None
        if ctx.needs_input_grad[0]:
            of_pictures = conv2d_input(pictures.shape, weight, gradient, ctx.stride, ctx.padding)
        if ctx.needs_input_grad[1]:
            patches = _patches(pictures, weight.shape[2:], ctx.stride, ctx.padding)
            rows = gradient.permute(0, 2, 3, 1).flatten(0, 2)
            features, channels, height, width = weight.shape
            of_weight = (rows.T @ patches).view(features, height, width, channels).permute(0, 3, 1, 2)
        return of_pictures, of_weight, None, None


def _patches(pictures: Tensor, kernel: Any, stride: Any, padding: Any) -> Tensor:
    """What a kernel sees at each place: (N, C, H, W) to (N h w, kernel's height * width * C)."""
    (down, across), pixels = padding, pictures.permute(0, 2, 3, 1)
    if down or across:
        pixels = functional.pad(pixels, (0, 0, across, across, down, down))
    seen = pixels.unfold(1, kernel[0], stride[0]).unfold(2, kernel[1], stride[1])  # (N, h, w, C, height, width)
    return seen.permute(0, 1, 2, 4, 5, 3).flatten(3).flatten(0, 2)
