import numpy as np
import pytest
import torch
from torch import Tensor

from poise.errors import PoiseError
from poise.perception import DepthEncoder, EncodedCameras, FrozenDepthEncoder

CAMERAS = ("rgbd_0", "rgbd_1")
PERIOD = 0.012  # s between two frames


class Counted(FrozenDepthEncoder):
    """Counts the images it encodes."""

    images = 0

    def forward(self, images: Tensor) -> Tensor:
        self.images += len(images)
        return super().forward(images)


class Robots:
    """Robots whose cameras take a frame every 12 ms of their own time; what each frame shows is random."""

    def __init__(self, count: int, step: float) -> None:
        self.rng, self.step = np.random.default_rng(0), step
        self.time = np.zeros(count)
        self.frame = np.full(count, -1)
        self.images = np.zeros((2, count, 1, 16, 16), np.float32)
        self.taken = 0

    def observe(self) -> dict[str, np.ndarray]:
        frame = np.floor(self.time / PERIOD + 1e-6).astype(int)
        fresh = frame != self.frame
        self.images[:, fresh] = self.rng.random((2, fresh.sum(), 1, 16, 16))
        self.frame, self.taken = frame, self.taken + 2 * int(fresh.sum())
        age = (self.time - frame * PERIOD).clip(0)
        return {**dict(zip(CAMERAS, self.images, strict=True)), "relative_image_timestamp": age[:, None].astype("f4")}

    def advance(self) -> None:
        self.time += self.step

    def reset(self, robot: int) -> None:
        self.time[robot], self.frame[robot] = 0.0, -1


def counted() -> Counted:
    torch.manual_seed(0)
    return Counted(DepthEncoder(16, 16))


@pytest.mark.parametrize("step", [0.002, 0.010, 0.012, 0.020])
def test_encodes_each_frame_once_and_always_returns_its_features(step: float) -> None:
    """Also where frames and observations do not coincide: at 0.01 s most new frames have an age above 0."""
    encoder, robots = counted(), Robots(5, step)
    reference = FrozenDepthEncoder(encoder.encoder)
    cameras = EncodedCameras(encoder, CAMERAS, 5, step)
    for moment in range(40):
        if moment in (7, 8, 20):
            robots.reset(moment % 5)
        observation = robots.observe()
        features = cameras(observation)
        for camera in CAMERAS:
            assert features[camera].shape == (5, 20)
            assert torch.equal(features[camera], reference(torch.from_numpy(observation[camera])))
        robots.advance()
    assert encoder.images == robots.taken


def test_returned_features_are_the_callers() -> None:
    robots = Robots(2, 0.002)
    cameras = EncodedCameras(counted(), CAMERAS, 2, 0.002)
    first = cameras(robots.observe())
    kept = first["rgbd_0"].clone()
    robots.advance()
    cameras(robots.observe())["rgbd_0"].zero_()
    robots.advance()
    assert torch.equal(cameras(robots.observe())["rgbd_0"], kept)
    assert torch.equal(first["rgbd_0"], kept)


def test_final_observations_keep_the_features_of_the_old_episode() -> None:
    encoder, robots = counted(), Robots(3, 0.002)
    cameras = EncodedCameras(encoder, CAMERAS, 3, 0.002)
    before = cameras(robots.observe())
    robots.advance()
    final = {name: values[[1]].copy() for name, values in robots.observe().items()}
    robots.reset(1)
    encoded = encoder.images
    peeked = cameras.peek(final, [1])
    assert encoder.images == encoded
    after = cameras(robots.observe())
    for camera in CAMERAS:
        assert torch.equal(peeked[camera], before[camera][[1]])
        assert not torch.equal(after[camera][1], before[camera][1])
        assert torch.equal(after[camera][0], before[camera][0])
    # A final observation with a frame of its own is encoded, and not stored.
    final["relative_image_timestamp"][:] = 0
    final["rgbd_0"] = np.random.default_rng(1).random((1, 1, 16, 16), np.float32)
    expected = FrozenDepthEncoder(encoder.encoder)(torch.from_numpy(final["rgbd_0"]))
    assert torch.equal(cameras.peek(final, np.array([1]))["rgbd_0"], expected)
    robots.advance()
    assert torch.equal(cameras(robots.observe())["rgbd_0"], after["rgbd_0"])


def test_resumes_bit_for_bit() -> None:
    robots = Robots(3, 0.010)
    cameras = EncodedCameras(counted(), CAMERAS, 3, 0.010)
    for _ in range(4):
        cameras(robots.observe())
        robots.advance()
    state = cameras.state()
    resumed = EncodedCameras(counted(), CAMERAS, 3, 0.010)
    resumed.load_state(state)
    for _ in range(8):
        observation = robots.observe()
        ours, theirs = cameras(observation), resumed(observation)
        assert all(torch.equal(ours[camera], theirs[camera]) for camera in CAMERAS)
        robots.advance()
    assert not torch.equal(state["ages"], cameras.state()["ages"])  # a copy, not a view


def test_mistakes_are_named() -> None:
    cameras = EncodedCameras(counted(), CAMERAS, 3, 0.01)
    with pytest.raises(PoiseError, match="ages of 3 robots"):
        cameras(Robots(2, 0.01).observe())
    with pytest.raises(PoiseError, match=r"expected \(2, 3, 20\)"):
        cameras.load_state(EncodedCameras(counted(), CAMERAS, 4, 0.01).state())
    with pytest.raises(PoiseError, match="do not fit"):
        cameras.load_state({})
    with pytest.raises(PoiseError, match="positive time"):
        EncodedCameras(counted(), CAMERAS, 3, 0.0)
