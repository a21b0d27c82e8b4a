"""Verbs of the command line that make data, encoders and pages, and the demo: nothing computed here."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from poise.cli_ends import EXIT_INTERRUPTED
from poise.cli_help import Parser, describe_settings
from poise.cli_learning import env_options
from poise.errors import InvalidValueError
from poise.files import check_destination
from poise.shell import typed

if TYPE_CHECKING:
    from poise.config import Config
    from poise.perception.pretrain import Epoch

Settings = TypeVar("Settings", bound="Config")

DEMO_OUT, DEMO_CONFIG = Path("runs/demo"), Path("configs/ballbot/navigate.yaml")


def _add_out(parser: Parser, kind: str, default: Path, meaning: str) -> None:
    """`--out`, a DIR or a FILE."""
    parser.add_argument(
        "--out", metavar=kind, type=Path, default=default, help=f"{meaning} (default: {default.as_posix()})"
    )


def _configured(model: type[Settings], overrides: Mapping[str, str], verb: str) -> Settings:
    """What a command line alone says, the rest by default."""
    from poise.config import apply_overrides, parse

    return parse(model, apply_overrides({}, overrides), verb)


def _environments_and_own(settings: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Settings of the environment, `env.…`, and those of the verb."""
    from poise.config import parse_cli_overrides

    overrides = parse_cli_overrides(settings)
    of_env = {key: value for key, value in overrides.items() if key.startswith("env.")}
    return of_env, {key: value for key, value in overrides.items() if key not in of_env}


# --- collect, pretrain --------------------------------------------------------------------------------------------


def collect_options(parser: Parser) -> None:
    _add_out(parser, "DIR", Path("runs/images"), "folder for the images")


def collect_settings() -> str:
    from poise.training.collection import CollectConfig

    return describe_settings(CollectConfig)


def collect(options: argparse.Namespace) -> None:
    from poise.config import parse_cli_overrides
    from poise.training.collection import CollectConfig, collect
    from poise.training.progress import ProgressBar

    config = _configured(CollectConfig, parse_cli_overrides(options.settings), "poise collect")
    with ProgressBar(config.episodes, "collect", unit="episodes") as bar:
        collected = collect(config, options.out, progress=bar.update)
    before = f", {collected.skipped:,} of them from before" if collected.skipped else ""
    print(f"{collected.images:,} depth images of {collected.episodes:,} episodes in {options.out}{before}")
    print(f"next: poise pretrain {options.out}")


def pretrain_options(parser: Parser) -> None:
    parser.add_argument("dataset", metavar="DATASET", type=Path, help="folder written by 'poise collect'")
    _add_out(parser, "DIR", Path("runs/encoder"), "folder for the encoder, its history and pictures")


def pretrain_settings() -> str:
    from poise.perception import PretrainConfig

    return describe_settings(PretrainConfig)


def pretrain(options: argparse.Namespace) -> int:
    from poise.config import parse_cli_overrides
    from poise.perception import ImageDataset, PretrainConfig, check_new_encoder, pretrain

    config = _configured(PretrainConfig, parse_cli_overrides(options.settings), "poise pretrain")
    check_new_encoder(options.out)
    dataset = ImageDataset(options.dataset)

    result = pretrain(
        dataset,
        config,
        options.out,
        lambda epoch: print(f"epoch {epoch.epoch}: {_told(epoch)}", flush=True),
    )
    print(
        f"best encoder, of epoch {result.best.epoch}, in {options.out / 'encoder'}; pictures of what it keeps beside it"
    )
    if config.objective == "autoencoder":
        guessing = f"always guessing the average image: {_millimetres(result.uninformed_loss)}"
        print(f"its error: {_millimetres(result.best.validation_loss)}; {guessing}")
    else:
        among = f"among {result.candidates} held-out moments of different episodes"
        print(f"{among}, {_told(result.best)}; guessing: {100 / (result.candidates or 1):.0f} %")
    if not result.useful:
        print("warning: this encoder tells nothing about an image, so train no policy with it", file=sys.stderr)
    if result.interrupted:
        print(f"interrupted, after epoch {len(result.history)} of {config.epochs}")
        return EXIT_INTERRUPTED
    if result.useful:
        print(f"next: poise train configs/ballbot/navigate.yaml --policy.encoder {options.out / 'encoder'}")
        return 0
    twice = 2 * len(dataset.episodes)
    print(f"next: more images, with settings as before: poise collect --out {options.dataset} --episodes {twice}")
    print(f"then, or with more epochs: poise pretrain {options.dataset} --out DIR --epochs {2 * config.epochs}")
    return 0


def _told(epoch: Epoch) -> str:
    """What an epoch has come to."""
    parts = []
    if epoch.accuracy is not None:
        parts.append(f"the right body is found for {100 * epoch.accuracy:.0f} %, temperature {epoch.temperature:.3f}")
    loss = epoch.validation_loss if epoch.accuracy is None else epoch.reconstruction_loss
    if loss is not None:
        parts.append(f"held-out error {_millimetres(loss)}")
    return "; ".join(parts)


def _millimetres(loss: float) -> str:
    return f"{loss**0.5 * 1000:.1f} mm"


# --- motion -------------------------------------------------------------------------------------------------------


def motion_options(parser: Parser) -> None:
    parser.add_argument("config", metavar="CONFIG", type=Path, help="run configuration whose environment is used")
    _add_out(parser, "FILE", Path("runs/motion.safetensors"), "file for the reference motion")


def motion_settings() -> str:
    from poise.training.motion import MotionConfig

    return describe_settings(MotionConfig)


def motion(options: argparse.Namespace) -> None:
    from poise.config import apply_overrides, load_yaml, parse
    from poise.training.config import EnvConfig
    from poise.training.motion import MotionConfig, record_motion
    from poise.training.progress import ProgressBar

    of_env, own = _environments_and_own(options.settings)
    config = _configured(MotionConfig, own, "poise motion")
    there = apply_overrides(load_yaml(options.config), of_env)
    env = parse(EnvConfig, there.get("env", {}), f"{options.config}: env")
    check_destination(options.out, makes_folder=True)
    if options.out.exists():
        raise InvalidValueError(f"{options.out} exists already; remove it, or name another '--out'")
    with ProgressBar(config.episodes, "motion", unit="episodes") as bar:
        motion = record_motion(config, env, bar.update)
    motion.save(options.out)
    print(f"{len(motion.starts):,} moments of {config.episodes} episodes in {options.out}")
    discriminates = (there.get("policy") or {}).get("amp_discriminator") is not None
    settings = f"--algorithm.name amp --algorithm.motion {options.out}"
    settings += (
        "" if discriminates else " --policy.amp_discriminator.observations '[orientation, angular_vel, vel, goal]'"
    )
    print(f"next: poise train {options.config} {settings}")


# --- demos --------------------------------------------------------------------------------------------------------


def demos_options(parser: Parser) -> None:
    parser.add_argument("config", metavar="CONFIG", type=Path, help="run configuration whose environment is used")
    _add_out(parser, "DIR", Path("runs/demos"), "folder for the demonstrations")
    parser.add_argument(
        "--expert", metavar="NAME", default="expert", help="a run, or 'expert', 'pid', 'lqr' (default: %(default)s)"
    )


def demos_settings() -> str:
    from poise.training.demos import DemosConfig

    ballbots = "env.options, each replacing what CONFIG says: for poise/Ballbot-v0; other environments have their own"
    return f"{describe_settings(DemosConfig)}\n\n{env_options(ballbots)}"


def demos(options: argparse.Namespace) -> int:
    from poise.training.comparison import contender
    from poise.training.demos import DemosConfig, demonstrate, kept_in
    from poise.training.progress import ProgressBar

    of_env, own = _environments_and_own(options.settings)
    config = _configured(DemosConfig, own, "poise demos")
    expert = contender(options.expert, options.config, of_env)
    try:
        with ExitStack() as shown:
            bar: ProgressBar | None = None

            def show(kept: int) -> None:
                nonlocal bar
                if bar is None:  # nobody is refused any more, and it is known what is there
                    total = max(config.episodes, kept)
                    bar = shown.enter_context(ProgressBar(total, "demos", kept, unit="demonstrations"))
                bar.update(kept)

            made = demonstrate(config, expert, options.out, progress=show)
    except KeyboardInterrupt:
        print(f"{kept_in(options.out):,} demonstrations are kept in {options.out}; the same command goes on")
        raise
    print(f"{made.episodes:,} demonstrations of {made.frames:,} decisions in {options.out}")
    failed = made.tried - made.episodes
    print(f"{failed:,} of {made.tried:,} tries failed; {made.redrawn:,} starts were solved already, and drawn again")
    return 0


# --- plot, report, info, demo -------------------------------------------------------------------------------------


def plot_options(parser: Parser) -> None:
    parser.add_argument("runs", metavar="RUN", type=Path, nargs="+", help="run folders to compare")
    _add_out(parser, "FILE", Path("curves.png"), "picture, as png, svg or pdf")


def plot(options: argparse.Namespace) -> None:
    from poise.training.plots import plot_runs

    check_destination(options.out)
    plot_runs(options.runs, options.out)
    print(f"curves in {options.out}")


def report_options(parser: Parser) -> None:
    parser.add_argument("run", metavar="RUN", type=Path, help="run folder")
    parser.add_argument("--evaluation", metavar="FILE", type=Path, help="show what 'poise evaluate --json' wrote")
    parser.add_argument(
        "--out", metavar="FILE.html", type=Path, help="page to write (default: report.html in the run folder)"
    )
    parser.add_argument("--video", metavar="FILE.mp4", type=Path, help="show what 'poise play' filmed")


def report(options: argparse.Namespace) -> None:
    from poise.training.comparison import comparison_about
    from poise.training.report import write_report
    from poise.training.report_missing import missing_parts
    from poise.training.trained import read_config

    out = options.out or options.run / "report.html"
    read_config(options.run)  # or say that it is no run
    check_destination(out)
    file = options.evaluation
    measured = None if file is None else comparison_about(options.run, file)
    write_report(options.run, out, measured, options.video)
    print(f"report in {out}")
    missing = missing_parts(options.run, measured, options.video, out)
    if missing.names:
        print(f"without {', '.join(missing.names)}")
    if missing.commands:
        print("what can be added is added by:", *typed(*missing.commands), sep="\n  ")


def no_options(parser: Parser) -> None:
    """Nothing can be chosen."""


def info(options: argparse.Namespace) -> None:
    from poise.training.info import describe_installation

    for name, value in describe_installation().items():
        print(f"{name:<16} {value}")


def demo_options(parser: Parser) -> None:
    _add_out(parser, "DIR", DEMO_OUT, "folder for everything it makes")
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        default=DEMO_CONFIG,
        help="run configuration, trained for 800,000 steps at most (default: configs/ballbot/navigate.yaml)",
    )


def demo(options: argparse.Namespace) -> None:
    from poise.training.demo import run_demo

    try:
        run_demo(options.out, options.config)
    except KeyboardInterrupt:
        print("go on with:", *typed(_demo_again(options)), sep="\n  ")
        raise


def _demo_again(options: argparse.Namespace) -> str:
    """The command that goes on with a demo."""
    chosen = [("--out", options.out, DEMO_OUT), ("--config", options.config, DEMO_CONFIG)]
    words = [f" {flag} {shlex.quote(str(value))}" for flag, value, default in chosen if value != default]
    return f"poise demo{''.join(words)}"
