"""An episode from inside: what the cameras see at some moments, what is drawn again of it, and what counts."""

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.image import imsave
from numpy.typing import NDArray

from poise.inspection.findings import Findings, attention_over_time, gradient_over_time
from poise.inspection.recording import Sight
from poise.nn import has_channels_last
from poise.training.markup import Html, data_uri, tag
from poise.training.plots import PALETTE, STYLE, inline_svg

MOMENTS = 8
"""Columns of the strip; each picture is of the middle of its part of the episode."""
_REST = len(PALETTE) - 1
"""The colour of all that is left over."""
_LOOKED = np.array([1.0, 0.45, 0.0])
"""Colour of what is looked at."""

Picture = NDArray[np.float32]


def episode_strip(findings: Findings) -> Html:
    """Rows of pictures, one for each moment, above curves on the same axis of time."""
    decisions = len(findings.record.moments)
    middles = [(k + 0.5) / MOMENTS * decisions for k in range(MOMENTS)]
    rows = [*_pictures(findings, middles)]
    attention = attention_over_time(findings.record)
    if attention:
        rows += _curves("What the fusion looks at", "share of the attention", attention, findings, middles, "attention")
    shares = gradient_over_time(findings.record, findings.groups)
    rows += _curves("What moves the actions", "share of the gradient", shares, findings, middles, "gradient")
    return tag(
        "div", tag("div", *rows), class_="strip", tabindex="0", role="group", aria_label="An episode from inside"
    )


# --- pictures -----------------------------------------------------------------------------------------------------


def _pictures(findings: Findings, middles: Sequence[float]) -> Iterator[Html]:
    seen = findings.record.shown.items
    if not seen:
        return
    chosen = [min(seen, key=lambda sight: abs(sight.decision - middle)) for middle in middles]
    for camera in seen[0].pictures:
        pictures = [as_picture(sight.pictures[camera][0]) for sight in chosen]
        greatest = max(float(picture.max()) for picture in pictures) or 1.0
        yield tag("h3", camera, " ", tag("small", _scale_of(pictures[0], greatest)))
        yield _row([_png(picture, greatest) for picture in pictures], f"what {camera} sees")
        if camera in findings.reconstructions:
            drawn = findings.reconstructions[camera].draw(np.stack([sight.codes[camera][0] for sight in chosen]))
            again = [_png(as_picture(image), greatest) for image in drawn]
            yield tag("h3", tag("small", f"drawn again from {_of(findings, camera)}"))
            yield _row(again, f"what can be drawn again of what {camera} sees")
        looks = _looks(findings, camera, chosen)
        if looks:
            pairs = zip(pictures, looks, strict=True)
            shown = [_png(overlaid(picture / greatest, look), 1.0) for picture, look in pairs]
            yield tag("h3", tag("small", "where the fusion looks more than elsewhere, in orange"))
            yield _row(shown, f"where in {camera} the fusion looks")


def _scale_of(picture: Picture, greatest: float) -> str:
    return "" if picture.ndim == 3 else f"from 0, yellow, to {greatest:.2g}, dark"


def _of(findings: Findings, camera: str) -> str:
    found = findings.reconstructions[camera]
    how = "by the decoder it was trained with" if not found.images else "linearly"
    return f"its {found.features:,} features, {how}"


def _looks(findings: Findings, camera: str, chosen: Sequence[Sight]) -> list[NDArray[np.float32]]:
    """(rows, columns) of the attention at each moment; none where an image is not many tokens."""
    grid = findings.grids.get(camera)
    if grid is None or camera not in chosen[0].weights:
        return []
    return [sight.weights[camera][0].reshape(grid) for sight in chosen]


def as_picture(image: Picture) -> Picture:
    """(C, H, W) or (H, W, C) to (H, W) of one channel, or (H, W, 3) of the first three."""
    if image.ndim == 2:
        return image
    last = image if has_channels_last(image.shape) else np.moveaxis(image, 0, -1)
    return last[..., :3] if last.shape[-1] >= 3 else last[..., 0]


def overlaid(picture: Picture, look: NDArray[np.float32]) -> Picture:
    """A picture in grey, near bright, with what is looked at more than the rest in colour, (H, W, 3)."""
    height, width = picture.shape[:2]
    rows = np.arange(height) * look.shape[0] // height
    columns = np.arange(width) * look.shape[1] // width
    relative = (look - look.min()) / max(float(look.max()), 1e-12)
    strength = relative[np.ix_(rows, columns)][..., None] * 0.75
    grey = picture.mean(axis=-1) if picture.ndim == 3 else 1.0 - np.clip(picture, 0.0, 1.0)
    mixed: Picture = (grey[..., None] * (1.0 - strength) + _LOOKED * strength).astype(np.float32)
    return mixed


def _row(addresses: Sequence[str], alternative: str) -> Html:
    images = [tag("img", src=address, alt=f"{alternative}, moment {k}") for k, address in enumerate(addresses, 1)]
    return tag("div", *images, class_="frames")


def _png(picture: Picture, greatest: float) -> str:
    """The address of a picture: depth from yellow, near, to dark, far; colours as they are."""
    content, options = io.BytesIO(), dict[str, Any](format="png")
    if picture.ndim == 2:
        imsave(content, picture, cmap="viridis_r", vmin=0.0, vmax=greatest, **options)
    else:
        imsave(content, np.clip(picture / max(greatest, 1.0), 0.0, 1.0), **options)
    return data_uri("image/png", content.getvalue())


# --- curves -------------------------------------------------------------------------------------------------------


def _curves(
    title: str,
    unit: str,
    shares: Mapping[str, NDArray[np.float64]],
    findings: Findings,
    middles: Sequence[float],
    prefix: str,
) -> list[Html]:
    colors = palette(findings.gradient)
    if not shares.keys() <= colors.keys():
        colors = palette({name: float(np.nan_to_num(values).mean()) for name, values in shares.items()})
    series = _drawn(shares, colors)
    legend = [tag("li", swatch(color), name) for name, (color, _) in series.items()]
    chart = Html(inline_svg(_stacked(series, findings, middles), f"{title}, over time", prefix))
    return [tag("h3", title, " ", tag("small", unit)), tag("ul", *legend, class_="legend"), chart]


def palette(means: Mapping[str, float]) -> dict[str, int]:
    """Which of the page's colours each of some groups has; the last one all that are left when there are too many."""
    if len(means) <= _REST:
        return {name: index for index, name in enumerate(means)}
    largest = sorted(means, key=lambda name: -means[name])[:_REST]
    order = [name for name in means if name in largest]
    return {name: order.index(name) if name in order else _REST for name in means}


def swatch(color: int) -> Html:
    """A small square of one of the page's colours."""
    return tag("span", class_="swatch", style=f"background:var(--c{color})")


def _drawn(
    shares: Mapping[str, NDArray[np.float64]], colors: Mapping[str, int]
) -> dict[str, tuple[int, NDArray[np.float64]]]:
    """A colour and values (T,) by name; what is left over, which is least, as one."""
    series = {name: (colors[name], np.nan_to_num(values)) for name, values in shares.items() if colors[name] < _REST}
    left = [np.nan_to_num(values) for name, values in shares.items() if colors[name] == _REST]
    return series | ({"the rest": (_REST, np.sum(left, axis=0))} if left else {})


def _stacked(
    series: Mapping[str, tuple[int, NDArray[np.float64]]], findings: Findings, middles: Sequence[float]
) -> Figure:
    """As wide as the strip, so that its time is that of the pictures above."""
    values = np.array([each for _, each in series.values()])
    count = values.shape[1]
    with style.context(STYLE):
        figure = Figure(figsize=(11.0, 1.75))
        axes = figure.add_axes((0.0, 0.17, 1.0, 0.81))
        lasting = np.concatenate([values, values[:, -1:]], axis=1)
        colors = [PALETTE[color] for color, _ in series.values()]
        axes.stackplot(np.arange(count + 1), lasting, colors=colors, step="post", linewidth=0, alpha=0.9)
        axes.set_xlim(0, max(count, 1))
        axes.set_ylim(0, 1)
        axes.set_yticks([0.25, 0.5, 0.75], ["", "", ""])
        axes.set_axisbelow(False)
        axes.grid(axis="x", visible=False)
        for edge in range(1, MOMENTS):
            axes.axvline(edge * count / MOMENTS, color="#e4e7eb", lw=0.8)
        axes.set_xticks(list(middles), [_time(middle, findings.step_seconds, count) for middle in middles])
        for spine in axes.spines.values():
            spine.set_visible(False)
    return figure


def _time(decision: float, step: float | None, last: int) -> str:
    """A moment in an episode of so many decisions."""
    if step is None:
        return f"decision {math.floor(decision)}"
    return f"{math.floor(decision) * step:.{1 if last * step >= 4.0 else 2}f} s"
