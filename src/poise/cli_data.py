"""Verbs of the command line that make data and encoders: nothing computed here."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from poise.cli_ends import EXIT_INTERRUPTED
from poise.cli_help import Parser, add_out, describe_settings
from poise.cli_learning import env_options
from poise.errors import InvalidValueError
from poise.files import check_destination

if TYPE_CHECKING:
    from poise.config import Config
    from poise.perception.pretrain import Epoch

Settings = TypeVar("Settings", bound="Config")


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
    add_out(parser, "DIR", Path("runs/images"), "folder for the images")


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
    add_out(parser, "DIR", Path("runs/encoder"), "folder for the encoder, its history and pictures")


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
    add_out(parser, "FILE", Path("runs/motion.safetensors"), "file for the reference motion")


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
    add_out(parser, "DIR", Path("runs/demos"), "folder for the demonstrations")
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
