"""A training run that learns from demonstrations, and which kind of run a configuration is of."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, model_validator

from poise.config import Config, parse
from poise.imitation.config import AnyImitationPolicyConfig, CloningConfig, CloningPolicyConfig
from poise.training.config import CheckpointConfig, RunConfig, TrainingConfig, WorldConfig


class DemonstrationsConfig(Config):
    """What is learned from."""

    folder: str = Field(description="of a data set in LeRobot's format, such as poise demos makes")
    episodes: int | None = Field(None, ge=2, description="learn from the first so many; by default from all")
    validation: float = Field(0.1, gt=0, lt=1, description="share of the demonstrations that is held out")
    height: int | None = Field(None, ge=8, le=1024, description="that pictures are brought to; by default theirs")
    width: int | None = Field(None, ge=8, le=1024, description="that pictures are brought to; by default theirs")

    @property
    def size(self) -> tuple[int, int] | None:
        """That pictures are brought to; None for theirs."""
        return None if self.height is None or self.width is None else (self.height, self.width)

    @model_validator(mode="after")
    def _sized_both_ways(self) -> Self:
        if (self.height is None) != (self.width is None):
            raise ValueError("height and width go together: give both, or neither")
        return self


class ActingConfig(WorldConfig):
    """What can be acted in; who learns from demonstrations alone needs none."""

    id: str = Field("", description="gymnasium's id of the environment; by default none is named")


class DaggerConfig(Config):
    """How an expert is asked while the policy learns, what it would have done where the policy got to."""

    expert: str = Field("expert", description="who is asked: a name that poise evaluate knows, or a run")
    every: int = Field(5, ge=1, description="epochs between rounds")
    episodes: int = Field(50, ge=1, description="of a round, in which the policy acts")
    decisions: int = Field(
        10_000, ge=1, description="that are learned from at most, those of the demonstrations included"
    )
    mixing: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of the first round's decisions that the expert makes; its square of the next's",
    )


class CloningRunConfig(TrainingConfig):
    """A training run that learns from demonstrations; a step is an epoch."""

    total_steps: int = Field(40, ge=1, description="epochs: how often each demonstration is learned from")
    stop_at: int | None = Field(None, ge=1, description="stop early, after so many epochs; by default after all")
    demonstrations: DemonstrationsConfig = Field(description="what is learned from")
    env: ActingConfig = ActingConfig()
    dagger: DaggerConfig | None = Field(
        None, description="ask an expert what it would have done where the policy got to; by default it is not asked"
    )
    policy: AnyImitationPolicyConfig = CloningPolicyConfig()
    algorithm: CloningConfig = CloningConfig()
    checkpoint: CheckpointConfig = CheckpointConfig(every=10)

    @model_validator(mode="after")
    def _acts_somewhere(self) -> Self:
        wishes = {
            "env.options": self.env.options,
            "evaluation.every": self.evaluation.every,
            "evaluation.options": self.evaluation.options,
            "video.when": self.video.when != "never",
            "dagger": self.dagger,
        }
        wished = next((name for name, value in wishes.items() if value), None)
        if wished is not None and not self.env.id:
            raise ValueError(f"{wished} needs env.id: no environment is named")
        return self


AnyRunConfig = RunConfig | CloningRunConfig


def parse_run(content: Any, where: str) -> AnyRunConfig:
    """The configuration of a run: who names demonstrations learns from them, all others by reinforcement.

    Raises:
        InvalidValueError: a value or a key is wrong.
    """
    if isinstance(content, Mapping) and "demonstrations" in content:
        return parse(CloningRunConfig, content, where)
    return parse(RunConfig, content, where)
