"""What features hold of an image: what can be drawn again from them."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from poise.inspection.recording import Arrays, Record, Sight

_RIDGE = 1e-3
"""Of the features' mean variance, added to each variance."""
_FEWEST = 30
"""Images that a linear map is fitted to; fewer tell nothing."""

Draw = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""(B, n) features to (B, *shape) images."""


class Redrawn(NamedTuple):
    """A camera's images, drawn again from features.

    Attributes:
        features: numbers that each image became.
        images: that the map was fitted to; 0 for the decoder that the encoder was trained with.
        error: root mean square over all pixels of the shown robot's images, which are none of those; in their unit.
        average_error: the same of answering with the average image: what knowing nothing achieves.
        draw: does it.
    """

    features: int
    images: int
    error: float
    average_error: float
    draw: Draw


def redraw(record: Record, decoders: Mapping[str, Callable[[Tensor], Tensor]]) -> dict[str, Redrawn]:
    """How well each camera's images can be drawn again; of cameras that nobody encodes nothing.

    Args:
        record: of an evaluation.
        decoders: {camera: features to images} that were trained with the encoders; for others a linear map is fitted.
    """
    result = {}
    for camera in record.shown.items[0].codes if record.shown.items else ():
        others, unseen = _together(record.learned.items, camera), _together(record.shown.items, camera)
        if camera in decoders:
            draw = _decoding(decoders[camera])
        elif others is not None and len(others[0]) >= _FEWEST:
            draw = linear_map(*others)
        else:
            continue
        assert unseen is not None
        features, images = unseen
        known = images if others is None else others[1]
        result[camera] = Redrawn(
            features.shape[1],
            0 if camera in decoders or others is None else len(others[0]),
            _rmse(draw(features), images),
            _rmse(known.mean(axis=0, dtype=np.float64), images),
            draw,
        )
    return result


def linear_map(features: NDArray[np.float32], images: NDArray[np.float32]) -> Draw:
    """The linear map from features (B, n) to images (B, *shape) of least squared error (ridge regression).

    W = (Xᵀ X + λ B I)⁻¹ Xᵀ Y = Xᵀ (X Xᵀ + λ B I)⁻¹ Y      of centred features X and images Y
    """
    x, y = features.astype(np.float64), images.reshape(len(images), -1).astype(np.float64)
    x_mean, y_mean = x.mean(0), y.mean(0)
    x, y = x - x_mean, y - y_mean
    penalty = max(_RIDGE * float(x.var()), 1e-12) * len(x)
    few = x.shape[1] <= len(x)
    gram = x.T @ x if few else x @ x.T
    gram[np.diag_indices_from(gram)] += penalty
    weights = np.linalg.solve(gram, x.T @ y) if few else x.T @ np.linalg.solve(gram, y)

    def draw(given: NDArray[np.float32]) -> NDArray[np.float32]:
        drawn = (given - x_mean) @ weights + y_mean
        return drawn.reshape(len(given), *images.shape[1:]).astype(np.float32)

    return draw


def _decoding(decoder: Callable[[Tensor], Tensor]) -> Draw:
    def draw(given: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.no_grad():
            drawn: NDArray[np.float32] = decoder(torch.from_numpy(given)).numpy()
        return drawn

    return draw


def _together(sights: Sequence[Sight], camera: str) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """(B, n) features and (B, *shape) images of all; None where there are none."""
    if not sights:
        return None
    parts: list[tuple[Arrays, Arrays]] = [(sight.codes, sight.pictures) for sight in sights]
    return np.concatenate([codes[camera] for codes, _ in parts]), np.concatenate([seen[camera] for _, seen in parts])


def _rmse(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean((one.astype(np.float64) - other) ** 2)))
