"""Starting or continuing a training run from what was typed, and what to say when it is over."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from poise.config import apply_overrides, load_yaml
from poise.errors import InvalidValueError
from poise.training.callbacks import describe
from poise.training.cloning_config import AnyRunConfig, CloningRunConfig, parse_run
from poise.training.config import RunConfig
from poise.training.evaluation import read_evaluations
from poise.training.loop import Loop
from poise.training.runs import resume_run, start_run
from poise.training.settings import differences
from poise.training.trained import BEST, CONFIG, read_config


def configure(config: Path, overrides: Mapping[str, str]) -> AnyRunConfig:
    """The configuration in a file, with the command line's settings put in place of its own."""
    where = f"{config} with the command line's settings" if overrides else str(config)
    return parse_run(apply_overrides(load_yaml(config), overrides), where)


def launch(
    config: Path | None,
    overrides: Mapping[str, str],
    out: Path | None = None,
    resume: Path | None = None,
) -> Loop:
    """A run that is ready to train.

    Args:
        config: of a new run; may be named again when one is resumed, unchanged.
        overrides: settings by dotted key; of a resumed run's, only `stop_at` may be another.
        out: folder of a new run; by default one named after the configuration and the time, in `runs/`.
        resume: folder of a run to go on with.

    Raises:
        InvalidValueError: neither or too much was asked for.
    """
    if resume is None:
        if config is None:
            raise InvalidValueError("poise train needs a CONFIG, or '--resume DIR' to go on with a run")
        folder = out or Path("runs") / f"{config.stem}-{datetime.now():%Y%m%d-%H%M%S}"
        return start_run(configure(config, overrides), folder)
    if out is not None:
        raise InvalidValueError("'--resume' goes on in the run's own folder; leave '--out' away")
    running, named = read_config(resume), config or resume / CONFIG
    asked = configure(named, overrides)
    _check_unchanged(running, asked, named, resume)
    return resume_run(resume, config=running.model_copy(update={"stop_at": asked.stop_at}))


def closing_words(folder: Path) -> list[str]:
    """What a finished run has to show, and what can be done with it."""
    lines = []
    history = read_evaluations(folder)
    unit = "epoch" if isinstance(read_config(folder), CloningRunConfig) else "step"
    if history:
        lines.append(f"last evaluation, at {unit} {history[-1]['step']:,}: {describe(history[-1])}")
        lines += [f"best policy in {folder / BEST}"] if (folder / BEST).exists() else []
    lines.append(f"run in {folder}")
    if not read_config(folder).env.id:
        lines.append("it names no environment to act in; poise evaluate and poise play take one from '--config FILE'")
        return [*lines, f"next: poise report {folder}"]
    return [*lines, f"next: poise evaluate {folder}   |   poise play {folder}   |   poise report {folder}"]


def _check_unchanged(running: AnyRunConfig, asked: AnyRunConfig, config: Path, folder: Path) -> None:
    """A resumed run goes on as it was begun, bit for bit: other settings would make it another run.

    Where it stops is no part of what it does on the way there.
    """
    before, after = (each.model_dump(exclude={"stop_at"}) for each in (running, asked))
    different = sorted(each.name for each in differences(before, after))
    if different:
        may_begin_with_it = isinstance(running, RunConfig) and isinstance(asked, RunConfig)
        begun, given = (" from its policy", f" --initial_policy {folder}") if may_begin_with_it else ("", "")
        raise InvalidValueError(
            f"{folder} was begun with other settings of {', '.join(different[:5])}; resume it without settings, "
            f"or start another run{begun} with them: poise train {config}{given} --out DIR"
        )
