"""One YAML file, one reproducible result: everything that determines a training run."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from poise.algorithms import AmpConfig, DistillationConfig, PPOConfig
from poise.algorithms.schedules import Scheduled
from poise.config import Config
from poise.policies import PolicyConfig
from poise.training.seeds import SELECTION_SEED


class WorldConfig(Config):
    """What is acted in."""

    id: str = Field("poise/Ballbot-v0", description="gymnasium's id of the environment")
    options: dict[str, Any] = Field(default_factory=dict, description="keyword arguments of the environment")


class EnvConfig(WorldConfig):
    """What is trained on."""

    num_envs: int = Field(64, ge=1, le=65536, description="environments side by side")


class EvaluationConfig(Config):
    """How progress is measured, on seeds never trained on."""

    every: int = Field(0, ge=0, description="steps between evaluations, the end is one too; 0 for none")
    episodes: int = Field(20, ge=1, le=100_000, description="episodes of each evaluation")
    seed: int = Field(SELECTION_SEED, ge=0, description="of the first episode; the others follow")
    options: dict[str, Any] = Field(
        default_factory=dict, description="environment options that replace the training's, by their first key"
    )
    metric: Literal["return", "success_rate", "speed"] = Field("return", description="what makes a policy the best")
    keep: Literal["best", "latest"] = Field(
        "best", description="the policy to keep: so few episodes hardly tell the best from the lucky"
    )


class EarlyStoppingConfig(Config):
    """Stop when evaluations no longer improve."""

    patience: int = Field(0, ge=0, description="evaluations without improvement before stopping; 0 never stops")
    min_improvement: float | None = Field(
        None, ge=0, description="of evaluation.metric that counts; by default 0.5 of return, 0.01 of the other two"
    )

    def counts(self, metric: str) -> float:
        """The improvement of a metric that counts."""
        if self.min_improvement is not None:
            return self.min_improvement
        return 0.5 if metric == "return" else 0.01


class CheckpointConfig(Config):
    """When the whole run is saved."""

    every: int = Field(100_000, ge=0, description="steps between checkpoints; 0 for one at the end only")
    keep: int = Field(2, ge=1, description="how many of the latest to keep")


class VideoConfig(Config):
    """When a video of the policy is made, in a process of its own."""

    when: Literal["never", "new_best", "evaluation"] | Annotated[int, Field(ge=1)] = Field(
        "never", description="on a new best policy, after every evaluation, or every so many steps"
    )
    seconds: float = Field(8.0, gt=0, description="length of a video, s")


def _algorithm_name(given: Any) -> Any:
    named = given.get("name", "ppo") if isinstance(given, Mapping) else getattr(given, "name", "ppo")
    return "ppo" if named is None else str(named)


AlgorithmConfig = Annotated[
    Annotated[PPOConfig, Tag("ppo")]
    | Annotated[AmpConfig, Tag("amp")]
    | Annotated[DistillationConfig, Tag("distillation")],
    Discriminator(_algorithm_name),
]
"""Of the algorithm that `name` chooses."""


class TrainingConfig(Config):
    """What every training run has."""

    seed: int = Field(0, ge=0, lt=2**63, description="determines the run on a given machine")
    total_steps: int = Field(
        1_000_000,
        ge=1,
        description="decisions, summed over the environments, in whole rollouts; every schedule spans them, so a short "
        "try sets stop_at instead",
    )
    stop_at: int | None = Field(
        None, ge=1, description="stop early, after so many steps, with every schedule where it is then; by default all"
    )
    threads: int = Field(
        0, ge=0, le=1024, description="for physics and cameras; 0 for all cores; results do not depend on it"
    )
    update_threads: int = Field(
        2, ge=1, le=64, description="that share the work of an update; another number rounds sums differently"
    )
    env: WorldConfig = WorldConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    early_stopping: EarlyStoppingConfig = EarlyStoppingConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    video: VideoConfig = VideoConfig()
    tensorboard: bool = Field(True, description="write TensorBoard files beside progress.csv")

    @property
    def last_step(self) -> int:
        """Where the training ends."""
        return self.total_steps if self.stop_at is None else min(self.stop_at, self.total_steps)

    @model_validator(mode="after")
    def _videos_have_their_occasion(self) -> Self:
        if self.video.when in ("new_best", "evaluation") and not self.evaluation.every:
            raise ValueError(f"video.when is '{self.video.when}', but evaluation.every is 0: there would be no video")
        return self


class RunConfig(TrainingConfig):
    """A training run that learns by reinforcement."""

    env: EnvConfig = EnvConfig()

    reward_weights: dict[str, Scheduled] = Field(
        default_factory=dict,
        description="weights that change as training goes on, by name, in place of those in env.options.rewards",
    )
    policy: PolicyConfig = PolicyConfig()
    initial_policy: str | None = Field(
        None, description="folder of a run or a checkpoint whose policy this one is at first, of the same architecture"
    )
    algorithm: AlgorithmConfig = PPOConfig()

    @model_validator(mode="after")
    def _discriminators_are_trained(self) -> Self:
        if self.policy.amp_discriminator is not None and not isinstance(self.algorithm, AmpConfig):
            raise ValueError(
                "policy.amp_discriminator is trained by algorithm.name 'amp' only; choose it or leave it out"
            )
        return self

    @model_validator(mode="after")
    def _rollouts_have_changes(self) -> Self:
        memory = self.policy.memory
        if memory is not None and memory.changes and self.algorithm.num_steps < 2:
            raise ValueError("algorithm.num_steps must be at least 2 with policy.memory.changes, got 1")
        return self

    @model_validator(mode="after")
    def _minibatches_have_samples(self) -> Self:
        samples = self.env.num_envs * self.algorithm.num_steps
        if self.algorithm.num_minibatches > samples:
            raise ValueError(
                f"algorithm.num_minibatches must be at most the {samples} samples of a rollout (env.num_envs x "
                f"algorithm.num_steps), got {self.algorithm.num_minibatches}"
            )
        if self.policy.is_recurrent and self.algorithm.num_minibatches > self.env.num_envs:
            raise ValueError(
                f"algorithm.num_minibatches must be at most env.num_envs ({self.env.num_envs}) for a policy with "
                f"memory, which learns from whole sequences, got {self.algorithm.num_minibatches}"
            )
        return self
