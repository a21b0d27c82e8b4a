"""Policies read from disk: of a run, or of one checkpoint."""

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gymnasium import spaces
from gymnasium.vector import VectorEnv
from torch import nn

from poise.config import load_yaml, save_yaml
from poise.cores import available_cores
from poise.envs.options import CAMERAS
from poise.errors import InvalidValueError, MissingFileError, PoiseError, nearest
from poise.files import explained, standing
from poise.imitation.building import build_imitation_policy
from poise.imitation.policy import ImitationPolicy
from poise.nn.weights import first_difference
from poise.perception import FrozenDepthEncoder
from poise.policies import ActorCritic, PolicyAgent, Sensing, build_policy
from poise.policies.actor_critic import Shapes
from poise.training.checkpoint import CHECKPOINTS, check_undamaged, latest_checkpoint, load_checkpoint, save_checkpoint
from poise.training.cloning_config import AnyRunConfig, CloningRunConfig, parse_run
from poise.training.compatibility import check_compatible
from poise.training.config import RunConfig
from poise.training.environments import make_vector_env, sensing_for
from poise.training.interface import Interface, Watching
from poise.training.logging import PROGRESS

CONFIG = "config.yaml"
ENCODER = "encoder"
BEST = "best"


def read_config(folder: Path) -> AnyRunConfig:
    """The resolved configuration of a run.

    Raises:
        MissingFileError: the folder holds none.
        InvalidValueError: it is damaged, or of something else, such as an encoder.
    """
    path = folder / CONFIG
    if not path.exists():
        raise MissingFileError(f"{folder} is no run folder: it holds no {CONFIG}{did_you_mean_run(folder)}")
    content = load_yaml(path)
    try:
        return parse_run(content, str(path))
    except InvalidValueError:
        if is_run(folder):
            raise
        raise InvalidValueError(
            f"{folder} is no run folder: its {CONFIG} is of something else{did_you_mean_run(folder)}"
        ) from None


def is_run(folder: Path) -> bool:
    """Whether a run was begun there, or a model put; encoders and images have a `config.yaml`, too."""
    return (folder / CONFIG).exists() and any((folder / name).exists() for name in (BEST, PROGRESS, CHECKPOINTS))


def did_you_mean_run(path: Path) -> str:
    """The clause `"; did you mean 'runs/demo/run'?"` when a folder that is no run holds some, else an empty string.

    It names three at most, the latest first. Where nothing is, they are those of a neighbour of nearly that name.
    """
    if not path.is_dir():
        neighbours = [place.name for place in path.parent.iterdir() if _runs_at(place)] if path.parent.is_dir() else []
        name = nearest(path.name, neighbours)
        if name is None:
            return ""
        path = path.parent / name
    names = [f"'{run}'" for run in _runs_at(path)[:3]]
    if not names:
        return ""
    before = f"{', '.join(names[:-1])} or " if names[1:] else ""
    return f"; did you mean {before}{names[-1]}?"


def _runs_at(folder: Path) -> list[Path]:
    """The folder itself, if it is a run, or else those up to two levels below, the latest first."""
    if is_run(folder):
        return [folder]
    below = [path.parent for depth in ("*", "*/*") for path in folder.glob(f"{depth}/{CONFIG}")]
    return sorted(filter(is_run, below), key=lambda run: ((run / CONFIG).stat().st_mtime, run.name), reverse=True)


@dataclass(frozen=True)
class Weights:
    """Of a policy, read from disk."""

    state: dict[str, Any]
    source: Path
    """The checkpoint."""
    run: Path

    @property
    def fingerprint(self) -> str:
        """Tells these weights from any others: SHA-256 of all of them."""
        digest = hashlib.sha256()
        for name in sorted(self.state):
            digest.update(name.encode() + self.state[name].numpy().tobytes())
        return digest.hexdigest()

    def load_into(self, policy: nn.Module) -> None:
        """Give another policy these weights and statistics.

        Raises:
            InvalidValueError: it is of another architecture.
        """
        different = first_difference(self.state, policy)
        if different is not None:
            raise InvalidValueError(f"the weights in {self.source} belong to another architecture: {different}")
        policy.load_state_dict(self.state)


@dataclass(frozen=True)
class TrainedImitator(Weights):
    """A policy that learned from demonstrations, read from disk."""

    config: CloningRunConfig

    interface: Interface

    def agent_for(self, env: VectorEnv[Any, Any, Any]) -> PolicyAgent:
        """The policy in charge of an environment.

        Raises:
            InvalidValueError: the weights belong to another architecture, or the environment gives or wants something
                else than the policy sees and does.
        """
        check_compatible("the policy", self, env, same_increment=True)
        watching = Watching(env, self.interface)
        return PolicyAgent(self.policy(), watching)

    def policy(self) -> ImitationPolicy:
        """The policy itself.

        Raises:
            InvalidValueError: the weights belong to another architecture.
        """
        policy = build_imitation_policy(self.interface.components, self.interface.action_width, self.config.policy)
        self.load_into(policy)
        return policy.eval().requires_grad_(False)

    def save(self, folder: Path) -> None:
        """Write a folder that `load_trained` reads, in the shape of a run."""
        self.interface.save(folder)
        save_yaml(folder / CONFIG, self.config)
        save_checkpoint(folder / BEST, {"policy": self.state})


@dataclass(frozen=True)
class TrainedPolicy(Weights):
    """A policy that learned by reinforcement, read from disk, with what it needs to act."""

    config: RunConfig
    encoder: FrozenDepthEncoder | None

    @property
    def seeing(self) -> FrozenDepthEncoder | None:
        """The encoder that it sees through; None for a blind one."""
        return self.encoder if any(name in CAMERAS for name in self.components) else None

    @cached_property
    def components(self) -> tuple[str, ...]:
        """Components of the observation that it was trained on; of one that sees everything, its environment tells."""
        if self.config.policy.sensed is not None:
            return self.config.policy.sensed
        return Sensing.component_names(self._world.single_observation_space, self.config.policy.obs_segments)

    @property
    def needed(self) -> tuple[str, ...]:
        """Components that it needs to act: not those that only its critic sees, nor what estimates stand for."""
        policy = self.config.policy
        return tuple(name for name in policy.observations or self.components if name not in policy.replaced)

    def shapes(self, sensed: Shapes) -> Shapes:
        """Of all components that it was trained on, of which some are sensed."""
        if any(name not in sensed for name in self.components):
            trained = sensing_for(self._world, self.config.policy, self.encoder, self.components, 1).shapes
            sensed = {**trained, **sensed}
        return {name: sensed[name] for name in self.components}

    @cached_property
    def _world(self) -> VectorEnv[Any, Any, Any]:
        """An environment as it was trained in, to ask what it gives."""
        env = make_vector_env(self.config.env.id, 1, self.config.env.options, threads=1)
        env.close()
        return env

    def agent_for(self, env: VectorEnv[Any, Any, Any]) -> PolicyAgent:
        """The policy in charge of an environment.

        Raises:
            InvalidValueError: the weights belong to another architecture, or the environment lacks components that the
                policy was trained on, or means others by them.
        """
        check_compatible("the policy", self, env, same_increment=True)
        config = self.config.policy
        sensing = sensing_for(env, config, self.encoder, self.needed, available_cores())
        return PolicyAgent(self.policy(self.shapes(sensing.shapes), env.single_action_space), sensing)

    def policy(self, shapes: Shapes, action_space: spaces.Space[Any]) -> ActorCritic:
        """The policy itself, for observations of these shapes, images already encoded.

        Raises:
            InvalidValueError: the weights belong to another architecture.
        """
        policy = build_policy(shapes, action_space, self.config.policy)
        self.load_into(policy)
        return policy.eval().requires_grad_(False)

    def save(self, folder: Path) -> None:
        """Write a folder that `load_policy` reads, in the shape of a run."""
        save_yaml(folder / CONFIG, self.config)
        save_checkpoint(folder / BEST, {"policy": self.state})
        if self.encoder is not None:
            with explained(f"write {folder}"):
                shutil.copytree(self.run / ENCODER, folder / ENCODER, dirs_exist_ok=True)


def load_policy(path: Path | str) -> TrainedPolicy:
    """The policy of a run that learned by reinforcement; see `load_trained`.

    Raises:
        MissingFileError: nothing is there.
        InvalidValueError: what is there is no run or checkpoint, or learned from demonstrations.
    """
    trained = load_trained(path)
    if isinstance(trained, TrainedImitator):
        raise InvalidValueError(
            f"{path} holds a policy that learned from demonstrations; expected one that learned by reinforcement"
        )
    return trained


def load_trained(path: Path | str) -> TrainedPolicy | TrainedImitator:
    """The policy of a run (its best, or else its latest checkpoint) or of one checkpoint.

    Raises:
        MissingFileError: nothing is there.
        InvalidValueError: what is there is no run or checkpoint; files are never unpickled.
    """
    path = Path(path)
    if not path.exists():
        hint = did_you_mean_run(path) or "; expected a run folder or a checkpoint folder"
        raise MissingFileError(f"{path} does not exist{hint}")
    if path.is_file():
        raise InvalidValueError(
            f"{path} is a file; expected a run folder or a checkpoint folder (pickled models are never loaded)"
        )
    checkpoint = _choose_checkpoint(path) if (path / CONFIG).exists() else path
    run = next((parent for parent in (checkpoint, *checkpoint.parents) if (parent / CONFIG).exists()), None)
    if run is None:
        raise MissingFileError(
            f"neither {path} nor a folder above it holds a {CONFIG}; expected a run or a checkpoint of one"
            f"{did_you_mean_run(path)}"
        )
    config = read_config(run)
    state = load_checkpoint(checkpoint)
    weights = state.get("policy") or acting_weights(state, checkpoint)
    if isinstance(config, CloningRunConfig):
        return TrainedImitator(weights, checkpoint, run, config, Interface.load(run))
    return TrainedPolicy(weights, checkpoint, run, config, read_encoder(config, run))


def _choose_checkpoint(run: Path) -> Path:
    if standing(run / BEST).exists():
        return run / BEST
    latest = latest_checkpoint(run)
    if latest is None:
        check_undamaged(run)
        raise MissingFileError(f"{run} holds no policy yet: neither {BEST}/ nor a checkpoint")
    return latest


def acting_weights(state: Mapping[str, Any], checkpoint: Path) -> dict[str, Any]:
    """Of a run's state, those of the policy that acts.

    Raises:
        InvalidValueError: it is the state of something else.
    """
    algorithm = state.get("algorithm")
    if not isinstance(algorithm, dict) or "policy" not in algorithm:
        raise InvalidValueError(f"{checkpoint} holds no policy; expected a checkpoint written by 'poise train'")
    weights: dict[str, Any] = algorithm.get("averaged") or algorithm["policy"]
    return weights


def read_encoder(config: RunConfig, run: Path) -> FrozenDepthEncoder | None:
    """The encoder that a run's policy sees through; None for one without cameras."""
    if config.policy.encoder is None:
        return None
    try:
        return FrozenDepthEncoder.load(run / ENCODER, config.policy.encoder_precision)
    except MissingFileError as error:
        raise PoiseError(f"{run} lacks its encoder ({ENCODER}/), so its policy cannot see: {error}") from error
