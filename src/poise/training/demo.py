"""The main job from beginning to end: depth images, encoder, training, evaluation, video, report.

    <out>/images/  encoder/  run/  evaluation.json  video.mp4  report.html  demo.json

Each stage that ends is written down in `demo.json`; called again, the demo goes on with the first that did not.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.markup import escape

from poise.config import apply_overrides, load_yaml, parse
from poise.errors import InvalidValueError, PoiseError
from poise.files import write_atomically
from poise.perception import ImageDataset, PretrainConfig, pretrain
from poise.shell import typed
from poise.training.callbacks import INTERRUPTED
from poise.training.collection import CollectConfig, collect
from poise.training.comparison import (
    baselines_for,
    comparison_table,
    contender,
    load_comparison,
    measure,
    save_comparison,
)
from poise.training.config import RunConfig
from poise.training.progress import ProgressBar
from poise.training.report import write_report
from poise.training.report_results import first_of
from poise.training.runs import resume_run, start_run
from poise.training.seeds import EVALUATION_SEED
from poise.training.trained import CONFIG
from poise.training.video import record_video

_SAME_CAMERAS = ("height", "width", "max_depth")

Figures = dict[str, Any]


class Scale(NamedTuple):
    """How much of everything."""

    image_episodes: int = 160
    epochs: int = 10
    training_steps: int = 800_000
    """At most; where the configuration has more, the demo stops on the way: somebody waits."""
    evaluation_episodes: int = 100
    video_seconds: float = 8.0


@dataclass
class Demo:
    """One demo in one folder."""

    out: Path
    config: RunConfig
    scale: Scale
    console: Console = field(default_factory=lambda: Console(highlight=False))
    stages: dict[str, Figures] = field(default_factory=dict)

    def say(self, text: str) -> None:
        """One line, as long as it gets."""
        self.console.print(text, soft_wrap=True)

    def stage(self, name: str, number: str, introduction: str, work: Callable[[Demo], Figures]) -> None:
        """Do a stage that is not done yet, and write down its figures and how long it took."""
        before = self.stages.get(name, {})
        if before.get("done"):
            self.say(f"[bold]{number}, {name}[/]: done before, in {before['seconds']:.0f} s")
            return
        self.say(f"\n[bold]{number}, {name}[/]: {introduction}")
        start, figures = time.perf_counter(), Figures(done=False)
        try:
            figures = {"done": True} | work(self)
        finally:  # time that was spent before an interruption counts
            seconds = before.get("seconds", 0.0) + time.perf_counter() - start
            self.stages[name] = {"seconds": round(seconds, 2)} | figures
            self.save()
        self.say(f"  took {seconds:.0f} s")

    @property
    def seconds(self) -> float:
        """Of all stages together."""
        return float(sum(stage["seconds"] for stage in self.stages.values()))

    def save(self) -> None:
        """Write `demo.json`."""
        content = {
            "seconds": round(self.seconds, 2),
            "stages": self.stages,
            "config": self.config.model_dump(mode="json"),
        }
        write_atomically(self.out / "demo.json", json.dumps(content, indent=1) + "\n")


def run_demo(out: Path, config: Path, scale: Scale | None = None) -> Demo:
    """Do the main job in the folder `out`, with the training of the configuration file `config`.

    Raises:
        PoiseError: something is wrong with the configuration, the folder or the disk.
    """
    demo = _begin(out, config, scale or Scale())
    place = escape(str(out))
    demo.say(
        "A ballbot learns to see its way over rough ground: seven or eight minutes on two cores at full length. "
        f"Everything goes to {place}/; Ctrl-C may interrupt, and the same command goes on."
    )
    stages = _stages(demo)
    for number, (name, introduction, work) in enumerate(stages, 1):
        demo.stage(name, f"{number} of {len(stages)}", introduction, work)
    demo.say(f"\n[bold]Done[/] in {_minutes(demo.seconds)}. See for yourself:")
    demo.say(f"  video   {place}/video.mp4\n  report  {place}/report.html")
    demo.say("\nWhat to do with it:")
    run = shlex.quote(str(out / "run"))
    for command in typed(f"poise play {run} --seed 7", f"poise evaluate {run}"):
        demo.say(f"  {escape(command)}")
    return demo


def _stages(demo: Demo) -> list[tuple[str, str, Callable[[Demo], Figures]]]:
    """Name, introduction and work of each."""
    robots, episodes = demo.config.env.num_envs, demo.scale.evaluation_episodes
    return [
        ("collect", "robots stumble about on random terrain; their two depth cameras record it", _collect),
        ("pretrain", "an autoencoder learns to squeeze a depth image into 20 numbers", _pretrain),
        ("train", f"{robots} robots at once learn to balance and travel; most of the time goes here", _train),
        (
            "evaluate",
            f"{episodes} terrains that it has never seen, beside doing nothing, chance, PID and LQR",
            _evaluate,
        ),
        ("video", "the one of those episodes whose return is the median, from outside", _video),
        ("report", "curves, figures and settings on one page", _report),
    ]


def _begin(out: Path, config: Path, scale: Scale) -> Demo:
    """A new demo, or the one that `out` holds; never a mixture of two."""
    encoder = {"policy.encoder": str(out / "encoder" / "encoder")}
    run = parse(RunConfig, apply_overrides(load_yaml(config), encoder), str(config))
    run = run.model_copy(update={"stop_at": min(run.last_step, scale.training_steps)})
    journal = out / "demo.json"
    if not journal.exists():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise InvalidValueError(f"{out} is something else than a demo; choose another folder with '--out'")
        demo = Demo(out, run, scale)
        demo.save()
        return demo
    try:
        content = json.loads(journal.read_text())
        stages, there = dict(content["stages"]), content["config"]
    except (ValueError, KeyError, TypeError) as error:
        raise PoiseError(f"{journal} is damaged ({error}); choose another folder with '--out'") from error
    if there != run.model_dump(mode="json"):
        raise InvalidValueError(
            f"{out} holds a demo of other settings than {config}; choose another folder with '--out'"
        )
    return Demo(out, run, scale, stages=stages)


# --- the stages ---------------------------------------------------------------------------------------------------


def _collect(demo: Demo) -> Figures:
    """Images of the terrain and cameras that the policy will train with."""
    options = demo.config.env.options
    cameras = {name: value for name, value in options.get("cameras", {}).items() if name in _SAME_CAMERAS}
    settings = {
        **cameras,
        "terrain": options.get("terrain", {}),
        "seed": demo.config.seed,
        "episodes": demo.scale.image_episodes,
    }
    config = parse(CollectConfig, settings, "env.options")
    with ProgressBar(config.episodes, "collect", unit="episodes") as bar:
        collected = collect(config, demo.out / "images", demo.config.threads, bar.update)
    demo.say(f"  {collected.images:,} images of {collected.episodes} episodes")
    return {"images": collected.images, "episodes": collected.episodes}


def _pretrain(demo: Demo) -> Figures:
    config = PretrainConfig(seed=demo.config.seed, epochs=demo.scale.epochs)
    with ProgressBar(config.epochs, "pretrain", unit="epochs") as bar:
        result = pretrain(
            ImageDataset(demo.out / "images"),
            config,
            demo.out / "encoder",
            lambda epoch: bar.update(epoch.epoch, {"error_mm": 1000 * epoch.validation_loss**0.5}),
        )
    if result.interrupted:
        raise KeyboardInterrupt
    millimetres = 1000 * result.best.validation_loss**0.5
    demo.say(f"  held-out images come back to within {millimetres:.0f} mm (root mean square)")
    return {"epochs": len(result.history), "rmse_mm": millimetres}


def _train(demo: Demo) -> Figures:
    run = demo.out / "run"
    runner = resume_run(run) if (run / CONFIG).exists() else start_run(demo.config, run)
    if runner.train() == INTERRUPTED:
        raise KeyboardInterrupt
    return {"steps": runner.step}


def _evaluate(demo: Demo) -> Figures:
    trained = replace(contender(str(demo.out / "run")), name="trained")
    rivals = [trained, *baselines_for(trained)]
    results = {rival.name: measure(rival, demo.scale.evaluation_episodes, EVALUATION_SEED) for rival in rivals}
    demo.console.print(comparison_table(results))
    save_comparison(demo.out / "evaluation.json", rivals, results)
    return {name: result.summary() for name, result in results.items()}


def _video(demo: Demo) -> Figures:
    trained = contender(str(demo.out / "run"))
    path, seed = demo.out / "video.mp4", _median_seed(demo.out)
    filmed = record_video(
        trained.agent_for, trained.config.env.id, trained.env_options, path, demo.scale.video_seconds, seed
    )
    demo.say(f"  seed {seed}: {filmed}")
    return {"bytes": path.stat().st_size, "seed": seed}


def _median_seed(out: Path) -> int:
    """Of the evaluated episode whose return is the median, the upper one of two."""
    report = first_of(load_comparison(out / "evaluation.json"))
    returns = report["episodes"]["returns"]
    episode = sorted(range(len(returns)), key=lambda i: returns[i])[len(returns) // 2]
    return int(report["summary"]["seed"]) + episode


def _report(demo: Demo) -> Figures:
    path = demo.out / "report.html"
    write_report(
        demo.out / "run",
        path,
        load_comparison(demo.out / "evaluation.json"),
        demo.out / "video.mp4",
        demo.out / "encoder" / "reconstructions.png",
        title="A ballbot that sees its way",
        filmed=f"the episode of median return, seed {demo.stages['video'].get('seed', EVALUATION_SEED)}",
    )
    return {"bytes": path.stat().st_size}


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"
