"""Run folders: starting and resuming.

    run/  config.yaml  encoder/  teacher/  motion.safetensors  initial_policy/
          progress.csv  tensorboard/  evaluations.json  checkpoints/step_…/  best/  videos/

A model that is shipped has the same shape, reduced to `config.yaml`, `encoder/` and `best/`.
"""

import math
from pathlib import Path

import numpy as np
import torch

from poise.config import save_yaml
from poise.errors import InvalidValueError, PoiseError
from poise.training.assets import Assets
from poise.training.callbacks import Callback, CheckpointCallback, EvaluationCallback
from poise.training.checkpoint import latest_checkpoint, step_folder
from poise.training.config import RunConfig
from poise.training.environments import make_vector_env, told_of_step
from poise.training.evaluation import Evaluation
from poise.training.logging import PROGRESS
from poise.training.runner import Runner
from poise.training.scales import FeatureScalesCallback
from poise.training.trained import BEST, CONFIG, read_config
from poise.training.video_callback import VideoCallback


def start_run(config: RunConfig, folder: Path, callbacks: list[Callback] | None = None) -> Runner:
    """A new run in a new folder.

    Raises:
        InvalidValueError: the folder holds a run already, or something else.
    """
    if (folder / CONFIG).exists():
        raise InvalidValueError(
            f"{folder} already holds a run; go on with '--resume {folder}' or choose another '--out'"
        )
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise InvalidValueError(f"{folder} is not empty, and holds no run; choose another '--out'")
    assets = Assets.named(config)
    runner = _runner(config, folder, assets, callbacks)
    _check_memory(runner)
    _check_evaluation(config)
    assets.keep(config, folder)
    save_yaml(folder / CONFIG, config)
    return runner


def resume_run(folder: Path, callbacks: list[Callback] | None = None, config: RunConfig | None = None) -> Runner:
    """A run that goes on from its latest complete checkpoint, or from its beginning if it was stopped before the first.

    Args:
        folder: of the run.
        callbacks: besides those that are configured.
        config: takes the place of the run's own, from which it differs at most in `stop_at`.

    Raises:
        MissingFileError: there is no run.
        PoiseError: what is there cannot go on, and would be lost by beginning again.
    """
    config = config or read_config(folder)
    checkpoint = latest_checkpoint(folder)
    if checkpoint is None:
        _check_nothing_is_lost(folder)
    runner = _runner(config, folder, Assets.kept(config, folder), callbacks)
    if checkpoint is None:
        runner.logger.restore(0, rows=0)
    else:
        runner.resume(checkpoint)
    save_yaml(folder / CONFIG, config)
    return runner


def _check_memory(runner: Runner) -> None:
    """Ask for what a rollout's observations take and give it back, so that no run is begun that cannot have it.

    How many steps an image will last, where each is held once, nobody knows: one for each environment is asked for.
    """
    sensing, steps = runner.collector.sensing, runner.config.algorithm.num_steps
    held = {name: math.prod(shape) * (1 if name in sensing.frames else steps) for name, shape in sensing.shapes.items()}
    torch.empty(runner.config.env.num_envs, sum(held.values()))


def _check_evaluation(config: RunConfig) -> None:
    """A step in the evaluation's environment, so that nothing is found wrong with it after hours of training."""
    evaluation = config.evaluation
    if not evaluation.every and not evaluation.options:
        return
    env = make_vector_env(config.env.id, 1, config.env.options | evaluation.options)
    env.reset(seed=evaluation.seed)
    *_, info = env.step(env.action_space.sample())
    env.close()
    speed = float(told_of_step(info, "speed", np.full(1, np.nan))[0])
    Evaluation(evaluation.seed, [0.0], [1], [False], [speed]).metric(evaluation.metric)


def _check_nothing_is_lost(folder: Path) -> None:
    """Without a complete checkpoint a run begins again, which is right only if it never got as far as one."""
    damaged = sorted(place.name for place in step_folder(folder, 0).parent.glob("step_*"))
    if damaged:
        raise PoiseError(
            f"{folder} holds no complete checkpoint, {' and '.join(damaged)} being damaged; "
            "start again with another '--out'"
        )
    if (folder / BEST).exists() and not (folder / PROGRESS).exists():
        raise PoiseError(
            f"{folder} holds a finished policy and no checkpoint to go on from; start another run with '--out'"
        )


def _runner(config: RunConfig, folder: Path, assets: Assets, callbacks: list[Callback] | None) -> Runner:
    chosen = [FeatureScalesCallback(), EvaluationCallback(), VideoCallback(), *(callbacks or []), CheckpointCallback()]
    return Runner(config, folder, assets, chosen)
