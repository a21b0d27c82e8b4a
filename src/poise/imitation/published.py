"""Weights that torchvision has published, into backbones of ours."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor
from torch.nn import functional

from poise.errors import InvalidValueError, PoiseError
from poise.files import read_bytes
from poise.imitation.backbones import Backbone, VitB16
from poise.nn.weights import first_difference

_COUNT = "num_batches_tracked"
"""What older files lack, and nothing needs whose statistics are fixed."""
_OLD_NAMES = {"mlp.linear_1.": "mlp.0.", "mlp.linear_2.": "mlp.3."}
"""Of a block's perceptron, as published files of ViT have them and torchvision itself renames when it reads them."""


def load_published(backbone: Backbone, path: Path) -> None:
    """Take torchvision's weights from a file, `.safetensors` or what `torch.save` wrote of a `state_dict`.

    A classifier's are left out; position embeddings of another grid are interpolated. Nothing is unpickled but tensors.

    Raises:
        InvalidValueError: they are of another architecture.
        PoiseError: the file is missing, or cannot be read.
    """
    state = _read(path)
    state = {key: value for key, value in state.items() if not key.startswith(("fc.", "heads."))}
    own = backbone.state_dict()
    state = _renamed(state) | {key: own[key] for key in own.keys() - state.keys() if key.endswith(_COUNT)}
    place = "encoder.pos_embedding"
    if isinstance(backbone, VitB16) and place in state:
        state[place] = _resized(state[place], backbone.grid)
    different = first_difference(state, backbone)
    if different is not None:
        raise InvalidValueError(
            f"{path} holds weights of another network than {type(backbone).__name__}, which differ in that "
            f"{different}; expected a state_dict of torchvision's model of that name"
        )
    backbone.load_state_dict(state)


def _renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """By the names of today."""
    renamed = {}
    for key, value in state.items():
        for old, new in _OLD_NAMES.items():
            key = key.replace(old, new)
        renamed[key] = value
    return renamed


def _read(path: Path) -> dict[str, Tensor]:
    if path.is_dir():
        raise InvalidValueError(f"{path} is a folder, expected a file of published weights")
    content = read_bytes(path, "a file of published weights")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load(content)
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch, zip and safetensors raise many kinds, and speak of what is no concern here
        raise PoiseError(f"{path} cannot be read as weights; expected .safetensors or a state_dict") from error
    pairs = state.items() if isinstance(state, dict) else [(None, state)]
    if not all(isinstance(key, str) and isinstance(value, Tensor) for key, value in pairs):
        raise PoiseError(f"{path} holds no weights; expected a state_dict, tensors by name")
    return state


def _resized(embedding: Tensor, grid: tuple[int, int]) -> Tensor:
    """(1, 1 + n n, width) to (1, 1 + h w, width), bicubic over places; the class token's stays."""
    token, places = embedding[:, :1], embedding[:, 1:]
    side = round(places.shape[1] ** 0.5)
    if side * side != places.shape[1] or grid == (side, side):
        return embedding
    image = places.transpose(1, 2).unflatten(2, (side, side))
    image = functional.interpolate(image, grid, mode="bicubic", align_corners=True)
    return torch.cat([token, image.flatten(2).transpose(1, 2)], dim=1)
