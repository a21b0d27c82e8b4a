"""Encoders that learn what was felt, from images of tilted planes and the tilts themselves."""

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from poise.config import parse
from poise.errors import PoiseError
from poise.perception import (
    ImageDataset,
    ImageDatasetWriter,
    PretrainConfig,
    PretrainResult,
    load_encoder,
    pretrain,
)
from poise.perception.alignment import Alignment
from poise.perception.encoder_files import read_description
from poise.perception.images import metres, split_episodes


def quick(**changes: Any) -> PretrainConfig:
    settings = {"objective": "contrastive", "epochs": 8, "batch_size": 8, "precision": "float32", "patience": 8}
    contrastive = {"components": ["orientation", "still"], **changes.pop("contrastive", {})}
    return parse(PretrainConfig, {**settings, **changes, "contrastive": contrastive})


def learned(folder: Path, out: Path, **changes: Any) -> PretrainResult:
    return pretrain(ImageDataset(folder), quick(**changes), out)


def test_finds_the_body_that_took_the_images(felt_folder: Path, tmp_path: Path) -> None:
    """Of 5 held-out episodes, guessing finds one in 5; what never changes ('still') does no harm."""
    result = learned(felt_folder, tmp_path / "out", validation_fraction=0.5, batch_size=5)
    assert result.candidates == 5
    assert result.best.accuracy is not None
    assert result.best.accuracy > 0.5
    assert result.useful
    assert result.best.validation_loss < 0.7 < result.uninformed_loss == 1.0
    assert result.best.contrastive_loss == pytest.approx(result.best.validation_loss * math.log(5))
    assert result.best.reconstruction_loss is None
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == ["alignment.png", "config.yaml", "encoder", "history.csv"]
    assert load_encoder(out).spec == (16, 16, 1, 20)
    assert read_description(out)["metadata"]["objective"] == "contrastive"
    with (out / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["accuracy"]) for row in rows] == pytest.approx([epoch.accuracy for epoch in result.history])
    assert len({row["temperature"] for row in rows}) == len(rows)  # it is learned
    assert "reconstruction_loss" not in rows[0]
    with Image.open(out / "alignment.png") as picture:
        assert picture.width > 600


def test_both_draw_again_and_find_the_body(felt_folder: Path, tmp_path: Path) -> None:
    result = learned(felt_folder, tmp_path / "out", objective="both", epochs=12, contrastive={"share": 0.25})
    best = result.best
    dataset = ImageDataset(felt_folder)
    training, held_out = (
        np.concatenate([metres(dataset.load(episode)[camera]) for episode in part for camera in dataset.cameras])
        for part in split_episodes(dataset.episodes, 0.2, 0)
    )
    average = float(np.mean((held_out - training.mean(axis=0)) ** 2))
    assert best.reconstruction_loss is not None
    assert best.contrastive_loss is not None
    assert best.reconstruction_loss < 0.5 * average
    expected = 0.25 * best.contrastive_loss / math.log(2) + 0.75 * best.reconstruction_loss / average
    assert best.validation_loss == pytest.approx(expected, rel=1e-4)  # all images are used
    assert (tmp_path / "out" / "reconstructions.png").exists()
    assert (tmp_path / "out" / "alignment.png").exists()


def test_the_seed_determines_the_encoder(felt_folder: Path) -> None:
    encoders = []
    for others, seed in ((1, 0), (2, 0), (3, 1)):
        torch.manual_seed(others)
        before = torch.get_rng_state()
        objective = Alignment(ImageDataset(felt_folder), quick(objective="both", seed=seed))
        objective.learn()
        encoders.append(objective.keep()[0].state_dict())
        assert torch.equal(torch.get_rng_state(), before)  # leaves the caller's generator alone
    a, b, c = encoders
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["conv1.weight"], c["conv1.weight"])


def test_the_best_is_what_is_kept_and_drawn(felt_folder: Path) -> None:
    objective = Alignment(ImageDataset(felt_folder), quick())
    objective.learn()
    kept, _ = objective.keep()
    before = {name: value.clone() for name, value in kept.state_dict().items()}
    assert objective.judge() == objective.judge()  # the same held-out batches
    objective.learn()
    assert all(torch.equal(value, before[name]) for name, value in kept.state_dict().items())
    assert not torch.equal(objective.model.autoencoder.encoder.conv1.weight, kept.conv1.weight)


def test_features_that_tell_nothing_are_not_called_useful(felt_folder: Path, tmp_path: Path) -> None:
    """'number' has nothing to do with the images."""
    result = learned(felt_folder, tmp_path / "out", epochs=1, contrastive={"components": ["number"]})
    assert not result.useful


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"batch_size": 9},
            "a batch of 9 moments needs as many episodes to train on, and FOLDER has 8.*lower batch_size",
        ),
        ({"validation_fraction": 0.01}, "fewer than 2 episodes are held out"),
        ({"contrastive": {"components": ["vel"]}}, "does not tell 'vel'"),
        ({"learning_rate": 1e38}, "diverged in epoch 1"),
    ],
)
def test_what_cannot_be_is_refused(felt_folder: Path, tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(PoiseError, match=words.replace("FOLDER", ".*felt")):
        learned(felt_folder, tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_images_without_what_was_felt_are_refused(dataset_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PoiseError, match=r"not what they felt.*collect anew"):
        learned(dataset_folder, tmp_path / "out")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"contrastive": {"embedding": 8}}, "'contrastive' changes nothing of an autoencoder"),
        ({"objective": "contrastive", "contrastive": {"share": 0.3}}, "set objective to both"),
        ({"objective": "both", "contrastive": {"share": 1.0}}, "share must be less than 1"),
        ({"objective": "contrast"}, "objective"),
        ({"objective": "both", "contrastive": {"temperature": 0.001}}, "temperature must be at least 0.01"),
        ({"objective": "both", "contrastive": {"components": []}}, "components"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(PoiseError, match=words):
        parse(PretrainConfig, settings)


def test_one_camera_will_do(tmp_path: Path) -> None:
    writer = ImageDatasetWriter(tmp_path / "data", ("eye",), 8, 8, felt={"orientation": (1,), "still": (1,)})
    for episode in range(4):
        depth = np.random.default_rng(episode).random((5, 1, 1))
        felt = {"orientation": depth[:, 0], "still": np.ones((5, 1))}
        writer.write(episode, {"eye": np.broadcast_to(depth, (5, 8, 8))}, episode, "pid", felt)
    result = learned(tmp_path / "data", tmp_path / "out", epochs=1, validation_fraction=0.5, batch_size=2)
    assert result.candidates == 2
