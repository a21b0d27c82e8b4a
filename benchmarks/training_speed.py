"""Steps per second of training end to end on the ballbot as the data sheet has it, against Stable-Baselines3's PPO.

    python benchmarks/training_speed.py [--recipe published batched massive] [--iterations 4] [--num-envs N]

500 decisions a second, two 64x64 depth cameras at 90 Hz, the frozen encoder, heads of 4x128. Both sides have the same
network, hyper-parameters, environment (one batch of robots, all cores) and settings of torch's threads. Recipes:
`published` is the data sheet's (10 robots x 2048 steps, minibatches of 256, 5 epochs), `batched` has many
robots and short rollouts (128 robots x 32 steps, 4 minibatches, 5 epochs), `massive` is what legged robots are
trained with (1024 robots x 24 steps, 4 minibatches, 5 epochs). A figure is the median over the iterations but the
first. With fresh weights the robots fall often, and every fall brings a new terrain, on both sides: 30 iterations of
`massive` have seen several falls of each robot, 4 have seen none.

What makes Stable-Baselines3 slower is mostly that it keeps images in its rollout and runs the encoder in every forward.
"""

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

# Before torch, because it settles how torch's threads wait.
from poise.envs import BallbotVectorEnv
from poise.perception import FrozenDepthEncoder

# isort: split

import stable_baselines3 as sb3
import torch
from _encoder import fresh_encoder
from _sb3 import BatchedBallbots, EncodedImages
from _table import report
from _training import CLIP, DECAY, ENTROPY, EPOCHS, RATE, RECIPES, VALUE, Recipe, Times, time_training
from stable_baselines3.common.callbacks import BaseCallback
from torch import nn

# --- Stable-Baselines3's ------------------------------------------------------------------------------------------


class StableBaselinesStopwatch(BaseCallback):
    """Notes when rollouts begin and end; an update lasts from one's end to the next one's beginning."""

    def __init__(self, times: Times) -> None:
        super().__init__()
        self._times = times
        self._moment = 0.0

    def _on_rollout_start(self) -> None:
        self._mark(self._times.updates if self._times.rollouts else None)

    def _on_rollout_end(self) -> None:
        self._mark(self._times.rollouts)

    def _on_training_end(self) -> None:
        self._mark(self._times.updates)

    def _on_step(self) -> bool:
        return True

    def _mark(self, spans: list[float] | None) -> None:
        now = time.perf_counter()
        if spans is not None:
            spans.append(now - self._moment)
        self._moment = now


def time_stable_baselines(recipe: Recipe, encoder: Path, iterations: int) -> Times:
    """Stable-Baselines3's PPO on the same robots in one batch."""
    heads = [128] * 4
    env = BatchedBallbots(BallbotVectorEnv(recipe.num_envs))
    model = sb3.PPO(
        "MultiInputPolicy",
        env,
        learning_rate=RATE,
        n_steps=recipe.num_steps,
        batch_size=recipe.samples // recipe.num_minibatches,
        n_epochs=EPOCHS,
        clip_range=CLIP,
        ent_coef=ENTROPY,
        vf_coef=VALUE,
        device="cpu",
        policy_kwargs={
            "net_arch": {"pi": heads, "vf": heads},
            "activation_fn": nn.LeakyReLU,
            "features_extractor_class": EncodedImages,
            "features_extractor_kwargs": {"encoder": FrozenDepthEncoder.load(encoder)},
            "optimizer_class": torch.optim.AdamW,
            "optimizer_kwargs": {"weight_decay": DECAY},
        },
    )
    times = Times()
    model.learn(iterations * recipe.samples, StableBaselinesStopwatch(times))
    env.close()
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", nargs="+", choices=RECIPES, default=["published", "batched"])
    parser.add_argument("--iterations", type=int, default=4, help="of each, the first not counted")
    parser.add_argument("--steps", type=int, help="environment steps of each instead of iterations")
    parser.add_argument("--num-envs", type=int, help="robots, instead of the recipe's; as many samples for an update")
    parser.add_argument("--update-threads", type=int, default=2, help="that share our updates")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="of our encoder")
    parser.add_argument("--only", choices=("poise", "stable-baselines3"), help="time one of the two")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    with TemporaryDirectory() as temporary:
        encoder = fresh_encoder(Path(temporary, "encoder"))
        for name in arguments.recipe:
            recipe = _recipe(name, arguments.num_envs)
            iterations = -(-arguments.steps // recipe.samples) if arguments.steps else arguments.iterations
            figures = {}
            if arguments.only != "stable-baselines3":
                policy = {"encoder": str(encoder), "encoder_precision": arguments.precision}
                ours = time_training(recipe, policy, iterations, Path(temporary, name), arguments.update_threads)
                figures["poise"] = ours.figures(recipe.samples)
            if arguments.only != "poise":
                theirs = time_stable_baselines(recipe, encoder, iterations)
                figures["stable-baselines3"] = theirs.figures(recipe.samples)
            if len(figures) == 2:
                figures["ratio"] = _ratio(figures)
            results[name] = figures | {"num_envs": recipe.num_envs, "num_steps": recipe.num_steps}
    report(
        "Training end to end with depth",
        ["", "steps/s", "rollout, µs", "update, µs", "its share"],
        _rows(results),
        results,
        arguments.json,
        ("poise", "mujoco", "torch", "stable-baselines3", "numba"),
    )


def _recipe(name: str, num_envs: int | None) -> Recipe:
    recipe = RECIPES[name]
    if num_envs is None:
        return recipe
    return Recipe(num_envs, max(recipe.samples // num_envs, 1), recipe.num_minibatches)


def _ratio(figures: dict[str, dict[str, float]]) -> dict[str, float]:
    ours, theirs = figures["poise"], figures["stable-baselines3"]
    return {"steps_per_second": ours["steps_per_second"] / theirs["steps_per_second"]}


def _rows(results: dict[str, Any]) -> list[list[Any]]:
    columns = ("steps_per_second", "rollout_us_per_step", "update_us_per_step", "update_share")
    return [
        [f"{recipe}, {side}", *(figures[side].get(column, "") for column in columns)]
        for recipe, figures in results.items()
        for side in ("poise", "stable-baselines3", "ratio")
        if side in figures
    ]


if __name__ == "__main__":
    main()
