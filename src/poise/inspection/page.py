"""The page of what was found inside a policy, for people who were not there."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

from poise.files import write_atomically
from poise.fusion.scales import MOST
from poise.inspection.explanations import ATTENTION, INSTEAD, NO_ATTENTION
from poise.inspection.findings import Findings, Silence
from poise.inspection.strip import episode_strip, palette, swatch
from poise.inspection.tables import cell, ranged, row, rows_table, share, written
from poise.training.markup import Html, tag
from poise.training.pages import as_typed, check_page, section, write_page
from poise.training.report_results import Report, table, tiles


def write_findings(findings: Findings, run: Path, out: Path, numbers: Path | None, again: str, title: str = "") -> None:
    """Write the page, and the numbers as JSON.

    Args:
        findings: what was found.
        run: the policy's folder, as it was named.
        out: the page, `.html`.
        numbers: file of the numbers; None for none.
        again: the command that does it again.
        title: heading; by default the folder's name.

    Raises:
        PoiseError: one of them cannot be written.
    """
    check_page(out)
    name = title or run.absolute().name
    sections = [
        _glance(findings),
        _episode(findings),
        _silences(findings),
        _sensed(findings),
        _features(findings),
        _again(findings, again),
    ]
    write_page(out, "a look inside", name, lede(findings), sections)
    if numbers is not None:
        content = {"policy": str(run), **findings.to_json()}
        write_atomically(numbers, json.dumps(content, indent=1, allow_nan=False) + "\n")


_FEW = 10
"""Episodes, below which intervals are wider than what is to be told apart."""


def lede(findings: Findings) -> str:
    """What is most worth knowing, in two sentences."""
    summary = findings.intact.summary()
    returned = summary["return"]["mean"]
    episodes = summary["episodes"]
    text = f"Over {episodes} episode{'s' if episodes > 1 else ''} it returns {_tenths(returned)}."
    if episodes < _FEW:
        text += " So few say little; ask for 20 or more (--episodes)."
    known = {name: value for name, value in findings.gradient.items() if math.isfinite(value)}
    if known:
        most = max(known, key=lambda name: known[name])
        text += f" Its actions follow '{most}' most: {100 * known[most]:.0f} % of the gradient."
    if findings.silences:
        worst = max(findings.silences, key=lambda each: each.lost)
        shown = worst.interval.low > 0.0 and math.isfinite(worst.interval.low)
        told = f"It loses most, {_tenths(worst.lost)}, when {INSTEAD[worst.instead].of(worst.name)}."
        text += f" {told}" if shown else " Nothing that was silenced is shown to cost it return."
    return text + _of_cameras(findings)


def _of_cameras(findings: Findings) -> str:
    """What its sight is worth, all cameras together."""
    name = " + ".join(findings.groups.cameras)
    lost = [each for each in findings.silences if each.name == name]
    told = [
        f"{_tenths(each.lost)} when {INSTEAD[each.instead].of('it' if number else 'what it sees')}"
        for number, each in enumerate(lost)
    ]
    return f" It loses {', '.join(told[:-1])}{' and ' if told[1:] else ''}{told[-1]}." if told else ""


def _tenths(value: float) -> str:
    return f"{round(value, 1) + 0.0:.1f}"


# --- sections -----------------------------------------------------------------------------------------------------


def _glance(findings: Findings) -> Html:
    kind = findings.groups.by
    text = (
        f"What each {kind} counts for, told in ways that need not agree: how far the actions follow it, and what is "
        "lost without it. A policy may follow closely what it could do without, and fall for lack of what it hardly "
        "follows."
    )
    silences = {(each.name, each.instead): each for each in findings.silences}
    kinds = [instead for instead in INSTEAD if any(each.instead == instead for each in findings.silences)]
    heads = ["share of the gradient", *(["share of the attention"] if findings.attention else [])]
    heads += [INSTEAD[instead].head for instead in kinds]
    lost = [each.lost for each in findings.silences]
    edges = [edge for each in findings.silences for edge in each.interval if math.isfinite(edge)]
    scale = min(0.0, *lost, *edges), max(0.0, *lost, *edges)
    colors = palette(findings.gradient)
    names = list(dict.fromkeys([*findings.groups.members, *(name for name, _ in silences)]))
    rows = []
    for name in names:
        cells = [share(heads[0], findings.gradient.get(name))]
        cells += [share(heads[1], findings.attention.get(name))] if findings.attention else []
        for instead in kinds:
            cells.append(_lost(INSTEAD[instead].head, silences.get((name, instead)), scale))
        rows.append(row(name, cells, swatch(colors[name]) if name in colors else None))
    looks = ATTENTION.get(findings.fusion or "", None) if findings.attention else None
    notes = [tag("p", _GRADIENT)]
    notes += [tag("p", f"Attention: {looks or 'what the fusion looks at'}.")] if findings.attention else []
    notes += [tag("p", _LOST)] if kinds else []
    return section("What counts", text, rows_table(kind.capitalize(), heads, rows), *notes)


_GRADIENT = (
    "Gradient: how far the actions would move, to first order, were the features of this one alone to vary as they do: "
    "the root of the summed squares of derivative × standard deviation, over all its features, all actions and all "
    "moments; as a share of the sum. What a policy remembers counts as given."
)
_LOST = (
    "Return lost: the mean over episodes of the return as it is less the return without, each pair on the same seed; "
    "in small print the mean with 95 % confidence. Where that spans zero, no loss has been shown."
)


def _lost(head: str, silence: Silence | None, scale: tuple[float, float]) -> Html:
    if silence is None:
        return cell(head, "–")
    return ranged(head, silence.lost, (silence.interval.low, silence.interval.high), scale)


def _silences(findings: Findings) -> Html:
    count = findings.intact.summary()["episodes"]
    seeds = f"seeds {findings.intact.seed} to {findings.intact.seed + count - 1}"
    text = (
        f"The same {count} episodes ({seeds}) again, with one thing silenced for all of each episode. The first row is "
        "the policy as it is."
    )
    measured: dict[str, Report] = {"as it is": findings.intact.to_json()}
    for each in findings.silences:
        measured[INSTEAD[each.instead].of(each.name)] = each.evaluation.to_json()
    told = {each.instead: tag("p", INSTEAD[each.instead].meaning) for each in findings.silences}
    return section(
        "What it does without", text, tiles(measured["as it is"]), table(measured, "What it is told"), *told.values()
    )


def _episode(findings: Findings) -> Html | None:
    moments = findings.record.moments
    if not moments:
        return None
    seconds = findings.step_seconds
    length = f"{len(moments) * seconds:.1f} s" if seconds else f"{len(moments)} decisions"
    text = f"The episode of seed {findings.intact.seed}, {length} long; each picture stands above its time."
    notes = [] if findings.attention else [tag("p", NO_ATTENTION)]
    return section("An episode from inside", text, *notes, episode_strip(findings), *_reconstructions(findings))


def _reconstructions(findings: Findings) -> Iterator[Html]:
    """What the pictures that are drawn again are, and how good: a paragraph for each way of drawing."""
    ways: dict[str, list[str]] = {}
    for camera, found in findings.reconstructions.items():
        how = (
            f"the best linear reconstruction from an image's {found.features:,} features, fitted to {found.images:,} "
            "images of the other episodes"
            if found.images
            else f"drawn from an image's {found.features:,} features by the decoder that the encoder was trained with"
        )
        error = f"{camera} {written(found.error)}, where the average image has {written(found.average_error)}"
        ways.setdefault(how, []).append(error)
    for how, errors in ways.items():
        text = f"Drawn again: {how}. Root mean square error over all pixels of this episode, of depths in metres: "
        yield tag("p", f"{text}{'; '.join(errors)}.")


def _sensed(findings: Findings) -> Html | None:
    if not findings.sensed:
        return None
    text = "Each component as the policy is given it, before it is normalised; images that are encoded as their codes."
    heads = ["numbers", "mean", "standard deviation", "least", "greatest", "at a limit", "away from training"]
    rows = []
    for name, each in findings.sensed.items():
        values = [f"{each.numbers:,}", *(written(value) for value in (each.mean, each.std, each.least, each.greatest))]
        values.append(f"{100 * each.at_limit:.0f} %")
        values.append("–" if each.shift is None else f"{each.shift:.2f} σ")
        rows.append(row(name, [cell(head, value) for head, value in zip(heads, values, strict=True)]))
    notes = [tag("p", _SENSED)]
    if findings.constants:
        shown = ", ".join(findings.constants[:20]) + (", …" if len(findings.constants) > 20 else "")
        notes.append(tag("p", f"These never changed, and so tell nothing here: {shown}."))
    return section("What it senses", text, rows_table("Component", heads, rows), *notes)


_SENSED = (
    "At a limit: the share of samples where a sensor is clipped, or a code is within 1 % of where it saturates. Away "
    "from training: how far the means are from those that the policy was trained on, in its training's standard "
    "deviations."
)


def _features(findings: Findings) -> Html:
    place = "enter the fusion" if findings.fusion and not findings.groups.apart else "meet"
    text = (
        f"The features as they {place}, normalised and encoded. Where one's are much larger than another's, the small "
        "one hardly counts while networks are new."
    )
    heads = ["numbers", "mean", "standard deviation", "root mean square", "never change", "always zero"]
    rows = []
    for name, each in findings.features.items():
        values = [f"{each.numbers:,}", *(f"{value:.3f}" for value in (each.mean, each.spread, each.rms))]
        values += [f"{100 * value:.0f} %" for value in (each.constant, each.dead)]
        rows.append(row(name, [cell(head, value) for head, value in zip(heads, values, strict=True)]))
    verdict = ""
    if findings.groups.by == "modality" and len(rows) > 1:
        verdict = "; ".join(str(each) for each in findings.dwarfed)
        verdict = f"Warning: {verdict}." if verdict else f"No modality's are {MOST:g} times as large as another's."
    note = [tag("p", verdict)] if verdict else []
    return section("Where modalities meet", text, rows_table("Features of", heads, rows), *note)


def _again(findings: Findings, again: str) -> Html:
    text = "The same seeds and machine give the same numbers. Another --by tells other things apart."
    return section("Do it again", text, as_typed(again))
