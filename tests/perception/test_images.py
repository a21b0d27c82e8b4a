import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from poise.errors import PoiseError
from poise.perception import ImageDataset, ImageDatasetWriter, split_episodes
from poise.perception.images import metres, quantise

CAMERAS = ("rgbd_0", "rgbd_1")
Slopes = Callable[[int, int], np.ndarray]


def test_quantisation_error_is_half_a_step() -> None:
    depth = np.random.default_rng(0).random((50, 16, 16), np.float32)
    assert np.abs(metres(quantise(depth)).astype(float) - depth).max() <= 0.5 / 65535 + 1e-7
    ends = np.array([0.0, 1.0], np.float32)
    assert np.array_equal(metres(quantise(ends)), ends)
    every = np.arange(65536, dtype=np.uint16)
    assert np.array_equal(quantise(metres(every)), every)


def test_round_trip(dataset_folder: Path, slopes: Slopes) -> None:
    dataset = ImageDataset(dataset_folder)
    assert dataset.cameras == CAMERAS
    assert dataset.episodes == list(range(10))
    assert dataset.info.episodes[3].model_dump() == {"seed": 3, "driver": "random", "frames": 12}
    images = dataset.load(3)
    assert {name: (image.dtype, image.shape) for name, image in images.items()} == dict.fromkeys(
        CAMERAS, (np.uint16, (12, 16, 16))
    )
    np.testing.assert_allclose(metres(images["rgbd_1"]), slopes(103, 12), atol=1e-5)


def test_what_was_felt_comes_back(tmp_path: Path) -> None:
    shapes = {"orientation": (3,), "heights": (2, 2)}
    writer = ImageDatasetWriter(tmp_path, ("a",), 8, 8, felt=shapes)
    felt = {name: np.random.default_rng(0).normal(size=(3, *shape)) for name, shape in shapes.items()}
    writer.write(0, {"a": np.zeros((3, 8, 8))}, 0, "pid", felt)
    dataset = ImageDataset(tmp_path)
    assert dataset.info.felt == shapes
    assert dataset.load(0).keys() == {"a"}
    for name, values in dataset.load_felt(0).items():
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, felt.pop(name).astype(np.float32))
    assert not felt
    assert ImageDatasetWriter(tmp_path, ("a",), 8, 8, felt=shapes).has(0)


def test_older_datasets_tell_nothing_of_it(dataset_folder: Path) -> None:
    """They are read as they were, and not continued with what they lack."""
    description = json.loads((dataset_folder / "dataset.json").read_text())
    del description["felt"]
    (dataset_folder / "dataset.json").write_text(json.dumps(description))
    dataset = ImageDataset(dataset_folder)
    assert dataset.info.felt == dataset.load_felt(3) == {}
    assert len(dataset.sample([3], 99, np.random.default_rng(0))) == 24
    assert ImageDatasetWriter(dataset_folder, CAMERAS, 16, 16, 0.9).has(3)
    with pytest.raises(PoiseError, match=r"rgbd_1, not of .* with orientation; use another folder"):
        ImageDatasetWriter(dataset_folder, CAMERAS, 16, 16, 0.9, felt={"orientation": (3,)})


@pytest.mark.parametrize(
    ("felt", "words"),
    [
        ({}, r"cannot hold what was felt: \{\}"),
        ({"vel": np.zeros((2, 3))}, "with vel cannot hold"),
        ({"vel": np.zeros((3, 2))}, "with vel cannot hold"),
        ({"vel": np.zeros((3, 3)), "more": np.zeros((3, 1))}, "more"),
        ({"vel": np.full((3, 3), np.nan)}, "finite"),
    ],
)
def test_what_was_felt_must_fit(tmp_path: Path, felt: dict[str, np.ndarray], words: str) -> None:
    writer = ImageDatasetWriter(tmp_path, ("a",), 8, 8, felt={"vel": (3,)})
    with pytest.raises(PoiseError, match=words):
        writer.write(0, {"a": np.zeros((3, 8, 8))}, 0, "pid", felt)
    assert not writer.has(0)


def test_a_camera_and_a_component_have_different_names(tmp_path: Path) -> None:
    with pytest.raises(PoiseError, match="vel cannot be a camera and a component"):
        ImageDatasetWriter(tmp_path, ("vel",), 8, 8, felt={"vel": (3,)})


@pytest.mark.parametrize("values", [np.zeros((12, 3), np.float32), np.full((12, 2), np.nan, np.float32)])
def test_damage_of_what_was_felt_is_named(felt_folder: Path, values: np.ndarray) -> None:
    path = felt_folder / "images" / "episode_000004.npz"
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **(arrays | {"orientation": values}))
    dataset = ImageDataset(felt_folder)
    dataset.load(4)
    with pytest.raises(PoiseError, match=r"episode_000004\.npz is damaged: orientation is .* of finite numbers"):
        dataset.load_felt(4)


def test_writing_resumes(dataset_folder: Path, slopes: Slopes) -> None:
    """An episode whose file exists but which the description does not name was interrupted: it is made again."""
    (dataset_folder / "images" / "episode_000010.npz").write_bytes(b"half of it")
    (dataset_folder / "images" / "episode_000004.npz").unlink()
    writer = ImageDatasetWriter(dataset_folder, CAMERAS, 16, 16, 0.9)
    assert [episode for episode in range(12) if not writer.has(episode)] == [4, 10, 11]
    for episode in (10, 4):
        writer.write(episode, dict.fromkeys(CAMERAS, slopes(7, 5)), seed=7, driver="pid")
    dataset = ImageDataset(dataset_folder)
    assert dataset.episodes == list(range(11))
    assert dataset.load(10)["rgbd_0"].shape == (5, 16, 16)
    assert dataset.info.episodes[10].driver == "pid"
    assert not [path for path in dataset_folder.rglob("*") if "tmp" in path.name]


def test_a_writer_of_other_images_is_refused(dataset_folder: Path) -> None:
    before = (dataset_folder / "dataset.json").read_bytes()
    with pytest.raises(PoiseError, match="64x64 pixels of up to 1 m from rgbd_0; use another folder"):
        ImageDatasetWriter(dataset_folder, ["rgbd_0"])
    assert (dataset_folder / "dataset.json").read_bytes() == before


@pytest.mark.parametrize(
    "images",
    [
        {"rgbd_0": np.zeros((2, 16, 16))},
        {"rgbd_0": np.zeros((2, 16, 16)), "rgbd_1": np.zeros((3, 16, 16))},
        dict.fromkeys(CAMERAS, np.zeros((2, 1, 16, 16))),
        dict.fromkeys(CAMERAS, np.full((2, 16, 16), 1.5)),
        dict.fromkeys(CAMERAS, np.full((2, 16, 16), np.nan)),
        dict.fromkeys(CAMERAS, np.zeros((0, 16, 16))),
        {},
    ],
)
def test_images_that_do_not_fit_are_refused(dataset_folder: Path, images: dict[str, np.ndarray]) -> None:
    writer = ImageDatasetWriter(dataset_folder, CAMERAS, 16, 16, 0.9)
    with pytest.raises(PoiseError):
        writer.write(10, images, seed=0, driver="random")
    assert not writer.has(10)


def test_samples_without_replacement_from_the_named_episodes_only(dataset_folder: Path) -> None:
    dataset = ImageDataset(dataset_folder)
    everything = dataset.sample([2, 5], 1000, np.random.default_rng(0))
    expected = np.concatenate([dataset.load(episode)[camera] for episode in (2, 5) for camera in CAMERAS])
    assert np.array_equal(everything, expected)
    some = dataset.sample([2, 5], 20, np.random.default_rng(0))
    assert len({image.tobytes() for image in some}) == 20
    assert {image.tobytes() for image in some} <= {image.tobytes() for image in expected}
    assert np.array_equal(some, dataset.sample([2, 5], 20, np.random.default_rng(0)))


def damaged_contents(whole: bytes, path: Path) -> dict[str, bytes]:
    bent = bytearray(whole)
    bent[len(bent) // 3] ^= 0xFF
    np.savez(path, **dict.fromkeys(CAMERAS, np.array([{"an": "object"}], dtype=object)))
    objects = path.read_bytes()
    np.savez(path, **dict.fromkeys(CAMERAS, np.zeros((3, 16, 16), np.uint16)))
    other_shape = path.read_bytes()
    return {
        "empty": b"",
        "cut": whole[: len(whole) // 2],
        "bent": bytes(bent),
        "pickle": pickle.dumps({"rgbd_0": 1}),
        "objects": objects,
        "other shape": other_shape,
    }


@pytest.mark.parametrize("kind", ["empty", "cut", "bent", "pickle", "objects", "other shape"])
def test_a_damaged_episode_is_named_and_the_rest_used(dataset_folder: Path, tmp_path: Path, kind: str) -> None:
    path = dataset_folder / "images" / "episode_000004.npz"
    path.write_bytes(damaged_contents(path.read_bytes(), tmp_path / "scratch.npz")[kind])
    dataset = ImageDataset(dataset_folder)
    with pytest.raises(PoiseError, match=r"episode_000004\.npz is damaged"):
        dataset.load(4)
    with pytest.warns(UserWarning, match=r"episode_000004\.npz"):
        images = dataset.sample([3, 4], 1000, np.random.default_rng(0))
    assert len(images) == 24
    assert list(dataset.damaged) == ["episode_000004.npz"]


def test_missing_empty_and_damaged_folders(tmp_path: Path, dataset_folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match="poise collect"):
        ImageDataset(tmp_path / "nowhere")
    description = dataset_folder / "dataset.json"
    for content in ("", "[]", "{", '{"cameras": []}', '{"cameras": ["a"], "episodes": {"x": {}}}', '{"frames": 1}'):
        description.write_text(content)
        with pytest.raises(PoiseError, match=r"dataset\.json"):
            ImageDataset(dataset_folder)
    description.write_text(json.dumps({"cameras": ["rgbd_0"], "episodes": {}}))
    with pytest.raises(PoiseError, match="holds no images"):
        ImageDataset(dataset_folder)


@pytest.mark.parametrize("count", [2, 3, 10, 101])
def test_no_episode_is_on_both_sides(count: int) -> None:
    training, held_out = split_episodes(range(count), 0.2, seed=1)
    assert not set(training) & set(held_out)
    assert sorted(training + held_out) == list(range(count))
    assert len(held_out) == max(1, round(0.2 * count))
    assert split_episodes(range(count), 0.2, seed=1) == (training, held_out)


def test_the_split_depends_on_the_seed_and_needs_two_episodes() -> None:
    assert split_episodes(range(100), 0.2, 1) != split_episodes(range(100), 0.2, 2)
    assert split_episodes([4, 9], 0.99, 0)[0]
    with pytest.raises(PoiseError, match="at least 2 episodes"):
        split_episodes([4], 0.2, 0)
