import pytest
import torch
from torch import nn
from torch.testing import assert_close

from poise.errors import PoiseError
from poise.nn import Conv2dHeadModel, Conv2dModel, conv2d_output_shape

LAYERS = {"channels": [4, 6], "kernel_sizes": [5, 3], "strides": [2, 2]}


def test_sizes_by_hand() -> None:
    assert conv2d_output_shape(64, 64, kernel_size=3, stride=2, padding=1) == (32, 32)  # (64 + 2 - 2 - 1) // 2 + 1
    assert conv2d_output_shape(7, 10, kernel_size=(3, 4), stride=(2, 3), dilation=2) == (2, 2)
    assert conv2d_output_shape(5, 9) == (5, 9)


def test_sizes_are_torchs() -> None:
    generator = torch.Generator().manual_seed(0)

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high, (), generator=generator))

    for _ in range(50):
        h, w, kernel, stride = draw(12, 40), draw(12, 40), (draw(1, 5), draw(1, 5)), (draw(1, 4), draw(1, 4))
        padding, dilation = (draw(0, 3), draw(0, 3)), (draw(1, 3), draw(1, 3))
        layer = nn.Conv2d(1, 1, kernel, stride, padding, dilation)
        expected = tuple(layer(torch.zeros(1, 1, h, w)).shape[-2:])
        assert conv2d_output_shape(h, w, kernel, stride, padding, dilation) == expected


@pytest.mark.parametrize("use_maxpool", [False, True])
def test_it_knows_what_it_leaves(use_maxpool: bool) -> None:
    model = Conv2dModel(3, **LAYERS, paddings=[2, 0], use_maxpool=use_maxpool)
    output = model(torch.rand(2, 7, 3, 20, 31))
    assert output.shape == (2, 7, 6, *model.conv_out_resolution(20, 31))
    assert output[0, 0].numel() == model.conv_out_size(20, 31)
    strides = {layer.stride for layer in model.modules() if isinstance(layer, nn.Conv2d)}
    assert strides == ({(1, 1)} if use_maxpool else {(2, 2)})


def test_leading_axes_are_samples() -> None:
    model = Conv2dHeadModel((3, 20, 20), **LAYERS, hidden_sizes=[8], output_size=5)
    images = torch.rand(4, 2, 3, 20, 20)
    assert_close(model(images)[3, 1], model(images[3, 1]))
    assert model(images).shape == (4, 2, model.output_size)


def test_channels_may_come_last() -> None:
    torch.manual_seed(0)
    first = Conv2dHeadModel((3, 20, 16), **LAYERS, hidden_sizes=[8])
    torch.manual_seed(0)
    last = Conv2dHeadModel((20, 16, 3), **LAYERS, hidden_sizes=[8], channels_last=True)
    image = torch.rand(5, 3, 20, 16)
    assert_close(first(image), last(image.permute(0, 2, 3, 1)))


def test_the_head_passes_everything_on() -> None:
    model = Conv2dHeadModel((3, 20, 20), **LAYERS, hidden_sizes=8, nonlinearity="elu", normlayer=nn.BatchNorm2d)
    kinds = [type(layer).__name__ for layer in model.conv.conv]
    assert kinds == ["Conv2d", "BatchNorm2d", "ELU"] * 2
    assert [type(layer).__name__ for layer in model.head.model] == ["Linear", "ELU"]


def test_wrong_use() -> None:
    with pytest.raises(PoiseError, match="as many kernel sizes, strides and paddings as channels, got 1, 2 and 2"):
        Conv2dModel(1, [4, 4], [3], [1, 1])
    with pytest.raises(PoiseError, match="nothing is left of an image"):
        Conv2dHeadModel((1, 6, 6), **LAYERS, hidden_sizes=8)
    with pytest.raises(PoiseError, match="three axes, got the shape"):
        Conv2dHeadModel((6, 6), **LAYERS, hidden_sizes=8)
    with pytest.raises(PoiseError, match="unknown activation 'rleu'"):
        Conv2dModel(1, [4], [3], [1], nonlinearity="rleu")


def test_convolutions_by_hand() -> None:
    model = Conv2dHeadModel((1, 3, 3), [1], [2], [1], [], 1, nonlinearity="relu")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.conv.conv[0].weight.copy_(torch.tensor([[[[1.0, 0.0], [0.0, -1.0]]]]))  # up left less down right
        model.conv.conv[0].bias.fill_(0.5)
        model.head.model[-1].weight.copy_(torch.tensor([[1.0, 10.0, 100.0, 1000.0]]))
    image = torch.tensor([[[[3.0, 1.0, 0.0], [2.0, 1.0, 2.0], [0.0, 0.0, 4.0]]]])
    # 3-1, 1-2; 2-0, 1-4, each plus 0.5 and at least 0: 2.5, 0; 2.5, 0
    assert model(image).item() == 2.5 + 250.0
