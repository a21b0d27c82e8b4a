import json
import pickle
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from poise.errors import PoiseError
from poise.files import aside
from poise.perception import (
    DepthEncoder,
    FrozenDepthEncoder,
    TinyAutoencoder,
    encoder_files,
    load_decoder,
    load_encoder,
    save_encoder,
)


@pytest.fixture
def folder(encoder: DepthEncoder, tmp_path: Path) -> Path:
    save_encoder(tmp_path / "encoder", encoder, {"validation_loss": 0.25})
    return tmp_path / "encoder"


def edit(folder: Path, **changes: object) -> None:
    path = folder / "encoder.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_round_trip_is_exact(encoder: DepthEncoder, folder: Path) -> None:
    loaded = load_encoder(folder)
    assert not loaded.training
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    images = torch.rand(3, 1, 64, 64)
    assert torch.equal(FrozenDepthEncoder.load(folder)(images), FrozenDepthEncoder(encoder)(images))
    assert encoder_files.read_description(folder)["metadata"] == {"validation_loss": 0.25}


def test_the_parent_folder_of_pretrain_works_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_encoder(folder.parent)
    monkeypatch.chdir(folder)
    load_encoder(".")


def test_parameter_sum_by_hand() -> None:
    encoder = DepthEncoder(4, 4, latent=1)
    for parameter in encoder.parameters():
        torch.nn.init.constant_(parameter, -0.5)
    assert encoder_files.parameter_sum(encoder) == 0.5 * (320 + 64 + 9248 + 64 + 33 + 2)


def test_the_sum_is_compared_relatively(folder: Path) -> None:
    total = json.loads((folder / "encoder.json").read_text())["parameter_sum"]
    edit(folder, parameter_sum=total * (1 + 1e-6))
    load_encoder(folder)
    edit(folder, parameter_sum=total * (1 + 1e-4))
    with pytest.raises(PoiseError, match="damaged"):
        load_encoder(folder)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architecture": "resnet"}, "resnet"),
        ({"latent": 16}, "does not fit"),
        ({"channels": 4}, "does not fit"),
        ({"height": 1 << 19, "width": 1 << 19, "latent": 1 << 19}, "does not fit"),  # without asking for the memory
        ({"height": "64"}, "height"),
        ({"height": 10**30}, "height"),
        ({"width": 63}, "multiple of 4"),
        ({"latent": None}, "latent"),
        ({"parameter_sum": None}, "damaged"),
        ({"parameter_sum": "many"}, "damaged"),
    ],
)
def test_descriptions_that_do_not_fit(folder: Path, changes: dict[str, object], words: str) -> None:
    edit(folder, **changes)
    with pytest.raises(PoiseError, match=words):
        load_encoder(folder)


@pytest.mark.parametrize("depth", ["1.0", True, -1, [1.0]])
def test_a_depth_that_is_none(encoder: DepthEncoder, tmp_path: Path, depth: object) -> None:
    save_encoder(tmp_path / "encoder", encoder, {"max_depth": depth})
    with pytest.raises(PoiseError, match="encoder.json is damaged: max_depth is"):
        FrozenDepthEncoder.load(tmp_path / "encoder")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_damaged_description(folder: Path, content: bytes) -> None:
    (folder / "encoder.json").write_bytes(content)
    with pytest.raises(PoiseError, match=r"encoder\.json"):
        load_encoder(folder)


def test_damaged_weights(folder: Path) -> None:
    path = folder / "encoder.safetensors"
    whole = path.read_bytes()
    bent = bytearray(whole)
    bent[-3] ^= 1  # too small a change for any check of values
    for content in (b"", whole[:-10], whole[:40], bytes(bent), pickle.dumps({"conv1.weight": 1})):
        path.write_bytes(content)
        with pytest.raises(PoiseError, match="damaged"):
            load_encoder(folder)


def test_weights_that_are_not_finite_or_not_these(encoder: DepthEncoder, tmp_path: Path) -> None:
    encoder.norm2.running_var.fill_(torch.nan)  # not a parameter, so not in the sum
    save_encoder(tmp_path / "nan", encoder)
    with pytest.raises(PoiseError, match=r"norm2\.running_var"):
        load_encoder(tmp_path / "nan")
    (tmp_path / "nan" / "encoder.safetensors").write_bytes(encoder_files.tensors_to_bytes({"w": torch.zeros(1)}))
    with pytest.raises(PoiseError, match="another architecture"):
        load_encoder(tmp_path / "nan")


def test_missing_and_pickled(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="poise pretrain"):
        load_encoder(tmp_path / "nowhere")
    (tmp_path / "model.pt").write_bytes(pickle.dumps(1))
    with pytest.raises(PoiseError, match="never opened"):
        load_encoder(tmp_path / "model.pt")
    (folder / "encoder.safetensors").unlink()
    with pytest.raises(PoiseError, match=r"encoder\.safetensors does not exist"):
        load_encoder(folder)


@pytest.mark.parametrize("step", ["rename", "replace"])
def test_an_interrupted_save_leaves_the_old_encoder(
    encoder: DepthEncoder, folder: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Whichever rename fails: the old encoder is what is found afterwards, and nothing else is left."""
    original, calls = getattr(Path, step), []

    def fails_late(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return original(self, target)

    monkeypatch.setattr(Path, step, fails_late)
    with pytest.raises(PoiseError, match="no space left"):
        save_encoder(folder, DepthEncoder())
    monkeypatch.undo()
    assert [path.name for path in folder.parent.iterdir()] == ["encoder"]
    assert torch.equal(load_encoder(folder).conv1.weight, encoder.conv1.weight)


def test_a_crash_between_the_renames_loses_nothing(encoder: DepthEncoder, folder: Path) -> None:
    folder.rename(aside(folder))
    assert torch.equal(load_encoder(folder).conv1.weight, encoder.conv1.weight)


# --- the decoder --------------------------------------------------------------------------------------------------


def test_a_decoder_comes_back_with_its_encoder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = TinyAutoencoder(8, 8, latent=3).eval()
    save_encoder(tmp_path / "kept", whole.encoder, decoder=whole.decoder)
    save_encoder(tmp_path / "alone", whole.encoder)
    decoder = load_decoder(tmp_path / "kept")
    assert decoder is not None
    images = torch.rand(4, 1, 8, 8)
    assert_close(decoder(load_encoder(tmp_path / "kept")(images)), whole(images), rtol=0, atol=0)
    assert load_decoder(tmp_path / "alone") is None
    assert sorted(path.name for path in (tmp_path / "alone").iterdir()) == ["encoder.json", "encoder.safetensors"]


def test_a_damaged_decoder_is_refused(tmp_path: Path) -> None:
    whole = TinyAutoencoder(8, 8, latent=3)
    save_encoder(tmp_path / "kept", whole.encoder, decoder=whole.decoder)
    path = tmp_path / "kept" / "decoder.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(PoiseError, match=r"decoder.safetensors is damaged: its content has changed"):
        load_decoder(tmp_path / "kept")
    path.write_bytes(b"nothing")
    with pytest.raises(PoiseError, match="damaged or no safetensors file"):
        load_decoder(tmp_path / "kept")
    save_encoder(tmp_path / "kept", DepthEncoder(8, 8, latent=2), decoder=whole.decoder)
    with pytest.raises(PoiseError, match="does not fit encoder.json"):
        load_decoder(tmp_path / "kept")
