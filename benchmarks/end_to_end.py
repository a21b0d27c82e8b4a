"""Training whose policy learns to encode the images: each held and encoded once, against one for every step.

    python benchmarks/end_to_end.py [--recipe massive] [--iterations 6] [--fusion concat ...] [--only once]

500 decisions a second and two 64x64 depth cameras at 90 Hz, as the data sheet has it: an image lasts five to six
steps. Actor and critic share the convolutions of `policy.fusion`. `every step` is the same training with an image in
every sample, as rollouts usually are kept. Memory is that of a rollout's images. A figure is the median over the
iterations but the first.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from _table import report
from _training import RECIPES, Recipe, time_training

from poise.policies import Sensing
from poise.training.callbacks import Callback
from poise.training.runner import Runner

WAYS = ("once", "every step")


class Memory(Callback):
    """Notes how much a rollout's images take, MiB."""

    def __init__(self) -> None:
        self.mebibytes = 0.0

    def on_iteration(self, runner: Runner, before: int) -> None:
        rollout = runner.collector.rollout
        images = [value for name, value in rollout.observations.items() if name.startswith("rgbd")]
        stored = sum(getattr(value, "nbytes", 0) for value in images)
        self.mebibytes = max(self.mebibytes, (rollout.image_bytes or stored) / 2**20)


@contextmanager
def images_kept(way: str) -> Iterator[None]:
    """Within it, trainings keep images in one of `WAYS`."""
    if way == "once":
        yield
        return
    with patch.object(Sensing, "as_frames", lambda self, components, fresh=None: components):
        yield


def measure(recipe: Recipe, fusion: dict[str, Any], way: str, iterations: int, folder: Path, threads: int) -> Any:
    """Figures of one training."""
    policy = {"fusion": fusion, "critic_encoders": "shared"}
    memory = Memory()
    with images_kept(way):
        times = time_training(recipe, policy, iterations, folder, threads, [memory])
    return times.figures(recipe.samples) | {"image_mebibytes": memory.mebibytes}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", choices=RECIPES, default="massive")
    parser.add_argument("--iterations", type=int, default=6, help="of each training, the first not counted")
    parser.add_argument("--fusion", nargs="+", default=["concat"], help="ways of fusing")
    parser.add_argument("--only", choices=WAYS, help="time one of the two")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="of the encoders")
    parser.add_argument("--update-threads", type=int, default=2, help="that share the updates")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    with TemporaryDirectory() as temporary:
        for fusion in arguments.fusion:
            for way in WAYS if arguments.only is None else (arguments.only,):
                folder = Path(temporary, f"{fusion} {way}".replace(" ", "_"))
                recipe = RECIPES[arguments.recipe]
                config = {"name": fusion, "images": {"precision": arguments.precision}}
                figures = measure(recipe, config, way, arguments.iterations, folder, arguments.update_threads)
                results[f"{fusion}, images {way}"] = figures
    columns = ("steps_per_second", "rollout_us_per_step", "update_us_per_step", "image_mebibytes")
    report(
        "Training end to end with images that the policy encodes",
        ["", "steps/s", "rollout, µs", "update, µs", "images, MiB"],
        [[name, *(figures[column] for column in columns)] for name, figures in results.items()],
        results,
        arguments.json,
        ("poise", "mujoco", "torch", "numba"),
    )


if __name__ == "__main__":
    main()
