import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch.testing import assert_close

from poise.errors import PoiseError
from poise.nn.frames import dense
from poise.perception import FrozenDepthEncoder
from poise.perception.autoencoder import TinyAutoencoder
from poise.policies import Sensing

STEP = 0.002
SPACE = spaces.Dict(
    {
        "vel": spaces.Box(-1.0, 1.0, (3,)),
        "rgbd_0": spaces.Box(0.0, 1.0, (1, 8, 8)),
        "rgbd_1": spaces.Box(0.0, 1.0, (1, 8, 8)),
        "relative_image_timestamp": spaces.Box(0.0, 1.0, (1,)),
    }
)


@pytest.fixture(scope="module")
def encoder() -> FrozenDepthEncoder:
    torch.manual_seed(0)
    return FrozenDepthEncoder(TinyAutoencoder(8, 8, 1, 4).encoder)


def observation(count: int, age: float = 0.0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "vel": rng.normal(size=(count, 3)),
        "rgbd_0": rng.random((count, 1, 8, 8), np.float32),
        "rgbd_1": rng.random((count, 1, 8, 8), np.float32),
        "relative_image_timestamp": np.full((count, 1), age, np.float32),
    }


def test_arrays_become_tensors_of_their_own() -> None:
    sensing = Sensing(spaces.Box(-1.0, 1.0, (2,)), None, 3, STEP)
    array = np.arange(6, dtype=np.float64).reshape(3, 2)
    (tensor,) = sensing(array).values()
    array[:] = -1.0
    assert sensing.shapes == {"observation": (2,)}
    assert_close(tensor, torch.arange(6.0).view(3, 2))


def test_a_vector_is_taken_apart_by_its_segments() -> None:
    space, segments = spaces.Box(-9.0, 9.0, (7,)), {"vel": 2, "grid": (2, 2), "height": ()}
    sensing = Sensing(space, None, 3, STEP, ("grid", "height"), segments=segments)
    array = np.arange(21, dtype=np.float64).reshape(3, 7)
    sensed = sensing(array)
    assert sensing.shapes == {"grid": (2, 2), "height": ()}
    assert_close(sensed["grid"][1], torch.tensor([[9.0, 10.0], [11.0, 12.0]]))
    assert_close(sensed["height"], torch.tensor([6.0, 13.0, 20.0]))
    final = np.array([None, array[1]], object)
    assert_close(sensing.final(final, np.array([1]))["grid"], sensed["grid"][1:2])
    with pytest.raises(PoiseError, match=r"names 6 numbers \(vel, grid\), but .* an array of shape \(7,\)"):
        Sensing(space, None, 3, STEP, segments={"vel": 2, "grid": (2, 2)})
    with pytest.raises(PoiseError, match="a mapping of relative_image_timestamp, rgbd_0, rgbd_1, vel already"):
        Sensing(SPACE, None, 3, STEP, segments={"vel": 2})


def test_images_become_features(encoder: FrozenDepthEncoder) -> None:
    sensing = Sensing(SPACE, encoder, 5, STEP)
    given = observation(5)
    sensed = sensing(given)
    assert sensing.shapes == {"vel": (3,), "rgbd_0": (4,), "rgbd_1": (4,), "relative_image_timestamp": (1,)}
    assert list(sensed) == list(sensing.shapes)
    for name in ("rgbd_0", "rgbd_1"):
        assert torch.equal(sensed[name], encoder(torch.from_numpy(given[name])))


def test_features_do_not_depend_on_the_number_of_threads(encoder: FrozenDepthEncoder) -> None:
    given = observation(50)
    one, many = (Sensing(SPACE, encoder, 50, STEP, threads=threads)(given) for threads in (1, 3))
    assert all(torch.equal(one[name], many[name]) for name in one)


def test_components_can_be_chosen(encoder: FrozenDepthEncoder) -> None:
    assert list(Sensing(SPACE, None, 2, STEP, ("vel",))(observation(2))) == ["vel"]
    assert list(Sensing(SPACE, encoder, 2, STEP, ("rgbd_1", "vel"))(observation(2))) == ["rgbd_1", "vel"]


def test_final_observations_are_read_without_moving_on(encoder: FrozenDepthEncoder) -> None:
    sensing = Sensing(SPACE, encoder, 4, STEP)
    sensing(observation(4))
    before = sensing.state()
    last = observation(4)
    last["rgbd_0"] = 1.0 - last["rgbd_0"]
    final = np.full(4, None, dtype=object)
    for robot in (1, 3):
        final[robot] = {name: value[robot] for name, value in last.items()}
    sensed = sensing.final(final, np.array([1, 3]))
    assert_close(sensed["vel"], torch.from_numpy(last["vel"][[1, 3]]).float())
    assert torch.equal(sensed["rgbd_0"], encoder(torch.from_numpy(last["rgbd_0"][[1, 3]])))
    assert all(torch.equal(value, sensing.state()[name]) for name, value in before.items())


def test_final_observations_that_are_arrays() -> None:
    final = np.full(3, None, dtype=object)
    final[2] = np.array([1.0, 2.0])
    sensed = Sensing(spaces.Box(-9.0, 9.0, (2,)), None, 3, STEP).final(final, np.array([2]))
    assert_close(sensed["observation"], torch.tensor([[1.0, 2.0]]))


def test_state_carries_features_of_old_images_over(encoder: FrozenDepthEncoder) -> None:
    first, second = (Sensing(SPACE, encoder, 3, STEP) for _ in range(2))
    first(observation(3))
    second.load_state(first.state())
    later = observation(3, age=STEP)
    later["rgbd_0"][:] = 0.0  # not looked at: by its age the image is still the old one
    assert torch.equal(second(later)["rgbd_0"], first(later)["rgbd_0"])


def test_images_may_be_left_to_the_policy(encoder: FrozenDepthEncoder) -> None:
    given = observation(2)
    sensing = Sensing(SPACE, encoder, 2, STEP, ("rgbd_0", "rgbd_1"), learned={"rgbd_1": "by itself"})
    assert sensing.shapes == {"rgbd_0": (4,), "rgbd_1": (1, 8, 8)}
    assert_close(dense(sensing(given)["rgbd_1"]), torch.from_numpy(given["rgbd_1"]))
    alone = Sensing(SPACE, None, 2, STEP, learned=["rgbd_0", "rgbd_1"])
    assert alone.shapes["rgbd_0"] == (1, 8, 8)
    picture = Sensing(spaces.Box(0, 255, (8, 6, 3), np.uint8), None, 2, STEP)
    assert picture(np.full((2, 8, 6, 3), 7, np.uint8))["observation"].dtype == torch.float32


def test_an_encoder_refuses_images_clipped_elsewhere(encoder: FrozenDepthEncoder) -> None:
    """SPACE's end at 1 m: an encoder that learned from others would see the same ground nearer or farther away."""
    Sensing(SPACE, FrozenDepthEncoder(encoder.encoder, max_depth=1.0), 2, STEP)
    nearer = FrozenDepthEncoder(encoder.encoder, max_depth=0.3)
    with pytest.raises(PoiseError, match=r"clipped at 0.3 m, but these are at 1 m; .*env.options.cameras.max_depth"):
        Sensing(SPACE, nearer, 2, STEP)
    clipped = dict(SPACE.spaces) | {name: spaces.Box(0.0, 0.3, (1, 8, 8), np.float32) for name in ("rgbd_0", "rgbd_1")}
    Sensing(spaces.Dict(clipped), nearer, 2, STEP)  # as a float32, 0.3 is 0.30000001


def test_what_cannot_be_sensed_is_refused(encoder: FrozenDepthEncoder) -> None:
    with pytest.raises(PoiseError, match=r"holds images \(rgbd_0, rgbd_1\) but policy.encoder names no encoder"):
        Sensing(SPACE, None, 2, STEP)
    with pytest.raises(PoiseError, match="holds no 'speed', which a policy or .*; the environment gives .*vel"):
        Sensing(SPACE, encoder, 2, STEP, ("vel", "speed"))
    with pytest.raises(PoiseError, match="holds no 'vle', .*did you mean 'vel'"):
        Sensing(SPACE, encoder, 2, STEP, ("vle",))
    with pytest.raises(PoiseError, match="policy.encoder is to encode rgbd_0, rgbd_1, for which policy.encoders has"):
        Sensing(SPACE, encoder, 2, STEP, learned=["rgbd_0", "rgbd_1"])
    ageless = spaces.Dict({name: part for name, part in SPACE.items() if name != "relative_image_timestamp"})
    with pytest.raises(PoiseError, match="takes rgbd_0, rgbd_1, but .* their age, 'relative_image_timestamp' of shape"):
        Sensing(ageless, encoder, 2, STEP)
    with pytest.raises(PoiseError, match="no policy for the observation observation of Discrete"):
        Sensing(spaces.Discrete(3), None, 2, STEP)


def test_each_image_of_a_stack_is_encoded_by_itself(encoder: FrozenDepthEncoder) -> None:
    parts = dict(SPACE.spaces) | {name: spaces.Box(0.0, 1.0, (3, 8, 8)) for name in ("rgbd_0", "rgbd_1")}
    given = observation(2)
    stacks = {name: np.random.default_rng(3).random((2, 3, 8, 8), np.float32) for name in ("rgbd_0", "rgbd_1")}
    sensing = Sensing(spaces.Dict(parts), encoder, 2, STEP)
    assert sensing.shapes["rgbd_1"] == (12,)
    codes = sensing(given | stacks)["rgbd_1"]
    for i in range(3):
        expected = encoder(torch.from_numpy(stacks["rgbd_1"][:, i : i + 1]))
        assert_close(codes[:, 4 * i : 4 * i + 4], expected)
    wrong = dict(parts) | {"rgbd_1": spaces.Box(0.0, 1.0, (2, 8, 8))}
    with pytest.raises(PoiseError, match=r"rgbd_1 has \(2, 8, 8\)"):
        Sensing(spaces.Dict(wrong), encoder, 2, STEP)
