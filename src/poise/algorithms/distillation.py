"""Teacher-student distillation: a student learns to act as a teacher does who is told more.

DAgger (Ross, Gordon and Bagnell, arXiv 1011.0686): the student is taught in the states it gets into by its own acting,
and at first in those the teacher gets into. What is minimised is KL(teacher || student), over the rollout.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from poise.algorithms.on_policy import OnPolicyAlgorithm
from poise.algorithms.optimization import OptimizationConfig
from poise.algorithms.schedules import Schedule, ScheduledShare, value_at
from poise.nn import forget
from poise.policies import ActorCritic, HiddenStates
from poise.storage import Minibatch, Rollout

COLUMNS = ("actions", "teacher_distributions", "teacher_actions")


class DistillationConfig(OptimizationConfig):
    """Learning to act as a teacher does."""

    name: Literal["distillation"] = Field(description="teacher and student")
    teacher: str = Field(description="folder of the teacher's run, or of a checkpoint")
    teacher_share: ScheduledShare = Field(
        Schedule(values=(1.0, 0.0), fractions=(0.0, 0.2)), description="of the episodes in which the teacher acts"
    )

    @model_validator(mode="after")
    def _averages_for_evaluation(self) -> Self:
        if self.ewma is not None and self.ewma.role != "evaluation":
            raise ValueError("ewma.role must be 'evaluation': nothing is clipped here")
        return self


class DistillationDecision(NamedTuple):
    """What one of the two does, and what the teacher would."""

    actions: Tensor
    teacher_actions: Tensor
    """Its most likely ones."""
    teacher_distributions: Tensor

    def columns(self) -> dict[str, Tensor]:
        """For `Rollout.add`."""
        return self._asdict()


class Distillation(OnPolicyAlgorithm):
    """Trains an actor to act as a teacher does.

    Args:
        policy: the student. Its critic learns nothing.
        config: hyper-parameters.
        teacher: what it learns from; its actor reads the same observations, other components of them.
        threads: that share each minibatch in an update.
    """

    def __init__(self, policy: ActorCritic, config: DistillationConfig, teacher: ActorCritic, threads: int = 1) -> None:
        super().__init__(policy, config, threads)
        self.config = config
        self.teacher = teacher
        self._teachers = tuple(teacher.segments["actor"].shapes)  # and not what the student's mixins draw
        self._teacher_states: HiddenStates = {}
        self._share = value_at(config.teacher_share, 0.0)
        self._teacher_acts = torch.zeros(0, dtype=torch.bool)

    @torch.no_grad()
    def act(self, observation: Mapping[str, Tensor]) -> DistillationDecision:
        """The teacher's most likely actions, or what the student draws."""
        if not len(self._teacher_acts):
            self.reset(torch.ones(len(next(iter(observation.values()))), dtype=torch.bool))
        student, _ = self._step(observation)
        told = {name: observation[name] for name in self._teachers if name in observation}
        teacher, self._teacher_states = self.teacher.decide(told, self._teacher_states)
        drawn, shown = student.sample(), teacher.mode
        teacher_acts = self._teacher_acts.view(-1, *[1] * (shown.dim() - 1))
        return DistillationDecision(torch.where(teacher_acts, shown, drawn), shown, teacher.parameters)

    def reset(self, dones: Tensor) -> None:
        """Forget the environments (N,) whose episode is over, and draw who acts in the next one."""
        super().reset(dones)
        self._teacher_states = forget(self._teacher_states, dones)
        before = self._teacher_acts if len(self._teacher_acts) else torch.zeros(len(dones), dtype=torch.bool)
        self._teacher_acts = torch.where(dones.bool(), torch.rand(len(dones)) < self._share, before)

    def update(self, rollout: Rollout, last_values: Tensor, fraction: float) -> dict[str, float]:
        """Learn from a full rollout."""
        metrics = self._learn(rollout, COLUMNS, _loss, fraction) | {"teacher_share": self._share}
        self._share = value_at(self.config.teacher_share, fraction)
        return metrics

    def state(self) -> dict[str, Any]:
        """Everything needed to continue bit for bit; the teacher stays as it is."""
        return super().state() | {
            "teacher_states": dict(self._teacher_states),
            "teacher_acts": self._teacher_acts,
            "teacher_share": self._share,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from `state()` with the same teacher and the same student."""
        super().load_state(state)
        self._teacher_states = state["teacher_states"]
        self._teacher_acts = state["teacher_acts"]
        self._share = state["teacher_share"]

    def _values(self, observation: Mapping[str, Tensor], states: HiddenStates) -> Tensor:
        return torch.zeros(len(next(iter(observation.values()))))


def _loss(policy: ActorCritic, batch: Minibatch) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of some samples, and what to report of them: all means over the samples."""
    judged = policy.judge(batch.observations, batch.actions, batch.sequences)
    loss = imitation = judged.distribution.kl_from(batch.teacher_distributions).mean()
    for extra in judged.auxiliary_losses.values():
        loss = loss + extra
    with torch.no_grad():
        error = (judged.distribution.mode.float() - batch.teacher_actions.float()).square().mean()
    return loss, {"imitation_loss": imitation, "action_error": error, **judged.auxiliary_losses}
