"""Verbs of the command line that show what there is, and the demo: nothing computed here."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from poise.cli_help import Parser, add_out
from poise.files import check_destination
from poise.shell import typed

DEMO_OUT, DEMO_CONFIG = Path("runs/demo"), Path("configs/ballbot/navigate.yaml")


def plot_options(parser: Parser) -> None:
    parser.add_argument("runs", metavar="RUN", type=Path, nargs="+", help="run folders to compare")
    add_out(parser, "FILE", Path("curves.png"), "picture, as png, svg or pdf")


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
    add_out(parser, "DIR", DEMO_OUT, "folder for everything it makes")
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
