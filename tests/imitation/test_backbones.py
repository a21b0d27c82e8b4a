"""Backbones: parameter counts and names as published, and forward passes written out by hand."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from poise.errors import InvalidValueError
from poise.imitation.backbones import ResNet18, SmallCnn, SpatialSoftmax, VitB16, build_backbone

SMALL = (32, 2, 4, 64)
"""Of a vision transformer: features, blocks, heads, hidden features."""


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_small_cnn_is_the_documents() -> None:
    cnn = SmallCnn()
    pictures = torch.rand(2, 3, 84, 84)
    assert parameters(cnn) == 112_864
    assert cnn.places(pictures).shape == (2, 64, 10, 10)
    assert cnn.summary(pictures).shape == (2, 64)
    assert (cnn.summary(pictures) >= 0).all()


def test_resnet18_has_torchvisions_names_and_sizes() -> None:
    network = ResNet18(published=True)
    assert (
        parameters(network) == parameters(ResNet18()) == 11_689_512 - (512 * 1000 + 1000)
    )  # torchvision's, without its classifier
    names = set(network.state_dict())
    assert {"conv1.weight", "bn1.running_mean", "layer1.0.conv1.weight", "layer2.0.downsample.0.weight"} <= names
    assert {"layer4.1.bn2.num_batches_tracked", "layer3.0.downsample.1.running_var"} <= names
    assert "layer1.0.downsample.0.weight" not in names
    assert network.places(torch.rand(1, 3, 84, 84)).shape == (1, 512, 3, 3)
    assert network.places(torch.rand(1, 3, 224, 224)).shape == (1, 512, 7, 7)


def _normalised(x: Tensor, state: dict[str, Tensor], name: str) -> Tensor:
    keys = ("running_mean", "running_var", "weight", "bias")
    mean, variance, weight, bias = (state[f"{name}.{key}"].view(-1, 1, 1) for key in keys)
    return (x - mean) / (variance + 1e-5).sqrt() * weight + bias


@torch.no_grad()
def test_resnet18_by_hand() -> None:
    torch.manual_seed(0)
    network = ResNet18(published=True).train()
    state = network.state_dict()
    for key, value in state.items():
        if key.endswith("running_var"):
            value.uniform_(0.5, 1.5)
    x = torch.rand(1, 3, 64, 64)
    found = network.places(x)
    x = functional.conv2d(x, state["conv1.weight"], stride=2, padding=3)
    x = functional.max_pool2d(_normalised(x, state, "bn1").relu(), 3, 2, 1)
    for layer in range(1, 5):
        for block in range(2):
            name, stride = f"layer{layer}.{block}", 2 if layer > 1 and block == 0 else 1
            past = x
            if stride == 2:
                past = functional.conv2d(x, state[f"{name}.downsample.0.weight"], stride=2)
                past = _normalised(past, state, f"{name}.downsample.1")
            y = functional.conv2d(x, state[f"{name}.conv1.weight"], stride=stride, padding=1)
            y = functional.conv2d(_normalised(y, state, f"{name}.bn1").relu(), state[f"{name}.conv2.weight"], padding=1)
            x = (_normalised(y, state, f"{name}.bn2") + past).relu()
    assert found == pytest.approx(x, abs=1e-4)


def test_vit_b_16_has_torchvisions_names_and_sizes() -> None:
    with torch.device("meta"):
        network = VitB16(224, 224)
    assert parameters(network) == 86_567_656 - (768 * 1000 + 1000)
    names = set(network.state_dict())
    assert {"class_token", "conv_proj.weight", "encoder.pos_embedding", "encoder.ln.weight"} <= names
    layer = "encoder.layers.encoder_layer_11"
    assert {f"{layer}.self_attention.in_proj_weight", f"{layer}.self_attention.out_proj.bias"} <= names
    assert {f"{layer}.{part}" for part in ("ln_1.weight", "ln_2.bias", "mlp.0.weight", "mlp.3.bias")} <= names


@torch.no_grad()
def test_a_vision_transformer_by_hand() -> None:
    torch.manual_seed(0)
    network = VitB16(84, 84, size=SMALL).eval()
    assert network.grid == (5, 5)
    picture = torch.rand(1, 3, 84, 84)
    state = network.state_dict()
    patches = picture[:, :, :80, :80].unfold(2, 16, 16).unfold(3, 16, 16).permute(0, 2, 3, 1, 4, 5).reshape(25, -1)
    tokens = patches @ state["conv_proj.weight"].reshape(32, -1).T + state["conv_proj.bias"]
    tokens = torch.cat([state["class_token"][0], tokens]) + state["encoder.pos_embedding"][0]
    for number in range(2):
        name = f"encoder.layers.encoder_layer_{number}"
        x = functional.layer_norm(tokens, (32,), state[f"{name}.ln_1.weight"], state[f"{name}.ln_1.bias"], 1e-6)
        asked = x @ state[f"{name}.self_attention.in_proj_weight"].T + state[f"{name}.self_attention.in_proj_bias"]
        query, key, value = (part.view(26, 4, 8).transpose(0, 1) for part in asked.chunk(3, dim=1))
        mixed = ((query @ key.transpose(1, 2)) / 8**0.5).softmax(dim=-1) @ value
        mixed = mixed.transpose(0, 1).reshape(26, 32) @ state[f"{name}.self_attention.out_proj.weight"].T
        tokens = tokens + mixed + state[f"{name}.self_attention.out_proj.bias"]
        x = functional.layer_norm(tokens, (32,), state[f"{name}.ln_2.weight"], state[f"{name}.ln_2.bias"], 1e-6)
        x = functional.gelu(x @ state[f"{name}.mlp.0.weight"].T + state[f"{name}.mlp.0.bias"])
        tokens = tokens + x @ state[f"{name}.mlp.3.weight"].T + state[f"{name}.mlp.3.bias"]
    tokens = functional.layer_norm(tokens, (32,), state["encoder.ln.weight"], state["encoder.ln.bias"], 1e-6)
    assert network.summary(picture)[0] == pytest.approx(tokens[0], abs=1e-4)
    assert pytest.approx(tokens[1:], abs=1e-4) == network.places(picture)[0].flatten(1).T


def test_spatial_softmax_by_hand() -> None:
    places = torch.full((1, 2, 3, 5), -30.0)
    places[0, 0, 0, 4] = 30.0  # upper right
    places[0, 1, 2, 0] = places[0, 1, 2, 2] = 30.0  # half way between two places of the last row
    assert SpatialSoftmax()(places)[0].tolist() == pytest.approx([1.0, -0.5, -1.0, 1.0], abs=1e-5)


def test_a_vision_transformer_needs_a_patch() -> None:
    with pytest.raises(InvalidValueError, match="at least 16x16 pixels, got 12x84"):
        build_backbone("vit_b_16", (3, 12, 84))
