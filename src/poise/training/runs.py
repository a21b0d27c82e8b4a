"""Run folders: starting, resuming, and finding the policy in one.

    run/  config.yaml  encoder/  progress.csv  tensorboard/  evaluations.json  checkpoints/step_…/  best/  videos/

A model that is shipped has the same shape, reduced to `config.yaml`, `encoder/` and `best/`.
"""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gymnasium.vector import VectorEnv

from poise.config import load_yaml, parse, save_yaml
from poise.cores import available_cores
from poise.errors import InvalidValueError, MissingFileError, PoiseError
from poise.files import explained
from poise.perception import FrozenDepthEncoder
from poise.policies import PolicyAgent, Sensing, build_policy
from poise.training.callbacks import Callback, CheckpointCallback, EvaluationCallback
from poise.training.checkpoint import latest_checkpoint, load_checkpoint, step_folder
from poise.training.config import RunConfig
from poise.training.environments import control_step, make_vector_env
from poise.training.runner import Runner
from poise.training.video_callback import VideoCallback

CONFIG = "config.yaml"
ENCODER = "encoder"
BEST = "best"
PROGRESS = "progress.csv"


def start_run(config: RunConfig, folder: Path, callbacks: list[Callback] | None = None) -> Runner:
    """A new run in a new folder.

    Raises:
        InvalidValueError: the folder holds a run already.
    """
    if (folder / CONFIG).exists():
        raise InvalidValueError(
            f"{folder} already holds a run; go on with '--resume {folder}' or choose another '--out'"
        )
    precision = config.policy.encoder_precision
    encoder = FrozenDepthEncoder.load(config.policy.encoder, precision) if config.policy.encoder else None
    runner = _runner(config, folder, encoder, callbacks)
    _check_evaluation(config)
    with explained(f"write {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        if config.policy.encoder:
            source = Path(config.policy.encoder)
            source = source / ENCODER if (source / ENCODER).is_dir() else source
            shutil.copytree(source, folder / ENCODER, dirs_exist_ok=True)
    save_yaml(folder / CONFIG, config)
    return runner


def resume_run(folder: Path, callbacks: list[Callback] | None = None) -> Runner:
    """A run that goes on from its latest complete checkpoint, or from its beginning if it was stopped before the first.

    Raises:
        MissingFileError: there is no run.
        PoiseError: what is there cannot go on, and would be lost by beginning again.
    """
    config = read_config(folder)
    checkpoint = latest_checkpoint(folder)
    if checkpoint is None:
        _check_nothing_is_lost(folder)
    runner = _runner(config, folder, _encoder(config, folder), callbacks)
    if checkpoint is None:
        runner.logger.restore(0, rows=0)
    else:
        runner.resume(checkpoint)
    return runner


def read_config(folder: Path) -> RunConfig:
    """The resolved configuration of a run."""
    path = folder / CONFIG
    if not path.exists():
        raise MissingFileError(f"{folder} is no run folder: it holds no {CONFIG}")
    return parse(RunConfig, load_yaml(path), str(path))


@dataclass(frozen=True)
class TrainedPolicy:
    """A policy read from disk, with what it needs to act."""

    config: RunConfig
    encoder: FrozenDepthEncoder | None
    state: dict[str, Any]
    source: Path

    @property
    def fingerprint(self) -> str:
        """Tells these weights from any others: SHA-256 of all of them."""
        digest = hashlib.sha256()
        for name in sorted(self.state):
            digest.update(name.encode() + self.state[name].numpy().tobytes())
        return digest.hexdigest()

    def agent_for(self, env: VectorEnv[Any, Any, Any]) -> PolicyAgent:
        """The policy in charge of an environment.

        Raises:
            InvalidValueError: the weights belong to another architecture.
        """
        names = self.config.policy.sensed
        space, threads = env.single_observation_space, available_cores()
        sensing = Sensing(space, self.encoder, env.num_envs, control_step(env), names, threads)
        policy = build_policy(sensing.shapes, env.single_action_space, self.config.policy)
        try:
            policy.load_state_dict(self.state)
        except RuntimeError as error:
            detail = " ".join(str(error).split())[:300]
            raise InvalidValueError(f"the weights in {self.source} belong to another architecture: {detail}") from error
        return PolicyAgent(policy.eval(), sensing)


def load_policy(path: Path) -> TrainedPolicy:
    """The policy of a run (its best, or else its latest checkpoint) or of one checkpoint.

    Raises:
        MissingFileError: nothing is there.
        InvalidValueError: what is there is no run or checkpoint; files are never unpickled.
    """
    if not path.exists():
        raise MissingFileError(f"{path} does not exist; expected a run folder or a checkpoint folder")
    if path.is_file():
        raise InvalidValueError(
            f"{path} is a file; expected a run folder or a checkpoint folder (pickled models are never loaded)"
        )
    checkpoint = _choose_checkpoint(path) if (path / CONFIG).exists() else path
    run = next((parent for parent in (checkpoint, *checkpoint.parents) if (parent / CONFIG).exists()), None)
    if run is None:
        raise MissingFileError(
            f"neither {path} nor a folder above it holds a {CONFIG}; expected a run or a checkpoint of one"
        )
    config = read_config(run)
    state = load_checkpoint(checkpoint)
    weights = state.get("policy") or _acting_weights(state, checkpoint)
    return TrainedPolicy(config, _encoder(config, run), weights, checkpoint)


def _check_evaluation(config: RunConfig) -> None:
    """The evaluation's environment is made once, so that its options are not found wrong after hours of training."""
    if config.evaluation.options:
        make_vector_env(config.env.id, 1, config.env.options | config.evaluation.options).close()


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


def _choose_checkpoint(run: Path) -> Path:
    try:
        load_checkpoint(run / BEST)
        return run / BEST
    except MissingFileError:
        latest = latest_checkpoint(run)
        if latest is None:
            raise MissingFileError(f"{run} holds no policy yet: neither {BEST}/ nor a checkpoint") from None
        return latest


def _acting_weights(state: dict[str, Any], checkpoint: Path) -> dict[str, Any]:
    algorithm = state.get("algorithm")
    if not isinstance(algorithm, dict) or "policy" not in algorithm:
        raise InvalidValueError(f"{checkpoint} holds no policy; expected a checkpoint written by 'poise train'")
    weights: dict[str, Any] = algorithm.get("averaged") or algorithm["policy"]
    return weights


def _encoder(config: RunConfig, run: Path) -> FrozenDepthEncoder | None:
    if config.policy.encoder is None:
        return None
    try:
        return FrozenDepthEncoder.load(run / ENCODER, config.policy.encoder_precision)
    except MissingFileError as error:
        raise PoiseError(f"{run} lacks its encoder ({ENCODER}/), so its policy cannot see: {error}") from error


def _runner(
    config: RunConfig, folder: Path, encoder: FrozenDepthEncoder | None, callbacks: list[Callback] | None
) -> Runner:
    chosen = [EvaluationCallback(), VideoCallback(), *(callbacks or []), CheckpointCallback()]
    return Runner(config, folder, encoder, chosen)
