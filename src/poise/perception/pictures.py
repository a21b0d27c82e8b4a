"""A picture of what an autoencoder keeps: originals, reconstructions, and where they differ."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from poise.files import write_atomically

Images = NDArray[np.float32]


def save_reconstructions(path: Path, originals: Images, reconstructions: Images, latent: int, rmse: float) -> None:
    """Write a PNG with one column per image; both stacks (n, H, W), depth in [0, 1] m; `rmse` of all held out, m."""
    columns, (height, width) = len(originals), originals.shape[1:]
    figure = Figure(figsize=(1.35 * columns + 2.2, 6.0), layout="constrained")
    axes = figure.subplots(3, columns, squeeze=False)
    error = np.abs(originals - reconstructions)
    for row, (images, colours, limit) in enumerate(
        [(originals, "viridis_r", 1.0), (reconstructions, "viridis_r", 1.0), (error, "magma", 0.2)]
    ):
        for axis, image in zip(axes[row], images, strict=True):
            shown = axis.imshow(image, cmap=colours, vmin=0.0, vmax=limit, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
        bar = figure.colorbar(shown, ax=list(axes[row]), shrink=0.85, pad=0.01)
        bar.set_label(["depth, m", "depth, m", "error, m"][row])
    labels = ["what the\ncamera sees", f"drawn again\nfrom {latent}\nnumbers", "difference"]
    for axis, label in zip(axes[:, 0], labels, strict=True):
        axis.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=11)
    figure.suptitle(
        f"Each {height}x{width} depth image is squeezed into {latent} numbers and drawn again from them alone.\n"
        "Images from episodes the encoder was not trained on; yellow is near, dark is 1 m or farther. "
        f"Error of all held-out images: {1000 * rmse:.0f} mm (root mean square).",
        fontsize=11,
    )
    write_atomically(path, _png(figure))


def _png(figure: Any) -> bytes:
    content = io.BytesIO()
    FigureCanvasAgg(figure).print_png(content)
    return content.getvalue()
