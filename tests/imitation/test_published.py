"""Weights that others have published: by their names of then and now, and files that are none."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from poise.errors import InvalidValueError, MissingFileError, PoiseError
from poise.imitation.backbones import ResNet18, SmallCnn, VitB16
from poise.imitation.published import load_published

SMALL = (32, 2, 4, 64)
"""Of a vision transformer: features, blocks, heads, hidden features."""


def _as_published(key: str) -> str:
    """By the name in resnet18-f37072fd.pth and vit_b_16-c867db91.pth."""
    return key.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2.")


@pytest.mark.parametrize("kind", ["resnet18", "vit"])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_published_weights_are_taken(tmp_path: Path, kind: str, suffix: str) -> None:
    torch.manual_seed(1)
    source = ResNet18(published=True) if kind == "resnet18" else VitB16(224, 224, size=SMALL)
    state = {**source.state_dict(), ("fc.weight" if kind == "resnet18" else "heads.head.weight"): torch.zeros(3, 3)}
    path = tmp_path / f"weights{suffix}"
    published = {_as_published(key): value for key, value in state.items() if "num_batches_tracked" not in key}
    save_file(published, path) if suffix == ".safetensors" else torch.save(published, path)
    torch.manual_seed(2)
    target = ResNet18(published=True) if kind == "resnet18" else VitB16(80, 112, size=SMALL)
    load_published(target, path)
    taken = target.state_dict()
    same = [key for key in taken if key != "encoder.pos_embedding"]
    assert all(torch.equal(taken[key], state[key]) for key in same)
    if kind == "vit":
        before, after = state["encoder.pos_embedding"], taken["encoder.pos_embedding"]
        assert after.shape == (1, 1 + 5 * 7, 32)
        corners = [before[0, 1 + place] for place in (0, 13, 14 * 13, 14 * 14 - 1)]
        found = [after[0, 1 + place] for place in (0, 6, 7 * 4, 7 * 5 - 1)]
        assert torch.stack(found) == pytest.approx(torch.stack(corners), abs=1e-6)  # corners stay corners
        assert torch.equal(before[0, 0], after[0, 0])


def test_weights_that_are_none_or_of_something_else(tmp_path: Path) -> None:
    network = ResNet18(published=True)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    (tmp_path / "text.pth").write_text("no weights")
    (tmp_path / "text.safetensors").write_text("no weights")
    (tmp_path / "folder.pth").mkdir()
    torch.save({"epoch": 3}, tmp_path / "other.pth")
    torch.save({0: torch.zeros(3)}, tmp_path / "numbered.pth")
    torch.save(torch.zeros(3), tmp_path / "tensor.pth")
    torch.save(SmallCnn().state_dict(), tmp_path / "cnn.pth")
    none = "holds no weights; expected a state_dict, tensors by name"
    for name, kind, said in (
        ("nothing.pth", MissingFileError, "does not exist; expected a file of published weights"),
        ("folder.pth", InvalidValueError, "is a folder, expected a file of published weights"),
        ("text.pth", PoiseError, "cannot be read as weights; expected .safetensors or a state_dict"),
        ("text.safetensors", PoiseError, "cannot be read as weights; expected .safetensors or a state_dict"),
        ("other.pth", PoiseError, none),
        ("numbered.pth", PoiseError, none),
        ("tensor.pth", PoiseError, none),
        ("cnn.pth", InvalidValueError, "holds weights of another network than ResNet18, which differ .*"),
    ):
        with pytest.raises(kind, match=rf"^{tmp_path / name} {said}$"):
            load_published(network, tmp_path / name)
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
