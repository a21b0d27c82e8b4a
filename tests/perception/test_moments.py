from pathlib import Path

import numpy as np
import pytest

from poise.errors import PoiseError
from poise.perception import ImageDataset, ImageDatasetWriter
from poise.perception.moments import batches_across_episodes, check_components, draw_moments


def test_moments_keep_together_what_was_seen_and_felt(felt_folder: Path) -> None:
    """Of every moment, `felt_folder` stores the tilt that its images show, and its number."""
    dataset = ImageDataset(felt_folder)
    moments = draw_moments(dataset, ("number", "orientation"), [2, 7], 9, np.random.default_rng(0))
    assert moments.images.shape == (9, 2, 16, 16)
    assert len(set(moments.felt[:, 0])) == 9  # none twice
    assert set(moments.episodes) == {2, 7}
    for image, felt, episode in zip(moments.images, moments.felt, moments.episodes, strict=True):
        frame = int(felt[0]) - 100 * episode
        assert np.array_equal(image[1], dataset.load(episode)["rgbd_1"][frame])
        assert np.array_equal(felt[1:], dataset.load_felt(episode)["orientation"][frame])
    again = draw_moments(dataset, ("number",), [2, 7], 9, np.random.default_rng(0))
    assert np.array_equal(again.felt[:, 0], moments.felt[:, 0])


def test_components_with_axes_are_flattened(tmp_path: Path) -> None:
    writer = ImageDatasetWriter(tmp_path, ("a",), 8, 8, felt={"grid": (2, 3), "speed": (1,)})
    felt = {"grid": np.arange(12.0).reshape(2, 2, 3), "speed": np.array([[20.0], [30.0]])}
    writer.write(0, {"a": np.zeros((2, 8, 8))}, 0, "pid", felt)
    moments = draw_moments(ImageDataset(tmp_path), ("speed", "grid"), [0], 5, np.random.default_rng(0))
    assert moments.felt.tolist() == [[20, 0, 1, 2, 3, 4, 5], [30, 6, 7, 8, 9, 10, 11]]


def test_a_batch_holds_every_episode_once_and_all_moments_have_their_turn() -> None:
    """Neighbours in time would be false negatives."""
    episodes = np.array([3, 3, 3, 8, 8, 5, 3, 5, 9])
    batches = list(batches_across_episodes(episodes, 3, 400, np.random.default_rng(0)))
    assert all(len(set(episodes[batch])) == 3 for batch in batches)
    drawn = np.bincount(np.concatenate(batches), minlength=9)
    share = np.array([1 / 4, 1 / 4, 1 / 4, 1 / 2, 1 / 2, 1 / 2, 1 / 4, 1 / 2, 1])  # within its episode
    np.testing.assert_allclose(drawn / (400 * 3 / 4), share, atol=0.1)
    one, other = (list(batches_across_episodes(episodes, 4, 2, np.random.default_rng(1))) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert sorted(episodes[one[0]]) == [3, 5, 8, 9]


def test_damaged_episodes_are_left_out(felt_folder: Path) -> None:
    path = felt_folder / "images" / "episode_000002.npz"
    path.write_bytes(path.read_bytes()[:100])
    dataset = ImageDataset(felt_folder)
    with pytest.warns(UserWarning, match=r"episode_000002\.npz"):
        moments = draw_moments(dataset, ("number",), [2, 7], 99, np.random.default_rng(0))
    assert set(moments.episodes) == {7}
    assert list(dataset.damaged) == ["episode_000002.npz"]


def test_datasets_that_do_not_tell_what_is_asked_are_refused(felt_folder: Path, dataset_folder: Path) -> None:
    check_components(ImageDataset(felt_folder), ("orientation", "number"))
    with pytest.raises(PoiseError, match=r"not what they felt.*poise collect --out"):
        check_components(ImageDataset(dataset_folder), ("orientation",))
    words = r"does not tell 'orientaton'; did you mean 'orientation'\?; it tells orientation, still, number"
    with pytest.raises(PoiseError, match=words):
        check_components(ImageDataset(felt_folder), ("orientation", "orientaton"))
