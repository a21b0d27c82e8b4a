"""Run folders: starting and resuming.

    run/  config.yaml  interface.yaml  encoder/  teacher/  motion.safetensors  initial_policy/  demonstrations/
          progress.csv  tensorboard/  evaluations.json  checkpoints/step_…/  best/  videos/

A model that is shipped has the same shape, reduced to `config.yaml`, `encoder/` and `best/`.
"""

from pathlib import Path

import numpy as np

from poise.config import save_yaml
from poise.errors import InvalidValueError, PoiseError
from poise.nn.weights import first_difference
from poise.training.assets import Assets
from poise.training.callbacks import Callback, CheckpointCallback, EvaluationCallback
from poise.training.checkpoint import latest_checkpoint, load_checkpoint, step_folder
from poise.training.cloner import Cloner
from poise.training.cloning_config import AnyRunConfig, CloningRunConfig
from poise.training.config import RunConfig
from poise.training.environments import make_vector_env, told_of_step
from poise.training.evaluation import Evaluation
from poise.training.logging import PROGRESS
from poise.training.loop import Loop
from poise.training.runner import Runner
from poise.training.scales import FeatureScalesCallback
from poise.training.trained import BEST, CONFIG, acting_weights, read_config
from poise.training.video_callback import VideoCallback


def start_run(config: AnyRunConfig, folder: Path, callbacks: list[Callback] | None = None) -> Loop:
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
    loop = _loop(config, folder, callbacks, begun=False)
    _check_acting(loop)
    loop.keep()
    save_yaml(folder / CONFIG, config)
    return loop


def resume_run(folder: Path, callbacks: list[Callback] | None = None, config: AnyRunConfig | None = None) -> Loop:
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
    loop = _loop(config, folder, callbacks, begun=True)
    if checkpoint is None:
        loop.logger.restore(0, rows=0)
    else:
        _go_on(loop, checkpoint)
    save_yaml(folder / CONFIG, config)
    return loop


def _go_on(loop: Loop, checkpoint: Path) -> None:
    """From a checkpoint; of a policy that is of another architecture, the first tensor that differs is told."""
    try:
        loop.resume(checkpoint)
    except InvalidValueError as error:
        if error.__cause__ is None:  # what is wrong was found by poise itself, and told
            raise
        different = first_difference(acting_weights(load_checkpoint(checkpoint), checkpoint), loop.acting_policy)
        if different is None:
            raise
        raise InvalidValueError(
            f"{checkpoint} does not fit this configuration, for its policy is of another architecture: {different}; "
            "resume with the configuration it was made with"
        ) from error


def _check_acting(loop: Loop) -> None:
    """A step in the environment that is named, so that nothing is found wrong with it after hours of training.

    Who learns there finds out at once, unless evaluations have another one.
    """
    config, evaluation = loop.config, loop.config.evaluation
    learns_there = isinstance(config, RunConfig) and not evaluation.every and not evaluation.options
    if learns_there or not config.env.id:
        return
    env = make_vector_env(config.env.id, 1, config.env.options | evaluation.options)
    try:
        loop.agent_for(env)
        env.reset(seed=evaluation.seed)
        *_, info = env.step(env.action_space.sample())
    finally:
        env.close()
    if evaluation.every:
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


def _loop(config: AnyRunConfig, folder: Path, callbacks: list[Callback] | None, begun: bool) -> Loop:
    """The loop that a configuration is of; a run that was begun has its own copies of what others hold."""
    chosen = [EvaluationCallback(), VideoCallback(), *(callbacks or []), CheckpointCallback()]
    if isinstance(config, CloningRunConfig):
        return Cloner(config, folder, chosen)
    assets = Assets.kept(config, folder) if begun else Assets.named(config)
    return Runner(config, folder, assets, [FeatureScalesCallback(), *chosen])
