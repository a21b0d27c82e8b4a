"""A training run that learns from demonstrations, and which kind of run a configuration is of."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from poise.config import Config, parse
from poise.imitation.config import AnyImitationPolicyConfig, CloningConfig, CloningPolicyConfig
from poise.training.config import CheckpointConfig, RunConfig, TrainingConfig


class DemonstrationsConfig(Config):
    """What is learned from."""

    folder: str = Field(description="of a data set in LeRobot's format, such as poise demos makes")
    episodes: int | None = Field(None, ge=2, description="learn from the first so many; by default from all")
    validation: float = Field(0.1, gt=0, lt=1, description="share of the demonstrations that is held out")
    height: int | None = Field(None, ge=8, le=1024, description="that pictures are brought to; by default theirs")
    width: int | None = Field(None, ge=8, le=1024, description="that pictures are brought to; by default theirs")


class CloningRunConfig(TrainingConfig):
    """A training run that learns from demonstrations; a step is an epoch."""

    total_steps: int = Field(40, ge=1, description="epochs: how often each demonstration is learned from")
    demonstrations: DemonstrationsConfig = Field(description="what is learned from")
    policy: AnyImitationPolicyConfig = CloningPolicyConfig()
    algorithm: CloningConfig = CloningConfig()
    checkpoint: CheckpointConfig = CheckpointConfig(every=10)


AnyRunConfig = RunConfig | CloningRunConfig


def parse_run(content: Any, where: str) -> AnyRunConfig:
    """The configuration of a run: who names demonstrations learns from them, all others by reinforcement.

    Raises:
        InvalidValueError: a value or a key is wrong.
    """
    if isinstance(content, Mapping) and "demonstrations" in content:
        return parse(CloningRunConfig, content, where)
    return parse(RunConfig, content, where)
