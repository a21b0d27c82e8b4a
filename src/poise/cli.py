"""The `poise` command: its verbs, and how a command line finds its own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from poise import __version__
from poise import cli_data as data
from poise import cli_learning as learning
from poise import cli_showing as showing
from poise.cli_ends import exit_code
from poise.cli_help import Parser, epilog, overview
from poise.errors import InvalidValueError, did_you_mean

# Verbs import what they need when they run: torch and MuJoCo take seconds, `poise --help` must not.


class Verb(NamedTuple):
    """A word after `poise`.

    `run` may return an exit code; `settings` describes the `--key value` pairs accepted beside the verb's own options.
    """

    run: Callable[[argparse.Namespace], int | None]
    add_options: Callable[[Parser], None]
    summary: str
    examples: str = ""
    settings: Callable[[], str] | None = None


VERBS = {
    "train": Verb(
        learning.train,
        learning.train_options,
        "train a policy as a configuration says; Ctrl-C saves before it stops",
        "poise train configs/ballbot/navigate.yaml --algorithm.gamma 0.98 --env.num_envs 32\n"
        "poise train configs/ballbot/navigate.yaml --env.options.cameras.enabled false --out runs/blind\n"
        "poise train --resume runs/blind",
        learning.train_settings,
    ),
    "evaluate": Verb(
        learning.evaluate,
        learning.evaluate_options,
        "measure a policy over whole episodes on seeds it was not trained on",
        "poise evaluate runs/demo/run --episodes 100 --baselines --json evaluation.json\n"
        "poise evaluate models/ballbot --env.options.terrain.height 0.2\n"
        "poise evaluate pid",
        learning.rival_settings,
    ),
    "inspect": Verb(
        learning.inspect,
        learning.inspect_options,
        "look inside a policy: what its modalities say, what counts, what each is worth; a page and its numbers",
        "poise inspect models/ballbot --out inspect.html\n"
        "poise inspect runs/navigate --by component --episodes 50\n"
        "poise inspect runs/navigate --env.options.terrain.height 0.2",
        learning.world_settings,
    ),
    "play": Verb(
        learning.play,
        learning.play_options,
        "make a video of a policy",
        "poise play runs/demo/run --out robot.mp4 --seconds 20",
        learning.rival_settings,
    ),
    "collect": Verb(
        data.collect,
        data.collect_options,
        "drive robots at random and by PID, and keep what they see and feel; goes on where it was stopped",
        "poise collect --out runs/images --episodes 160 --terrain.height 0.2",
        data.collect_settings,
    ),
    "pretrain": Verb(
        data.pretrain,
        data.pretrain_options,
        "train the depth encoder on collected images: to draw them again, to tell what the robot felt, or both",
        "poise pretrain runs/images --out runs/encoder --epochs 10\n"
        "poise pretrain runs/images --out runs/aligned --objective both --contrastive.share 0.7",
        data.pretrain_settings,
    ),
    "motion": Verb(
        data.motion,
        data.motion_options,
        "record a reference motion: an LQR drives ballbots on level ground, drifting aside or weaving",
        "poise motion configs/ballbot/style.yaml --out runs/motion.safetensors --drift 0.1",
        data.motion_settings,
    ),
    "demos": Verb(
        data.demos,
        data.demos_options,
        "have an expert demonstrate a task, and keep what succeeds in LeRobot's format; goes on where it was stopped",
        "poise demos configs/push/expert.yaml --out runs/demos --episodes 500 --noise 0.2\n"
        "poise demos configs/ballbot/teacher.yaml --expert runs/teacher --out runs/ballbot_demos",
        data.demos_settings,
    ),
    "plot": Verb(
        showing.plot,
        showing.plot_options,
        "compare the learning curves of runs",
        "poise plot runs/a runs/b --out curves.png",
    ),
    "report": Verb(
        showing.report,
        showing.report_options,
        "write a run's report, one page of HTML",
        "poise report runs/demo/run --evaluation evaluation.json",
    ),
    "info": Verb(showing.info, showing.no_options, "print what a bug report needs: versions, machine, threads, OpenGL"),
    "demo": Verb(
        showing.demo,
        showing.demo_options,
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
