import pytest
import torch
from torch import nn

from poise.errors import PoiseError
from poise.perception import DepthEncoder, TinyAutoencoder


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameter_counts_by_hand() -> None:
    model = TinyAutoencoder()
    flat = 32 * 16 * 16
    encoder = (9 * 1 * 32 + 32) + 2 * 32 + (9 * 32 * 32 + 32) + 2 * 32 + (flat * 20 + 20) + 2 * 20
    decoder = (20 * flat + flat) + 2 * flat + (9 * 32 * 32 + 32) + 2 * 32 + (9 * 32 * 1 + 1)
    assert count(model.encoder) == encoder == 173_596
    assert count(model.decoder) == decoder == 198_017


def test_layers_are_those_of_the_reference() -> None:
    """The same function as the reference's listing, written here as the plain sequence of its layers."""
    torch.manual_seed(0)
    model = TinyAutoencoder().eval()
    e, d = model.encoder, model.decoder
    encoder = nn.Sequential(
        e.conv1, e.norm1, nn.LeakyReLU(), e.conv2, e.norm2, nn.LeakyReLU(), nn.Flatten(), e.project, e.norm3, nn.Tanh()
    )
    decoder = nn.Sequential(
        *(d.expand, d.norm1, nn.LeakyReLU(), nn.Unflatten(1, (32, 16, 16))),
        *(d.conv1, d.norm2, nn.LeakyReLU(), d.conv2, nn.Sigmoid()),
    )
    images = torch.rand(3, 1, 64, 64)
    assert torch.equal(model.encoder(images), encoder(images))
    assert torch.equal(model(images), decoder(encoder(images)))


@pytest.mark.parametrize(("height", "width", "channels", "latent"), [(64, 64, 1, 20), (32, 48, 4, 7)])
def test_shapes_and_ranges(height: int, width: int, channels: int, latent: int) -> None:
    model = TinyAutoencoder(height, width, channels, latent)
    images = torch.rand(3, channels, height, width)
    features, reconstructions = model.encoder(images), model(images)
    assert features.shape == (3, latent)
    assert features.abs().max() <= 1
    assert reconstructions.shape == images.shape
    assert 0 <= reconstructions.min() <= reconstructions.max() <= 1


@pytest.mark.parametrize("arguments", [{"height": 62}, {"width": 0}, {"latent": 0}, {"channels": -1}])
def test_impossible_sizes_are_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(PoiseError):
        DepthEncoder(**arguments)
