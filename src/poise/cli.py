"""The `poise` command: one thin function per verb, nothing computed here."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from poise import __version__
from poise.cli_ends import EXIT_INTERRUPTED, exit_code
from poise.cli_help import Parser, describe_settings, epilog, overview, positive, whole
from poise.errors import InvalidValueError, did_you_mean
from poise.files import check_destination
from poise.training.seeds import EVALUATION_SEED

# Everything else is imported by the verb that needs it: torch and MuJoCo take seconds, `poise --help` must not.


class Verb(NamedTuple):
    """A word after `poise`.

    `run` may return an exit code; `settings` describes the `--key value` pairs accepted beside the verb's own options.
    """

    run: Callable[[argparse.Namespace], int | None]
    add_options: Callable[[Parser], None]
    summary: str
    examples: str = ""
    settings: Callable[[], str] | None = None


# --- train --------------------------------------------------------------------------------------------------------


def _train_options(parser: Parser) -> None:
    parser.add_argument("config", metavar="CONFIG", type=Path, nargs="?", help="YAML file of the run")
    parser.add_argument("--out", metavar="DIR", type=Path, help="run folder (default: runs/<config>-<date>-<time>)")
    parser.add_argument("--resume", metavar="DIR", type=Path, help="go on with the run in this folder")


def _train_settings() -> str:
    from poise.envs import BallbotOptions
    from poise.training.config import RunConfig

    ballbot = "env.options: for poise/Ballbot-v0; other environments have their own"
    return "\n\n".join(
        [
            describe_settings(RunConfig, title="settings, each replacing what CONFIG says (defaults in brackets):"),
            describe_settings(BallbotOptions, "env.options.", ballbot),
        ]
    )


def _train(options: argparse.Namespace) -> int:
    from poise.config import parse_cli_overrides
    from poise.training.launch import closing_words, launch

    runner = launch(options.config, parse_cli_overrides(options.settings), options.out, options.resume)
    print(f"training in {runner.folder}")
    reason = runner.train()
    print(f"{reason}, at step {runner.step:,}")
    if reason == "interrupted":
        print(f"go on with: poise train --resume {runner.folder}")
        return EXIT_INTERRUPTED
    print(*closing_words(runner.folder), sep="\n")
    return 0


# --- evaluate -----------------------------------------------------------------------------------------------------


def _policy_options(parser: Parser) -> None:
    parser.add_argument(
        "policy", metavar="POLICY", help="a run, a checkpoint, 'lqr', 'pid', 'do-nothing', a mutex.yaml"
    )
    parser.add_argument("--config", metavar="FILE", type=Path, help="take the environment from this run configuration")


def _evaluate_options(parser: Parser) -> None:
    _policy_options(parser)
    parser.add_argument("--episodes", metavar="N", type=whole(1), default=100, help="how many (default: 100)")
    parser.add_argument(
        "--seed", metavar="S", type=whole(0), default=EVALUATION_SEED, help="of the first (default: %(default)s)"
    )
    parser.add_argument("--baselines", action="store_true", help="measure doing nothing, PID and LQR beside it")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every episode's outcome to this file")


def _evaluate(options: argparse.Namespace) -> None:
    from rich.console import Console

    from poise.training.comparison import baselines_for, comparison_table, contender, measure, save_comparison

    check_destination(options.json)
    rivals = [contender(options.policy, options.config)]
    rivals += baselines_for(rivals[0]) if options.baselines else []
    results = {rival.name: measure(rival, options.episodes, options.seed) for rival in rivals}
    Console().print(comparison_table(results))
    if options.json is not None:
        save_comparison(options.json, rivals, results)


# --- play ---------------------------------------------------------------------------------------------------------


def _play_options(parser: Parser) -> None:
    _policy_options(parser)
    parser.add_argument("--out", metavar="FILE.mp4", type=Path, help="the video (default: <policy>.mp4 here)")
    parser.add_argument("--seconds", metavar="S", type=positive, default=8.0, help="longest video (default: 8)")
    parser.add_argument(
        "--seed", metavar="S", type=whole(0), default=EVALUATION_SEED, help="of the episode (default: %(default)s)"
    )


def _play(options: argparse.Namespace) -> None:
    import torch

    from poise.training.comparison import contender
    from poise.training.progress import ProgressBar
    from poise.training.video import record_video

    rival = contender(options.policy, options.config)
    out = options.out or Path(f"{Path(options.policy).resolve().name}.mp4")
    check_destination(out)
    torch.manual_seed(options.seed)
    with ProgressBar(1, "play", unit="pictures") as bar:
        record_video(
            rival.agent_for,
            rival.config.env.id,
            rival.env_options,
            out,
            options.seconds,
            options.seed,
            on_frame=lambda done, total: bar.update(done, total_steps=total),
        )
    print(f"video in {out}")


# --- collect, pretrain --------------------------------------------------------------------------------------------


def _collect_options(parser: Parser) -> None:
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("runs/images"), help="(default: runs/images)")


def _collect_settings() -> str:
    from poise.training.collection import CollectConfig

    return describe_settings(CollectConfig)


def _collect(options: argparse.Namespace) -> None:
    from poise.config import apply_overrides, parse, parse_cli_overrides
    from poise.training.collection import CollectConfig, collect
    from poise.training.progress import ProgressBar

    overrides = apply_overrides({}, parse_cli_overrides(options.settings))
    config = parse(CollectConfig, overrides, "poise collect")
    with ProgressBar(config.episodes, "collect", unit="episodes") as bar:
        collected = collect(config, options.out, progress=bar.update)
    print(f"{collected.images:,} depth images of {collected.episodes:,} episodes in {options.out}")
    print(f"next: poise pretrain {options.out}")


def _pretrain_options(parser: Parser) -> None:
    parser.add_argument("dataset", metavar="DATASET", type=Path, help="folder written by 'poise collect'")
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("runs/encoder"), help="(default: runs/encoder)")


def _pretrain_settings() -> str:
    from poise.perception import PretrainConfig

    return describe_settings(PretrainConfig)


def _pretrain(options: argparse.Namespace) -> None:
    from poise.config import apply_overrides, parse, parse_cli_overrides
    from poise.perception import ImageDataset, PretrainConfig, pretrain

    overrides = apply_overrides({}, parse_cli_overrides(options.settings))
    config = parse(PretrainConfig, overrides, "poise pretrain")

    def millimetres(loss: float) -> str:
        return f"{loss**0.5 * 1000:.1f} mm"

    result = pretrain(
        ImageDataset(options.dataset),
        config,
        options.out,
        lambda epoch: print(f"epoch {epoch.epoch}: held-out error {millimetres(epoch.validation_loss)}", flush=True),
    )
    print(
        f"best encoder, of epoch {result.best.epoch}, in {options.out / 'encoder'}; pictures of what it keeps beside it"
    )
    guessing = f"always guessing the average image: {millimetres(result.average_image_loss)}"
    print(f"its error: {millimetres(result.best.validation_loss)}; {guessing}")
    if not result.useful:
        advice = "give it more images, more epochs or another learning_rate"
        print(f"warning: this encoder tells nothing about an image; {advice}", file=sys.stderr)
    print(f"next: poise train configs/ballbot/navigate.yaml --policy.encoder {options.out / 'encoder'}")


# --- motion -------------------------------------------------------------------------------------------------------


def _motion_options(parser: Parser) -> None:
    parser.add_argument("config", metavar="CONFIG", type=Path, help="run configuration whose environment is used")
    parser.add_argument(
        "--out",
        metavar="FILE",
        type=Path,
        default=Path("runs/motion.safetensors"),
        help="(default: runs/motion.safetensors)",
    )


def _motion_settings() -> str:
    from poise.training.motion import MotionConfig

    return describe_settings(MotionConfig)


def _motion(options: argparse.Namespace) -> None:
    from poise.config import apply_overrides, load_yaml, parse, parse_cli_overrides
    from poise.training.config import EnvConfig
    from poise.training.motion import MotionConfig, record_motion
    from poise.training.progress import ProgressBar

    overrides = parse_cli_overrides(options.settings)
    of_env = {key: value for key, value in overrides.items() if key.startswith("env.")}
    own = {key: value for key, value in overrides.items() if key not in of_env}
    config = parse(MotionConfig, apply_overrides({}, own), "poise motion")
    there = apply_overrides(load_yaml(options.config), of_env)
    env = parse(EnvConfig, there.get("env", {}), f"{options.config}: env")
    with ProgressBar(config.episodes, "motion", unit="episodes") as bar:
        motion = record_motion(config, env, bar.update)
    motion.save(options.out)
    print(f"{len(motion.starts):,} moments of {config.episodes} episodes in {options.out}")
    print(f"next: poise train {options.config} --algorithm.name amp --algorithm.motion {options.out}")


# --- plot, report, info, demo -------------------------------------------------------------------------------------


def _plot_options(parser: Parser) -> None:
    parser.add_argument("runs", metavar="RUN", type=Path, nargs="+", help="run folders to compare")
    parser.add_argument("--out", metavar="FILE", type=Path, default=Path("curves.png"), help="(default: curves.png)")


def _plot(options: argparse.Namespace) -> None:
    from poise.training.plots import plot_runs

    check_destination(options.out)
    plot_runs(options.runs, options.out)
    print(f"curves in {options.out}")


def _report_options(parser: Parser) -> None:
    parser.add_argument("run", metavar="RUN", type=Path, help="run folder")
    parser.add_argument("--evaluation", metavar="FILE", type=Path, help="show what 'poise evaluate --json' wrote")
    parser.add_argument("--out", metavar="FILE.html", type=Path, help="(default: report.html in the run folder)")


def _report(options: argparse.Namespace) -> None:
    from poise.training.comparison import comparison_about
    from poise.training.report import write_report

    out = options.out or options.run / "report.html"
    check_destination(out)
    file = options.evaluation
    write_report(options.run, out, None if file is None else comparison_about(options.run, file))
    print(f"report in {out}")


def _no_options(parser: Parser) -> None:
    """Nothing can be chosen."""


def _info(options: argparse.Namespace) -> None:
    from poise.training.info import describe_installation

    for name, value in describe_installation().items():
        print(f"{name:<16} {value}")


def _demo_options(parser: Parser) -> None:
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("runs/demo"), help="(default: runs/demo)")
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        default=Path("configs/ballbot/navigate.yaml"),
        help="run configuration, trained for 900,000 steps at most (default: configs/ballbot/navigate.yaml)",
    )


def _demo(options: argparse.Namespace) -> None:
    from poise.training.demo import run_demo

    run_demo(options.out, options.config)


VERBS = {
    "train": Verb(
        _train,
        _train_options,
        "train a policy as a configuration says; Ctrl-C saves before it stops",
        "poise train configs/ballbot/navigate.yaml --algorithm.gamma 0.98 --env.num_envs 32\n"
        "poise train configs/ballbot/navigate.yaml --env.options.cameras.enabled false --out runs/blind\n"
        "poise train --resume runs/blind",
        _train_settings,
    ),
    "evaluate": Verb(
        _evaluate,
        _evaluate_options,
        "measure a policy over whole episodes on seeds it was not trained on",
        "poise evaluate runs/demo/run --episodes 100 --baselines --json evaluation.json\npoise evaluate pid",
    ),
    "play": Verb(
        _play, _play_options, "make a video of a policy", "poise play runs/demo/run --out robot.mp4 --seconds 20"
    ),
    "collect": Verb(
        _collect,
        _collect_options,
        "drive robots at random and by PID, and keep what their depth cameras see; goes on where it was stopped",
        "poise collect --out runs/images --episodes 160 --terrain.height 0.2",
        _collect_settings,
    ),
    "pretrain": Verb(
        _pretrain,
        _pretrain_options,
        "train the depth encoder on collected images",
        "poise pretrain runs/images --out runs/encoder --epochs 10",
        _pretrain_settings,
    ),
    "motion": Verb(
        _motion,
        _motion_options,
        "record a reference motion: an LQR drives ballbots on level ground, weaving from side to side",
        "poise motion configs/ballbot/style.yaml --out runs/motion.safetensors --weave 0.15",
        _motion_settings,
    ),
    "plot": Verb(
        _plot, _plot_options, "compare the learning curves of runs", "poise plot runs/a runs/b --out curves.png"
    ),
    "report": Verb(
        _report,
        _report_options,
        "write a run's report, one page of HTML",
        "poise report runs/demo/run --evaluation evaluation.json",
    ),
    "info": Verb(_info, _no_options, "print what a bug report needs: versions, machine, threads, OpenGL"),
    "demo": Verb(
        _demo,
        _demo_options,
        "do the main job: depth images, encoder, training, evaluation, video, report; goes on where it was stopped",
        "poise demo --out runs/demo",
    ),
}


# --- the command itself -------------------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code. Mistakes of the user become one sentence and code 2."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    return exit_code(lambda: _run(arguments))


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(overview({name: verb.summary for name, verb in VERBS.items()}))
        return 0
    if arguments[0] == "--version":
        print(f"poise {__version__}")
        return 0
    name, *rest = arguments
    if name not in VERBS:
        kind = "option" if name.startswith("-") else "verb"
        hint = did_you_mean(name, VERBS) or f"; expected one of {', '.join(VERBS)}"
        raise InvalidValueError(f"unknown {kind} '{name}'{hint}")
    verb = VERBS[name]
    wants_help = any(word in ("-h", "--help") for word in rest)
    settings_help = verb.settings() if verb.settings and wants_help else ""  # imports much, so only to be read
    parser = Parser(prog=f"poise {name}", description=verb.summary, epilog=epilog(settings_help, verb.examples))
    verb.add_options(parser)
    if verb.settings is not None:
        parser.announce_settings()
    own, settings = parser.split_settings(rest) if verb.settings else (rest, [])
    try:
        options = parser.parse_all(own)
    except SystemExit:  # argparse has printed the help
        return 0
    return verb.run(argparse.Namespace(**vars(options), settings=settings)) or 0
