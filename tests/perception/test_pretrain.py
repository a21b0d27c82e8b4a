import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from poise.config import load_yaml, parse
from poise.errors import PoiseError
from poise.perception import (
    FrozenDepthEncoder,
    ImageDataset,
    ImageDatasetWriter,
    PretrainConfig,
    load_decoder,
    load_encoder,
    pretrain,
    split_episodes,
)
from poise.perception.encoder_files import read_description
from poise.perception.images import metres
from poise.perception.pretrain import Epoch


def quick(**changes: Any) -> PretrainConfig:
    return parse(PretrainConfig, {"epochs": 6, "batch_size": 16, "precision": "float32", **changes})


def test_learns_and_writes_what_it_promises(dataset_folder: Path, tmp_path: Path) -> None:
    seen: list[Epoch] = []
    dataset = ImageDataset(dataset_folder)
    result = pretrain(dataset, quick(patience=6), tmp_path / "out", seen.append)
    assert tuple(seen) == result.history
    assert not result.interrupted
    _, held_out = split_episodes(dataset.episodes, 0.2, 0)
    images = np.concatenate(
        [metres(dataset.load(episode)[camera]) for episode in held_out for camera in dataset.cameras]
    )
    always_the_mean = float(np.mean((images - images.mean(0)) ** 2))
    assert result.best.validation_loss < 0.5 * always_the_mean
    assert result.uninformed_loss == pytest.approx(always_the_mean, rel=0.1)  # of training images: a bit worse
    assert result.useful
    assert result.best.validation_loss == min(epoch.validation_loss for epoch in seen)

    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "config.yaml",
        "encoder",
        "history.csv",
        "reconstructions.png",
    ]
    assert load_encoder(out).spec == (16, 16, 1, 20)
    decoder = load_decoder(out)
    assert decoder is not None
    seen_again = decoder(load_encoder(out)(torch.from_numpy(images)[:, None]))[:, 0].detach().numpy()
    assert float(np.mean((seen_again - images) ** 2)) == pytest.approx(result.best.validation_loss, rel=1e-4)
    assert read_description(out)["metadata"]["epoch"] == result.best.epoch
    assert FrozenDepthEncoder.load(out).max_depth == 0.9
    assert parse(PretrainConfig, load_yaml(out / "config.yaml")) == quick(patience=6)
    with (out / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["validation_loss"]) for row in rows] == pytest.approx([epoch.validation_loss for epoch in seen])
    with Image.open(out / "reconstructions.png") as picture:
        assert picture.width > 600


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_encoder(folder).state_dict()


def test_the_seed_determines_the_encoder(dataset_folder: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.manual_seed(ord(name))
        before = torch.get_rng_state()
        pretrain(ImageDataset(dataset_folder), quick(epochs=2, seed=seed), tmp_path / name)
        assert torch.equal(torch.get_rng_state(), before)  # leaves the caller's generator alone
    a, b, c = (weights(tmp_path / name) for name in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["conv1.weight"], c["conv1.weight"])


def test_the_best_encoder_is_kept_and_patience_ends(dataset_folder: Path, tmp_path: Path) -> None:
    """With a learning rate this large the loss rises again; the encoder on disk is the one from before it did."""
    result = pretrain(ImageDataset(dataset_folder), quick(epochs=40, patience=2, learning_rate=0.3), tmp_path / "out")
    assert len(result.history) == result.best.epoch + 2 < 40
    assert read_description(tmp_path / "out")["metadata"]["validation_loss"] == result.best.validation_loss
    again = quick(epochs=result.best.epoch, patience=2, learning_rate=0.3)
    pretrain(ImageDataset(dataset_folder), again, tmp_path / "short")
    long, short = weights(tmp_path / "out"), weights(tmp_path / "short")
    assert all(torch.equal(long[name], short[name]) for name in long)


def test_an_encoder_that_learnt_nothing_is_not_called_useful(dataset_folder: Path, tmp_path: Path) -> None:
    result = pretrain(ImageDataset(dataset_folder), quick(epochs=1, learning_rate=1e-9), tmp_path / "out")
    assert result.best.validation_loss > result.uninformed_loss
    assert not result.useful


def test_ctrl_c_keeps_the_best_so_far(dataset_folder: Path, tmp_path: Path) -> None:
    def interrupt(epoch: Epoch) -> None:
        if epoch.epoch == 2:
            raise KeyboardInterrupt

    result = pretrain(ImageDataset(dataset_folder), quick(), tmp_path / "out", interrupt)
    assert result.interrupted
    assert len(result.history) == 2
    load_encoder(tmp_path / "out")
    assert (tmp_path / "out" / "reconstructions.png").exists()


def test_low_precision_learns_too(dataset_folder: Path, tmp_path: Path) -> None:
    losses = [
        pretrain(ImageDataset(dataset_folder), quick(precision=precision), tmp_path / precision).best.validation_loss
        for precision in ("float32", "bfloat16")
    ]
    assert losses[1] == pytest.approx(losses[0], rel=0.3)


def test_damaged_episodes_are_left_out(dataset_folder: Path, tmp_path: Path) -> None:
    training, held_out = split_episodes(range(10), 0.2, 0)
    (dataset_folder / "images" / f"episode_{training[0]:06d}.npz").write_bytes(b"nonsense")
    with pytest.warns(UserWarning, match="left out"):
        result = pretrain(ImageDataset(dataset_folder), quick(epochs=1), tmp_path / "out")
    assert list(result.damaged) == [f"episode_{training[0]:06d}.npz"]
    for episode in held_out:
        (dataset_folder / "images" / f"episode_{episode:06d}.npz").unlink()
    with pytest.warns(UserWarning, match="left out"), pytest.raises(PoiseError, match="0 held out"):
        pretrain(ImageDataset(dataset_folder), quick(epochs=1), tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_failure_leaves_what_was_there(dataset_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    pretrain(ImageDataset(dataset_folder), quick(epochs=1), out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(PoiseError, match="diverged"):
        pretrain(ImageDataset(dataset_folder), quick(learning_rate=1e30), out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_images_that_no_encoder_takes_are_refused_before_any_is_read(tmp_path: Path) -> None:
    writer = ImageDatasetWriter(tmp_path / "data", ("rgbd_0",), 18, 18)
    for episode in range(2):
        writer.write(episode, {"rgbd_0": np.zeros((3, 18, 18), np.float32)}, seed=episode, driver="random")
    shutil.rmtree(tmp_path / "data" / "images")
    with pytest.raises(PoiseError, match="the height of depth images must be a positive multiple of 4, got 18"):
        pretrain(ImageDataset(tmp_path / "data"), quick(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_divergence_is_named(dataset_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PoiseError, match=r"diverged in epoch 1.*learning_rate below 1e\+38"):
        pretrain(ImageDataset(dataset_folder), quick(learning_rate=1e38), tmp_path / "out")
    assert not (tmp_path / "out").exists()
