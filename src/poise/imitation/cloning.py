"""Behavioural cloning: a policy learns to do what experts did, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import AdamW
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from poise.errors import DivergedError
from poise.imitation.augmentation import augment
from poise.imitation.batches import Batch, Corpus
from poise.imitation.config import CloningConfig
from poise.imitation.pictures import pictures_among
from poise.imitation.policy import ImitationPolicy
from poise.nn.memory import States


class Cloning:
    """Learns from demonstrations in memory.

    Args:
        policy: learns.
        config: how.
        seed: of the order of samples and of what augmentation draws.

    Attributes:
        acting_policy: the running average of the weights, which acts.
    """

    def __init__(self, policy: ImitationPolicy, config: CloningConfig, seed: int) -> None:
        self.policy = policy
        self.config = config
        self._averaged = AveragedModel(policy, multi_avg_fn=get_ema_multi_avg_fn(config.averaging)).eval()
        self._averaged.requires_grad_(False)
        self._optimizer = AdamW(policy.parameters(), config.learning_rate, weight_decay=config.weight_decay, fused=True)
        self._schedule = ReduceLROnPlateau(
            self._optimizer, factor=config.reduction, patience=config.patience, threshold=config.least_improvement
        )
        self._generator = torch.Generator().manual_seed(seed)
        self._seed = seed

    def load_published(self) -> None:
        """Begin with published weights, if the policy's configuration names some.

        Raises:
            PoiseError: they cannot be read, or are of something else.
        """
        self.policy.load_published()
        self.acting_policy.load_state_dict(self.policy.state_dict())

    @property
    def acting_policy(self) -> ImitationPolicy:
        """The running average of the weights."""
        return cast(ImitationPolicy, self._averaged.module)

    def epoch(self, corpus: Corpus, held_out: Corpus) -> dict[str, float]:
        """Once through the demonstrations, then a look at those held out; returns metrics.

        Raises:
            DivergedError: the loss is not finite.
        """
        loss = self.learn(corpus)
        validation = self.validate(held_out)
        self._schedule.step(validation)
        rate = self._optimizer.param_groups[0]["lr"]
        return {"update/loss": loss, "validation/loss": validation, "update/learning_rate": rate}

    def learn(self, corpus: Corpus) -> float:
        """Once through the demonstrations; returns the mean loss.

        Raises:
            DivergedError: it is not finite.
        """
        self.policy.train()
        total, count = torch.zeros(()), 0
        states: dict[str, Tensor] = {}
        for batch in self.policy.batches(corpus, self.config, self._generator):
            loss, states = self._step(self._augmented(batch), states)
            total, count = total + loss * len(batch), count + len(batch)
        mean = float(total) / count
        if not mean < float("inf"):
            raise DivergedError("the loss is not finite: lower algorithm.learning_rate")
        return mean

    @torch.no_grad()
    def validate(self, corpus: Corpus) -> float:
        """The mean loss of the policy that acts; nothing is augmented, and the batches are always the same."""
        losses, counts = [], []
        states: dict[str, Tensor] = {}
        for batch in self.policy.batches(corpus, self.config, torch.Generator().manual_seed(self._seed)):
            loss, states = self.acting_policy.loss(batch, states, self.config)
            losses.append(loss)
            counts.append(int(batch.valid.sum()))
        weights = torch.tensor(counts, dtype=torch.float32)
        return float((torch.stack(losses) * weights).sum() / weights.sum())

    def _step(self, batch: Batch, states: States) -> tuple[Tensor, dict[str, Tensor]]:
        """One of the optimiser's."""
        loss, states = self.policy.loss(batch, states, self.config)
        self._optimizer.zero_grad()
        loss.backward()
        clip_grad_norm_(self.policy.parameters(), self.config.max_grad_norm)
        self._optimizer.step()
        self._averaged.update_parameters(self.policy)
        return loss.detach(), states

    def _augmented(self, batch: Batch) -> Batch:
        """With pictures changed: those of a sample that follow one another, and those of its cameras, alike."""
        if not self.config.augmentation.is_on:
            return batch
        changed = dict(batch.observation)
        before = self._generator.get_state()
        for name in pictures_among({name: values.shape[2:] for name, values in changed.items()}):
            self._generator.set_state(before)
            changed[name] = augment(changed[name], self.config.augmentation, self._generator)
        return batch.seeing(changed)

    # --- stopping and going on ----------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Weights and their average, optimiser, schedule and random generator."""
        return {
            "policy": self.policy.state_dict(),
            "averaged": self.acting_policy.state_dict(),
            "averaged_steps": self._averaged.n_averaged,
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "generator": self._generator.get_state(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from `state()`."""
        self.policy.load_state_dict(state["policy"])
        self.acting_policy.load_state_dict(state["averaged"])
        self._averaged.n_averaged.copy_(state["averaged_steps"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self._generator.set_state(state["generator"])
