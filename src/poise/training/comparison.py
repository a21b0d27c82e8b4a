"""Policies side by side on the same episodes: trained ones by their folder, baselines by their name."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from gymnasium.vector import VectorEnv
from rich import box
from rich.markup import escape
from rich.table import Table

from poise.config import apply_overrides, load_yaml
from poise.envs import BALLBOT_IDS
from poise.errors import InvalidValueError, MissingFileError, PoiseError, did_you_mean
from poise.files import explained, write_atomically
from poise.policies import Agent
from poise.policies.baselines import BASELINES
from poise.training.assembled import assemble
from poise.training.cloning_config import parse_run
from poise.training.config import RunConfig, TrainingConfig
from poise.training.environments import make_vector_env, most_side_by_side
from poise.training.evaluation import Evaluation, evaluate
from poise.training.progress import ProgressBar
from poise.training.trained import did_you_mean_run, is_run, load_trained

AgentFor = Callable[[VectorEnv[Any, Any, Any]], Agent]


@dataclass(frozen=True)
class Contender:
    """A policy and the environment it is measured in."""

    name: str
    agent_for: AgentFor
    config: TrainingConfig
    changes: Mapping[str, str] = field(default_factory=dict)
    """Settings of the environment, such as {"env.options.terrain.height": "0.2"}."""
    has_eyes: bool = True
    weights: str | None = None
    """Fingerprint of a trained policy."""

    @property
    def env_options(self) -> dict[str, Any]:
        """Of the evaluation: the training's, with those that the evaluation replaces, and what is to be otherwise."""
        options = self.config.env.options | self.config.evaluation.options
        changed: dict[str, Any] = apply_overrides({"env": {"options": options}}, self.changes)["env"]["options"]
        return changed

    @property
    def measured_options(self) -> dict[str, Any]:
        """The same, but without cameras for a ballbot policy that has no use for them, which takes half the time."""
        options = self.env_options
        cameras = options.get("cameras", {})
        if self.has_eyes or self.config.env.id not in BALLBOT_IDS or not isinstance(cameras, Mapping):
            return options
        return options | {"cameras": {**cameras, "enabled": False}}


def contender(name: str, config: Path | None = None, changes: Mapping[str, str] | None = None) -> Contender:
    """A baseline by its name, or else the trained policy in a folder.

    Args:
        name: one of `BASELINES`, the folder of a run or a checkpoint, or a configuration with `policy.mutex`.
        config: names the environment; by default a policy's own, and the data sheet's for a baseline.
        changes: settings of that environment, `env.options.…`, that are to be otherwise.

    Raises:
        MissingFileError, InvalidValueError: there is no such policy, or a change is no setting of the environment.
    """
    changes = dict(changes or {})
    other = [key for key in changes if not key.startswith("env.options.")]
    if other:
        raise InvalidValueError(f"unknown setting '{other[0]}'; what can be changed here begins with 'env.options.'")
    chosen = None if config is None else parse_run(load_yaml(config), str(config))
    if name in BASELINES:
        return Contender(name, BASELINES[name], chosen or RunConfig(), changes, has_eyes=False)
    if not Path(name).exists():
        hint = (
            ("" if os.sep in name else did_you_mean(name, BASELINES))
            or did_you_mean_run(Path(name))
            or f"; expected the folder of a run or a checkpoint, from here, or one of {', '.join(BASELINES)}"
        )
        raise MissingFileError(f"there is no policy '{name}'{hint}")
    if Path(name).suffix in (".yaml", ".yml"):
        assembled = assemble(_assembling(Path(name)))
        return Contender(Path(name).stem, assembled.agent_for, chosen or assembled.config, changes)
    trained = load_trained(Path(name))
    return Contender(name, trained.agent_for, chosen or trained.config, changes, weights=trained.fingerprint)


def _assembling(path: Path) -> RunConfig:
    """A configuration that puts finished policies together."""
    config = parse_run(load_yaml(path), str(path))
    if not isinstance(config, RunConfig) or config.policy.mutex is None:
        advice = f"name its run, {path.parent}"
        if not is_run(path.parent):
            advice = f"train it first (poise train {path}), or name a run, such as models/ballbot"
        raise InvalidValueError(
            f"{path} is a configuration and not a trained policy; {advice}: only configurations with policy.mutex can "
            "be measured or played as they are"
        )
    return config


def baselines_for(rival: Contender) -> list[Contender]:
    """The baselines that can act in the environment of another contender, in it."""
    others = [
        Contender(name, agent_for, rival.config, rival.changes, has_eyes=False)
        for name, agent_for in BASELINES.items()
        if name != rival.name
    ]
    return [other for other in others if _can_act(other)]


def _can_act(rival: Contender) -> bool:
    """Whether an agent can be made for its environment: found out now, and not when others have been measured."""
    env = make_vector_env(rival.config.env.id, 1, rival.measured_options, rival.config.threads)
    try:
        rival.agent_for(env)
    except InvalidValueError:
        return False
    finally:
        env.close()
    return True


def measure(rival: Contender, episodes: int, seed: int) -> Evaluation:
    """Evaluate on `episodes` seeds from `seed` on, under a progress bar of finished episodes.

    The bar comes with the first step: a policy that does not fit its environment is refused before.
    """
    config, options = rival.config, rival.measured_options
    torch.manual_seed(seed)  # the policy may draw, too: commands, for example
    bar, steps = ProgressBar(episodes, rival.name, unit="episodes"), 0
    with ExitStack() as shown:

        def show(finished: int) -> None:
            nonlocal steps
            if not steps:
                shown.enter_context(bar)
            steps += 1
            bar.update(finished, {"decision": steps})

        return evaluate(
            rival.agent_for,
            lambda count: make_vector_env(config.env.id, count, options, config.threads),
            episodes,
            seed,
            most_side_by_side(config.env.id),
            show,
        )


def comparison_table(evaluations: Mapping[str, Evaluation]) -> Table:
    """One row for each policy by its name: means with 95 % intervals; whole in a terminal of 80 columns."""
    summaries = {name: evaluation.summary() for name, evaluation in evaluations.items()}
    arrives = any(summary["distance"]["mean"] is not None for summary in summaries.values())
    columns = _ARRIVING if arrives else _TRAVELLING
    table = empty_table(evaluations, "policy", [heading for heading, _, _ in columns])
    for name, summary in summaries.items():
        rates = summary | {"success_rate": in_percent(summary["success_rate"])}
        table.add_row(escape(_short(name)), *(cell(rates[key], form) for _, key, form in columns))
    return table


_RETURNED = (("return", "return", "{:.1f}"), ("success, %", "success_rate", "{:.1f}"))
_TRAVELLING = (*_RETURNED, ("time steps", "length", "{:.0f}"), ("speed, m/s", "speed", "{:.3f}"))
_ARRIVING = (*_RETURNED, ("steps to success", "time_to_success", "{:.1f}"), ("distance, m", "distance", "{:.3f}"))
"""Headings, what of a summary is below them, and how it is written: where something is to get somewhere, or else."""


def empty_table(evaluations: Mapping[str, Evaluation], first: str, others: Sequence[str]) -> Table:
    """A table with these headings, whose title tells of the episodes; all were evaluated on the same."""
    evaluation = next(iter(evaluations.values()))
    count = len(evaluation.returns)
    seeds = f"{count} episodes on seeds {evaluation.seed} to {evaluation.seed + count - 1}"
    table = Table(title=f"{seeds}: means, 95 % intervals", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(first, overflow="fold")
    for heading in others:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def save_comparison(path: Path, rivals: Sequence[Contender], evaluations: Mapping[str, Evaluation]) -> None:
    """Write what was measured of each rival as JSON, with the environment it was measured in, that of the first."""
    weights = {rival.name: {"weights": rival.weights} for rival in rivals}
    content = {
        "environment": {"id": rivals[0].config.env.id, "options": rivals[0].env_options},
        "policies": {name: weights[name] | evaluation.to_json() for name, evaluation in evaluations.items()},
    }
    write_atomically(path, json.dumps(content, indent=1) + "\n")


def load_comparison(path: Path) -> dict[str, Any]:
    """What `save_comparison` wrote: an evaluation in its JSON form for each policy, by name.

    Raises:
        PoiseError: the file is missing or something else.
    """
    with explained(f"read {path}"):
        text = path.read_text(errors="replace")
    try:
        policies = json.loads(text)["policies"]
        return {name: dict(report.items()) for name, report in policies.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PoiseError(f"{path} is no evaluation; expected what 'poise evaluate --json FILE' writes") from error


def _short(name: str) -> str:
    """A folder's path from here, where that is shorter."""
    return min(name, os.path.relpath(name), key=len) if os.path.isabs(name) else name


def comparison_about(run: Path, path: Path) -> dict[str, Any]:
    """What `save_comparison` wrote of a run's policy, which comes first, and of its rivals.

    Raises:
        PoiseError: the file is missing or something else, or the run's policy is not in it.
    """
    policies = load_comparison(path)
    weights = load_trained(run).fingerprint
    own = {name: report for name, report in policies.items() if report.get("weights") == weights}
    if not own:
        raise InvalidValueError(
            f"{path} tells of {', '.join(policies)}, not of the policy that {run} holds now; make one with "
            f"'poise evaluate {run} --json FILE'"
        )
    return own | {name: report for name, report in policies.items() if name not in own}


def in_percent(share: Mapping[str, float]) -> dict[str, float]:
    """A mean and its interval."""
    return {name: 100.0 * value for name, value in share.items()}


def cell(interval: Mapping[str, float | None], form: str) -> str:
    """`85.4` over `84.9 to 85.9`; a dash for what the environment does not tell."""
    mean, low, high = interval["mean"], interval["low"], interval["high"]
    if mean is None:
        return "–"
    if low is None or high is None:  # a single episode says nothing of the spread
        return form.format(mean)
    return f"{form.format(mean)}\n[dim]{form.format(low)} to {form.format(high)}[/]"
