"""Pictures of what an encoder has learned: images drawn again from its features, and bodies found by them."""

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


def save_alignment(path: Path, similarities: NDArray[np.float32], ranks: NDArray[np.int64]) -> None:
    """Write a PNG of how well images and bodies find each other.

    Args:
        path: of the file.
        similarities: (B, B) cosines of one batch's images (rows) and bodies (columns), partners on the diagonal.
        ranks: where images of all batches find their body among the B: 1 if it is the nearest.
    """
    candidates = len(similarities)
    figure = Figure(figsize=(11.5, 5.2), layout="constrained")
    matrix, places = figure.subplots(1, 2, width_ratios=[1.0, 1.15])
    shown = matrix.imshow(similarities, cmap="RdBu_r", vmin=-1.0, vmax=1.0, interpolation="nearest")
    matrix.set(xlabel="what was felt", ylabel="what was seen", xticks=[], yticks=[])
    matrix.set_title("One batch: red where they look alike; a pair of the same\nmoment is on the diagonal", fontsize=10)
    figure.colorbar(shown, ax=matrix, shrink=0.85, pad=0.02).set_label("cosine of their embeddings")
    counts = np.bincount(ranks, minlength=candidates + 1)[1:]
    places.bar(np.arange(1, candidates + 1), 100 * counts / len(ranks), color="tab:blue")
    places.axhline(100 / candidates, color="tab:red", linestyle="--", label=f"guessing: {100 / candidates:.0f} %")
    places.set(
        xlabel=f"place of the right body among {candidates}, 1 if it is the nearest", ylabel="share of images, %"
    )
    places.set_title(f"All batches: the right body comes first for {100 * counts[0] / len(ranks):.0f} %", fontsize=10)
    places.set_xlim(0.4, candidates + 0.6)
    places.set_xticks(np.unique(np.linspace(1, candidates, 8).astype(int)))
    places.legend(frameon=False)
    figure.suptitle(
        "Which robot took these images? Robots of episodes the encoder was not trained on, one moment of each;\n"
        "rows and columns are in an order in which neighbours feel alike.",
        fontsize=11,
    )
    write_atomically(path, _png(figure))


def _png(figure: Any) -> bytes:
    content = io.BytesIO()
    FigureCanvasAgg(figure).print_png(content)
    return content.getvalue()
