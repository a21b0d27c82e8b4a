"""Images that several samples see: the same as tensors of samples, each encoded once."""

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from poise.nn.frames import Frames, FrameStream, dense, encode


class Counting(nn.Module):
    """Counts the images that it has seen."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layer = nn.Linear(4, 3)
        self.seen = 0

    def forward(self, images: Tensor) -> Tensor:
        self.seen += len(images)
        result: Tensor = self.layer(images.flatten(1))
        return result


def some_frames(*index: int) -> Frames:
    torch.manual_seed(0)
    return Frames(torch.randn(5, 1, 2, 2), torch.tensor(index))


def test_frames_stand_for_what_each_sample_sees() -> None:
    frames = some_frames(0, 0, 3, 1)
    assert frames.shape == (4, 1, 2, 2)
    assert frames.dim() == 4
    assert len(frames) == 4
    assert_close(frames.tensor(), frames.images[[0, 0, 3, 1]])
    assert_close(dense(frames), frames.tensor())


def test_each_image_is_encoded_once_and_only_if_seen() -> None:
    network, frames = Counting(), some_frames(3, 3, 1, 3)
    encoded = encode(frames, network)
    assert network.seen == 2
    assert_close(encoded, network(frames.images[[3, 3, 1, 3]]))


def test_networks_follow_each_other() -> None:
    frames = some_frames(4, 0, 4)
    twice = frames.through(lambda images: 2.0 * images).through(lambda images: images + 1.0)
    assert_close(twice.tensor(), 2.0 * frames.tensor() + 1.0)


def test_gradients_are_those_of_the_samples() -> None:
    frames, gradients = some_frames(2, 2, 0, 2, 1), []
    weights = torch.randn(5, 3)
    for component in (frames, frames.tensor()):
        network = Counting()
        (weights * encode(component, network)).sum().backward()
        gradients.append(network.layer.weight.grad)
    assert_close(*gradients)


@pytest.mark.parametrize("axis", [0, 1])
def test_parts_are_parts_of_the_tensor(axis: int) -> None:
    frames = Frames(torch.randn(3, 2, 2, 2), torch.tensor([[0, 1, 2], [2, 2, 0]]))
    chosen = torch.tensor([1, 0])
    assert_close(frames.index_select(axis, chosen).tensor(), frames.tensor().index_select(axis, chosen))
    assert_close(frames.narrow(axis, 1, 1).tensor(), frames.tensor().narrow(axis, 1, 1))
    assert_close(frames.flatten(0, 1).tensor(), frames.tensor().flatten(0, 1))


# --- streams ----------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_a_stream_encodes_what_is_new() -> None:
    stream, network = FrameStream(), Counting()
    images = torch.randn(3, 1, 2, 2)
    assert_close(encode(stream(images), network), network.layer(images.flatten(1)))
    assert network.seen == 3
    later = images.clone()
    later[1] = 7.0
    frames = stream(later)
    assert frames.fresh is not None
    assert frames.fresh.tolist() == [False, True, False]
    for _ in range(2):  # and it is asked twice
        assert_close(encode(frames, network), network.layer(later.flatten(1)))
    assert network.seen == 4


@torch.no_grad()
def test_who_was_not_asked_for_a_while_catches_up() -> None:
    stream, network = FrameStream(), Counting()
    images = torch.randn(3, 1, 2, 2)
    encode(stream(images), network)
    for robot in (0, 2):
        images = images.clone()
        images[robot] += 1.0
        frames = stream(images)
    assert_close(encode(frames, network), network.layer(images.flatten(1)))
    assert network.seen == 3 + 2


@torch.no_grad()
def test_changed_weights_forgetting_and_old_frames_are_encoded_anew() -> None:
    stream, network = FrameStream(), Counting()
    images = torch.randn(2, 1, 2, 2)
    first = stream(images)
    encode(first, network)
    network.layer.weight.mul_(2.0)
    assert_close(encode(first, network), network.layer(images.flatten(1)))
    assert network.seen == 4
    stream.forget()
    encode(first, network)
    assert network.seen == 6
    second = stream(images + 1.0)
    encode(second, network)
    assert_close(encode(first, network), network.layer(images.flatten(1)))  # what was remembered is of the second


def test_gradients_do_not_come_from_memory() -> None:
    stream, network = FrameStream(), Counting()
    frames = stream(torch.randn(2, 1, 2, 2))
    with torch.no_grad():
        encode(frames, network)
    encode(frames, network).sum().backward()
    assert network.layer.weight.grad is not None
