"""Policies that imitate: what they have in common, and the one that predicts an action at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from poise.errors import InvalidValueError, did_you_mean
from poise.imitation import spherical
from poise.imitation.batches import Batch, Corpus
from poise.imitation.config import CloningConfig, CloningPolicyConfig, ImitationPolicyConfig
from poise.imitation.eyes import Body, Eye, Scales
from poise.imitation.losses import cloning_loss, magnitude_weights
from poise.imitation.pictures import check_range, pictures_among
from poise.imitation.published import load_published
from poise.nn import Memory, MlpModel, forget
from poise.nn.frames import Frames, dense
from poise.nn.memory import States
from poise.nn.precision import is_low
from poise.policies.actor_critic import Shapes


class ImitationPolicy(nn.Module, ABC):
    """Sees, and says what an expert would do.

    Args:
        shapes: of the components that it sees; those with three axes are pictures.
        action_width: numbers in an action.
        config: what it is made of.
        scales: of the components and of actions.

    Raises:
        InvalidValueError: spherical coordinates are for three numbers only.
    """

    middle: Tensor
    reach: Tensor

    def __init__(self, shapes: Shapes, action_width: int, config: ImitationPolicyConfig, scales: Scales) -> None:
        super().__init__()
        self.config = config
        self.shapes = {name: tuple(shape) for name, shape in shapes.items()}
        self.action_width = action_width
        self.is_spherical = config.coordinates == "spherical"
        if self.is_spherical and action_width != 3:
            raise InvalidValueError(
                f"policy.coordinates 'spherical' are of actions of 3 numbers, not of {action_width}"
            )
        self.outputs = spherical.OUTPUTS if self.is_spherical else action_width
        self.cameras = {name.replace(".", "/"): name for name in pictures_among(shapes)}  # modules' names have no dots
        self.eyes = nn.ModuleDict(
            {key: Eye(shapes[name], config.backbone, scales.components[name]) for key, name in self.cameras.items()}
        )
        felt = {name: shape for name, shape in shapes.items() if name not in self.cameras.values()}
        self.body = Body(felt, scales.components) if felt else None
        middle, reach = (torch.tensor(values, dtype=torch.float32) for values in scales.actions)
        if self.is_spherical:  # a length needs one measure for all of its numbers
            middle, reach = torch.zeros_like(middle), (middle.abs() + reach).amax().expand(action_width)
        self.register_buffer("middle", middle)
        self.register_buffer("reach", reach.clone())
        self._low = is_low(config.precision)

    def load_published(self) -> None:
        """Begin with the weights that the configuration names a file of, if it does.

        Raises:
            InvalidValueError: they are of another architecture.
            PoiseError: the file is missing, or cannot be read.
        """
        if self.config.backbone.weights is not None:
            for eye in self.eyes.values():
                load_published(eye.backbone, Path(self.config.backbone.weights))  # type: ignore[arg-type]

    @abstractmethod
    def batches(self, corpus: Corpus, config: CloningConfig, generator: torch.Generator) -> Iterator[Batch]:
        """Every demonstration once, as it learns from them."""

    @abstractmethod
    def loss(self, batch: Batch, states: States, config: CloningConfig) -> tuple[Tensor, dict[str, Tensor]]:
        """How far it is from an expert, and what it remembers after the batch."""

    @abstractmethod
    def infer(self, observation: Mapping[str, Any], states: States) -> tuple[Tensor, dict[str, Tensor]]:
        """Actions (N, A) for components (N, ...), and what is remembered after them.

        Raises:
            InvalidValueError: a component is missing, or not as the policy sees it.
        """

    def admitted(self, observation: Mapping[str, Any]) -> dict[str, Tensor]:
        """The components (N, ...) that it sees, as they are, once they are found to be what it sees.

        Raises:
            InvalidValueError: one is missing, of another shape or type, or a picture is neither uint8 nor in [0, 1].
        """
        found: dict[str, Tensor] = {}
        for name, shape in self.shapes.items():
            value = dense(observation[name]) if name in observation else None
            if (
                not isinstance(value, Tensor)
                or value.ndim != 1 + len(shape)
                or value.shape[1:] != shape
                or len({len(value), *map(len, found.values())}) > 1
            ):
                raise InvalidValueError(_misfit(name, shape, observation))
            if name in self.cameras.values():
                check_range(name, value)
            elif value.dtype == torch.float64:
                raise InvalidValueError(f"'{name}' must be float32, got float64")
            found[name] = value
        return found

    def actions(self, outputs: Tensor) -> Tensor:
        """What a head says (..., outputs) as actions (..., A)."""
        return self.middle + self.reach * (self._directed(outputs) if self.is_spherical else outputs.tanh())

    @staticmethod
    def _directed(outputs: Tensor) -> Tensor:
        return spherical.to_cartesian(spherical.read(outputs)).clamp(-1.0, 1.0)

    def in_reach(self, actions: Tensor) -> Tensor:
        """Actions (..., A) in [-1, 1], as they are learned."""
        return (actions - self.middle) / self.reach

    @property
    def largest(self) -> Tensor:
        """(A,) largest magnitudes of actions that can be said, of each number."""
        return self.middle.abs() + self.reach

    def distance(self, outputs: Tensor, batch: Batch, config: CloningConfig, discount: float = 1.0) -> Tensor:
        """The loss of what a head says (K, N, outputs), each of K counting `discount` as much as the one before."""
        said = outputs if self.is_spherical else outputs.tanh()
        return cloning_loss(
            said,
            self.in_reach(batch.actions),
            batch.valid * discount ** torch.arange(len(outputs), device=outputs.device).unsqueeze(-1),
            weights=magnitude_weights(batch.actions / self.largest) if config.weighted else 1.0,
            delta=config.huber_delta,
            is_spherical=self.is_spherical,
        )

    def in_precision(self) -> Any:
        """A context in which it multiplies in the precision that it learns in."""
        return torch.autocast("cpu", torch.bfloat16, enabled=self._low and self.training)


def _misfit(name: str, expected: tuple[int, ...], observation: Mapping[str, Any]) -> str:
    """What to say of a component that is missing, no tensor, of another shape, or of more or fewer robots."""
    shape = f"({', '.join(map(str, ('N', *expected)))}), N being the same for all components"
    if name not in observation:
        given = ", ".join(map(repr, observation)) or "nothing"
        return f"the policy sees '{name}', a tensor {shape}, got {given}{did_you_mean(name, observation)}"
    value = observation[name]
    got = tuple(value.shape) if isinstance(value, Tensor | Frames) else type(value).__name__
    return f"'{name}' must be a tensor {shape}, got {got}"


class VisuomotorBCPolicy(ImitationPolicy):
    """Behavioural cloning: an action at a time.

    pictures ─► backbone ─► features ─┬─► (memory) ─► perceptron with dropout ─► tanh, or length and direction
    state ─► unit scale ──────────────┘
    """

    config: CloningPolicyConfig

    def __init__(self, shapes: Shapes, action_width: int, config: CloningPolicyConfig, scales: Scales) -> None:
        super().__init__(shapes, action_width, config, scales)
        width = sum(eye.width for eye in self.eyes.values()) + (self.body.width if self.body else 0)  # type: ignore[misc]
        self.memory: Memory | None = None
        if config.memory is not None:
            kind = config.memory
            self.memory = Memory(width, kind.type, kind.num_layers, kind.hidden_size)
            width = kind.hidden_size
        self.head = MlpModel(width, config.hidden_sizes, self.outputs, dropout=config.dropout)

    def batches(self, corpus: Corpus, config: CloningConfig, generator: torch.Generator) -> Iterator[Batch]:
        """Single decisions, or with memory windows of demonstrations side by side."""
        if self.memory is None:
            return corpus.frames(config.batch_size, generator)
        lanes = min(max(config.batch_size // config.window, 1), corpus.episodes)
        return corpus.streams(lanes, config.window, generator)

    def loss(self, batch: Batch, states: States, config: CloningConfig) -> tuple[Tensor, dict[str, Tensor]]:
        """Over windows (T, N) of demonstrations, or single decisions (1, N), which remember nothing."""
        with self.in_precision():
            features = self._features(batch.observation, 2)
            found, after = self._remembered(features, states, batch.starts)
            outputs = self.head(found)
        return self.distance(outputs.float(), batch, config), {name: state.detach() for name, state in after.items()}

    @torch.no_grad()
    def infer(self, observation: Mapping[str, Any], states: States) -> tuple[Tensor, dict[str, Tensor]]:
        """Actions (N, A) for components (N, ...), and what is remembered after them."""
        features = self._features(self.admitted(observation), 1)
        after: dict[str, Tensor] = {}
        if self.memory is not None:
            features, after = self.memory.step(features, states or self.memory.initial_states(len(features)))
        return self.actions(self.head(features)), after

    def _features(self, observation: Mapping[str, Tensor], leading: int) -> Tensor:
        """Components (..., shape) to (..., F)."""
        seen = [self.eyes[key](observation[name]) for key, name in self.cameras.items()]
        felt = [self.body(observation, leading)] if self.body is not None else []
        return torch.cat([*seen, *felt], dim=-1)

    def _remembered(self, features: Tensor, states: States, starts: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """(T, N, F) to what the head reads, step by step, nothing being remembered where a demonstration starts."""
        if self.memory is None:
            return features, {}
        after = dict(states) or self.memory.initial_states(features.shape[1])
        outputs = []
        for step, begins in zip(features, starts, strict=True):
            output, after = self.memory.step(step, forget(after, begins))
            outputs.append(output)
        return torch.stack(outputs), after
