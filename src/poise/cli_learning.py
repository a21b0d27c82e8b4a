"""Verbs of the command line that train policies and judge them: one thin function each, nothing computed here."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from poise.cli_ends import EXIT_INTERRUPTED
from poise.cli_help import Parser, describe_settings, positive, whole
from poise.files import check_destination
from poise.training.seeds import EVALUATION_SEED, PLAY_SEED, UNSEEN_PLAY_SEED

if TYPE_CHECKING:
    from poise.training.comparison import Contender
    from poise.training.loop import Loop

# --- train --------------------------------------------------------------------------------------------------------


def train_options(parser: Parser) -> None:
    parser.add_argument("config", metavar="CONFIG", type=Path, nargs="?", help="YAML file of the run")
    parser.add_argument("--out", metavar="DIR", type=Path, help="run folder (default: runs/<config>-<date>-<time>)")
    parser.add_argument("--resume", metavar="DIR", type=Path, help="go on with the run in this folder")


def train_settings() -> str:
    from poise.training.cloning_config import CloningRunConfig
    from poise.training.config import RunConfig

    imitates = "settings of a CONFIG that names demonstrations to learn from, and no rewards:"
    told = [
        describe_settings(RunConfig, title="settings, each replacing what CONFIG says (defaults in brackets):"),
        env_options("env.options: for poise/Ballbot-v0; other environments have their own"),
        describe_settings(CloningRunConfig, title=imitates),
    ]
    return "\n\n".join(dict.fromkeys("\n\n".join(told).split("\n\n")))  # what both have is told once


def env_options(ballbots: str) -> str:
    """Of ballbots, under a title, and of the push task."""
    from poise.envs import BallbotOptions
    from poise.envs.push import PushOptions

    return "\n\n".join(
        [
            describe_settings(BallbotOptions, "env.options.", ballbots),
            describe_settings(PushOptions, "env.options.", "env.options: for poise/Push-v0"),
        ]
    )


def train(options: argparse.Namespace) -> int:
    from poise.config import parse_cli_overrides
    from poise.training.callbacks import INTERRUPTED
    from poise.training.launch import closing_words, launch

    runner = launch(options.config, parse_cli_overrides(options.settings), options.out, options.resume)
    print(_opening_words(runner) if options.resume else f"training in {runner.folder}")
    reason = runner.train()
    print(_ending(runner))
    if reason == INTERRUPTED:
        print(f"go on with: poise train --resume {runner.folder}")
        return EXIT_INTERRUPTED
    print(*closing_words(runner.folder), sep="\n")
    return 0


def _opening_words(runner: Loop) -> str:
    where = f"at {runner.place}" if runner.step else "from its beginning: there was no checkpoint yet"
    return f"going on in {runner.folder} {where}"


def _ending(runner: Loop) -> str:
    """Why a training is over, and where."""
    total = runner.config.total_steps
    if runner.stop_reason is None and runner.config.last_step < total:
        return f"stopped at {runner.place} of {total:,}"
    return f"{runner.stop_reason or f'all {runner.unit} done'}, at {runner.place}"


# --- evaluate -----------------------------------------------------------------------------------------------------


def policy_options(parser: Parser) -> None:
    parser.add_argument("policy", metavar="POLICY", help="a run, a checkpoint, a baseline (see below), a mutex.yaml")
    parser.add_argument("--config", metavar="FILE", type=Path, help="take the environment from this run configuration")


def _chosen(options: argparse.Namespace) -> Contender:
    """The policy that is named, in the environment that is."""
    from poise.config import parse_cli_overrides
    from poise.training.comparison import contender

    return contender(options.policy, options.config, parse_cli_overrides(options.settings))


def rival_settings() -> str:
    from poise.policies.baselines import BASELINES

    return f"baselines: {', '.join(BASELINES)}\n\n{world_settings()}"


def world_settings() -> str:
    return env_options(
        "settings of a ballbot's environment, each replacing the policy's own (in brackets the data sheet's):"
    )


def evaluate_options(parser: Parser) -> None:
    policy_options(parser)
    parser.add_argument("--episodes", metavar="N", type=whole(1), default=100, help="how many (default: 100)")
    parser.add_argument(
        "--seed", metavar="S", type=whole(0), default=EVALUATION_SEED, help="of the first (default: %(default)s)"
    )
    beside = parser.add_mutually_exclusive_group()
    beside.add_argument(
        "--baselines",
        action="store_true",
        help="measure doing nothing, chance and what is scripted beside it, where they fit",
    )
    beside.add_argument(
        "--failures",
        action="store_true",
        help="measure it with cameras that are well, and with ones that are not",
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every episode's outcome to this file")


def evaluate(options: argparse.Namespace) -> None:
    from rich.console import Console

    from poise.training.comparison import baselines_for, comparison_table, measure, save_comparison
    from poise.training.failures import failing, failures_table

    check_destination(options.json)
    policy = _chosen(options)
    rivals = failing(policy) if options.failures else [policy]
    rivals += baselines_for(policy) if options.baselines else []
    results = {rival.name: measure(rival, options.episodes, options.seed) for rival in rivals}
    Console().print(failures_table(results, policy) if options.failures else comparison_table(results))
    if options.json is not None:
        save_comparison(options.json, rivals, results)


# --- inspect ------------------------------------------------------------------------------------------------------

_APART = ("modality", "component", "number")


def inspect_options(parser: Parser) -> None:
    parser.add_argument("run", metavar="RUN", type=Path, help="a run or a checkpoint")
    parser.add_argument(
        "--out", metavar="FILE.html", type=Path, help="page to write (default: inspect.html in the run folder)"
    )
    parser.add_argument(
        "--json", metavar="FILE", type=Path, help="file for the numbers (default: beside the page, by its name)"
    )
    parser.add_argument(
        "--by",
        choices=_APART,
        help="what to tell apart, two evaluations each (default: modalities, or, of a single one, its parts)",
    )
    parser.add_argument("--episodes", metavar="N", type=whole(1), default=20, help="of each evaluation (default: 20)")
    parser.add_argument(
        "--seed", metavar="S", type=whole(0), default=EVALUATION_SEED, help="of the first (default: %(default)s)"
    )


def inspect(options: argparse.Namespace) -> None:
    from poise.config import parse_cli_overrides
    from poise.inspection import check_inspectable, inspect_policy, write_findings
    from poise.inspection.page import lede
    from poise.training.comparison import contender
    from poise.training.pages import check_page
    from poise.training.trained import load_policy

    check_inspectable(options.run)
    trained = load_policy(options.run)
    out = options.out or trained.run / "inspect.html"
    numbers = options.json or out.with_suffix(".json")
    check_page(out)
    for path in (out, numbers):
        check_destination(path)
    world = contender(str(options.run), changes=parse_cli_overrides(options.settings))
    findings = inspect_policy(trained, world.env_options, options.episodes, options.seed, options.by)
    write_findings(findings, options.run, out, numbers, _inspected(options))
    print(lede(findings))
    print(f"page in {out}, numbers in {numbers}")


def _inspected(options: argparse.Namespace) -> str:
    """The command that finds the same."""
    words = ["poise", "inspect", str(options.run), "--episodes", str(options.episodes), "--seed", str(options.seed)]
    return shlex.join([*words, *(["--by", options.by] if options.by else []), *options.settings])


# --- play ---------------------------------------------------------------------------------------------------------


def play_options(parser: Parser) -> None:
    policy_options(parser)
    parser.add_argument("--out", metavar="FILE.mp4", type=Path, help="the video (default: <policy>.mp4 here)")
    parser.add_argument(
        "--episodes",
        metavar="N",
        type=whole(1),
        default=1,
        help="side by side, of what draws itself (default: 1)",
    )
    parser.add_argument("--seconds", metavar="S", type=positive, default=8.0, help="longest video (default: 8)")
    parser.add_argument(
        "--seed",
        metavar="S",
        type=whole(0),
        help=f"of the episode (default: {PLAY_SEED}, on which models/ballbot has its median return of seeds 0 to 99; "
        f"of what learned from demonstrations {UNSEEN_PLAY_SEED}, which is none of theirs)",
    )


def play(options: argparse.Namespace) -> None:
    import torch

    from poise.training.progress import ProgressBar
    from poise.training.side_by_side import record_side_by_side
    from poise.training.video import check_video, record_video

    out = options.out or Path(f"{Path(options.policy).resolve().name}.mp4")
    check_video(out)
    check_destination(out)
    rival = _chosen(options)
    seed = options.seed if options.seed is not None else _play_seed(rival)
    torch.manual_seed(seed)
    with ProgressBar(1, "play", unit="pictures") as bar:
        several = {"episodes": options.episodes} if options.episodes > 1 else {}
        filmed = (record_side_by_side if several else record_video)(
            rival.agent_for,
            rival.config.env.id,
            rival.env_options,
            out,
            seconds=options.seconds,
            seed=seed,
            on_frame=lambda done, total: bar.update(done, total_steps=total),
            **several,
        )
    print(f"video in {out}")
    last = seed + options.episodes - 1
    print(f"seeds {seed} to {last}: {filmed}" if several else f"seed {seed}: {filmed}")


def _play_seed(rival: Contender) -> int:
    """Of an episode to be filmed, which the policy did not learn from."""
    from poise.training.cloning_config import CloningRunConfig

    return UNSEEN_PLAY_SEED if isinstance(rival.config, CloningRunConfig) else PLAY_SEED
