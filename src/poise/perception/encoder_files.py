"""A trained encoder on disk: a folder with `encoder.safetensors` (the weights) and `encoder.json` (what they are).

The decoder that it was trained with may lie beside it, in `decoder.safetensors`: no policy needs it, but it draws what
an encoder's features hold.

Nothing is unpickled. On loading, names, shapes, finiteness, the file's SHA-256 and the sum of |parameters| are checked;
the sum with a relative tolerance, because its last digits differ between devices.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor, nn

from poise.errors import InvalidValueError, MissingFileError, PoiseError
from poise.files import explained, read_bytes, replacing_folder, standing, write_atomically
from poise.perception.autoencoder import DepthDecoder, DepthEncoder, ImageSpec

ARCHITECTURE = "tiny_autoencoder"
WEIGHTS, DESCRIPTION, DECODER = "encoder.safetensors", "encoder.json", "decoder.safetensors"
SUM_TOLERANCE = 1e-5  # relative


def parameter_sum(encoder: DepthEncoder) -> float:
    """Sum of the absolute values of all parameters: the reference's `p_sum`, a fingerprint of the weights."""
    return math.fsum(float(parameter.detach().double().abs().sum()) for parameter in encoder.parameters())


def save_encoder(
    folder: Path | str,
    encoder: DepthEncoder,
    metadata: Mapping[str, Any] | None = None,
    decoder: DepthDecoder | None = None,
) -> None:
    """Write the encoder to `folder`, replacing one that is there; on any failure the old one stays.

    metadata: JSON values worth remembering, such as the validation loss. decoder: that it was trained with.
    """
    content = _content(encoder)
    description = {
        "architecture": ARCHITECTURE,
        **encoder.spec._asdict(),
        "parameter_sum": parameter_sum(encoder),
        "sha256": hashlib.sha256(content).hexdigest(),
        "metadata": dict(metadata or {}),
    }
    drawing = None if decoder is None else _content(decoder)
    if drawing is not None:
        description["decoder_sha256"] = hashlib.sha256(drawing).hexdigest()
    text = json.dumps(description, indent=1) + "\n"
    with explained(f"write {folder}"), replacing_folder(Path(folder)) as new:
        write_atomically(new / WEIGHTS, content)
        write_atomically(new / DESCRIPTION, text)
        if drawing is not None:
            write_atomically(new / DECODER, drawing)


def check_new_encoder(folder: Path) -> None:
    """Before long work for a new encoder: refuse a folder that holds one, or something else.

    Raises:
        InvalidValueError: it is a file or not empty.
    """
    if standing(folder / "encoder").exists() or (folder / DESCRIPTION).exists():
        raise InvalidValueError(f"{folder} already holds an encoder; choose another '--out'")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidValueError(f"{folder} is not an empty folder, and holds no encoder; choose another '--out'")


def load_encoder(folder: Path | str) -> DepthEncoder:
    """The encoder saved in `folder` (or in `folder/encoder`, where `pretrain` puts it), in eval mode, on the CPU."""
    folder = _locate(Path(folder))
    description = read_description(folder)
    with torch.device("meta"):  # shapes without memory, until the file is known to be that large
        expected = DepthEncoder(**_spec(description, folder)._asdict())
    content = read_bytes(folder / WEIGHTS, "the weights of a depth encoder")
    weights = _weights(content, expected, folder / WEIGHTS, description.get("sha256"))
    encoder = expected.to_empty(device="cpu")
    encoder.load_state_dict(weights)
    _check_sum(parameter_sum(encoder), description, folder)
    return encoder.eval()


def load_decoder(folder: Path | str) -> DepthDecoder | None:
    """The decoder beside the encoder saved in `folder`, in eval mode, on the CPU; None where none was kept.

    Raises:
        PoiseError: it is damaged.
    """
    folder = _locate(Path(folder))
    if not (folder / DECODER).exists():
        return None
    description = read_description(folder)
    with torch.device("meta"):
        expected = DepthDecoder(**_spec(description, folder)._asdict())
    content = read_bytes(folder / DECODER, "the weights of a depth decoder")
    weights = _weights(content, expected, folder / DECODER, description.get("decoder_sha256"))
    decoder = expected.to_empty(device="cpu")
    decoder.load_state_dict(weights)
    return decoder.eval().requires_grad_(False)


def read_description(folder: Path | str) -> dict[str, Any]:
    """`encoder.json` of a saved encoder, its architecture checked."""
    path = _locate(Path(folder)) / DESCRIPTION
    try:
        description = json.loads(read_bytes(path, "the description of a depth encoder"))
    except (ValueError, RecursionError) as error:
        raise PoiseError(f"{path} is damaged ({error}); run `poise pretrain` again") from error
    if not isinstance(description, dict):
        raise PoiseError(f"{path} is damaged: expected a mapping, found a {type(description).__name__}")
    if description.get("architecture") != ARCHITECTURE:
        raise PoiseError(
            f"{path} describes an encoder of architecture {description.get('architecture')!r}; "
            f"expected '{ARCHITECTURE}', as `poise pretrain` writes it"
        )
    return description


def read_max_depth(folder: Path | str) -> float | None:
    """Where the images that a saved encoder learned from were clipped, m; None if nobody knows."""
    metadata = read_description(folder).get("metadata")
    found = metadata.get("max_depth") if isinstance(metadata, dict) else None
    if found is not None and (not isinstance(found, int | float) or isinstance(found, bool) or not found > 0):
        raise PoiseError(
            f"{_locate(Path(folder)) / DESCRIPTION} is damaged: max_depth is {found!r}, expected a positive number"
        )
    return found


def _content(module: nn.Module) -> bytes:
    """Of the file that holds a module's weights."""
    return tensors_to_bytes({name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()})


def _weights(content: bytes, expected: nn.Module, path: Path, digest: Any) -> dict[str, Tensor]:
    """What a file holds, if it is what a module expects and what was written."""
    try:
        weights = tensors_from_bytes(content)
    except SafetensorError as error:
        raise PoiseError(
            f"{path} is damaged or no safetensors file ({error}); run `poise pretrain` again "
            "(pickled models are never opened)"
        ) from error
    _check_weights(weights, expected.state_dict(), path)
    if hashlib.sha256(content).hexdigest() != digest:
        raise PoiseError(f"{path} is damaged: its content has changed; run `poise pretrain` again")
    return weights


def _locate(folder: Path) -> Path:
    folder = folder.absolute()
    if folder.is_file():
        raise InvalidValueError(
            f"{folder} is a file; expected a folder with {WEIGHTS} and {DESCRIPTION} (pickled models are never opened)"
        )
    outer, inner = standing(folder), standing(folder / "encoder")
    if not outer.exists():
        raise MissingFileError(f"there is no encoder {folder}; expected a folder written by `poise pretrain`")
    return inner if inner.is_dir() and not (outer / DESCRIPTION).exists() else outer


def _spec(description: Mapping[str, Any], folder: Path) -> ImageSpec:
    values = {name: description.get(name) for name in ImageSpec._fields}
    for name, value in values.items():
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= 1 << 20:
            raise PoiseError(
                f"{folder / DESCRIPTION} is damaged: {name} is {value!r}, expected a positive whole number"
            )
    return ImageSpec(**{name: int(value) for name, value in values.items() if value is not None}).checked()


def _check_weights(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path) -> None:
    missing, unknown = sorted(expected.keys() - weights.keys()), sorted(weights.keys() - expected.keys())
    if missing or unknown:
        raise PoiseError(
            f"{path} holds the weights of another architecture: missing {missing or 'none'}, "
            f"unknown {unknown or 'none'}"
        )
    for name, tensor in weights.items():
        if tensor.shape != expected[name].shape or tensor.dtype != expected[name].dtype:
            raise PoiseError(
                f"{path} does not fit {DESCRIPTION}: {name} is {tuple(tensor.shape)} {tensor.dtype}, "
                f"expected {tuple(expected[name].shape)} {expected[name].dtype}"
            )
        if not tensor.isfinite().all():
            raise PoiseError(f"{path} is damaged: {name} holds numbers that are not finite")


def _check_sum(found: float, description: Mapping[str, Any], folder: Path) -> None:
    saved = description.get("parameter_sum")
    if not isinstance(saved, float) or not math.isclose(found, saved, rel_tol=SUM_TOLERANCE):
        raise PoiseError(
            f"the encoder {folder} is damaged: its parameters sum to {found:.6g}, {DESCRIPTION} says {saved}; "
            "run `poise pretrain` again"
        )
