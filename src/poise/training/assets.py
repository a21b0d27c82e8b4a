"""What a run reads from elsewhere when it begins. It keeps copies, and goes on when the originals are gone."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from poise.algorithms import AmpConfig, DistillationConfig, ReferenceMotion
from poise.errors import MissingFileError
from poise.files import explained
from poise.perception import FrozenDepthEncoder
from poise.training.config import RunConfig
from poise.training.trained import ENCODER, TrainedPolicy, load_policy, read_encoder

TEACHER = "teacher"
MOTION = "motion.safetensors"
INITIAL_POLICY = "initial_policy"


@dataclass(frozen=True)
class Assets:
    """What a configuration names by its path, read.

    Attributes:
        encoder: of the cameras' images.
        teacher: of a student.
        motion: a reference to move like.
        initial_policy: what the policy is at first.
    """

    encoder: FrozenDepthEncoder | None = None
    teacher: TrainedPolicy | None = None
    motion: ReferenceMotion | None = None
    initial_policy: TrainedPolicy | None = None

    @classmethod
    def named(cls, config: RunConfig) -> Self:
        """From where the configuration says.

        Raises:
            PoiseError: something is missing, damaged, or not what it should be.
        """
        source, precision = config.policy.encoder, config.policy.encoder_precision
        return cls(
            FrozenDepthEncoder.load(source, precision) if source else None,
            _policy("algorithm.teacher", teacher) if (teacher := _teacher(config)) else None,
            ReferenceMotion.load(motion) if (motion := _motion(config)) else None,
            _policy("initial_policy", config.initial_policy) if config.initial_policy else None,
        )

    @classmethod
    def kept(cls, config: RunConfig, run: Path) -> Self:
        """From a run's own copies.

        Raises:
            PoiseError: one is missing or damaged.
        """
        return cls(
            read_encoder(config, run),
            load_policy(run / TEACHER) if _teacher(config) else None,
            ReferenceMotion.load(run / MOTION) if _motion(config) else None,
            load_policy(run / INITIAL_POLICY) if config.initial_policy else None,
        )

    def keep(self, config: RunConfig, run: Path) -> None:
        """Copy everything into a run's folder."""
        with explained(f"write {run}"):
            run.mkdir(parents=True, exist_ok=True)
            if config.policy.encoder:
                source = Path(config.policy.encoder)
                source = source / ENCODER if (source / ENCODER).is_dir() else source
                shutil.copytree(source, run / ENCODER, dirs_exist_ok=True)
            if self.teacher is not None:
                self.teacher.save(run / TEACHER)
            if self.initial_policy is not None:
                self.initial_policy.save(run / INITIAL_POLICY)
            if self.motion is not None:
                self.motion.save(run / MOTION)


def _policy(setting: str, folder: str) -> TrainedPolicy:
    """A policy that a setting names."""
    if not Path(folder).exists():
        raise MissingFileError(f"{setting} names {folder}, which does not exist; train it first, or name another run")
    return load_policy(Path(folder))


def _teacher(config: RunConfig) -> str | None:
    return config.algorithm.teacher if isinstance(config.algorithm, DistillationConfig) else None


def _motion(config: RunConfig) -> str | None:
    return config.algorithm.motion if isinstance(config.algorithm, AmpConfig) else None
