"""An agent that acts as its policy does, and a record of what went on inside meanwhile."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray
from torch import Tensor

from poise.fusion import ObsSegments
from poise.inspection.moments import Array, Moments, Thinned
from poise.nn import forget
from poise.nn.frames import dense
from poise.policies import ActorCritic, PolicyAgent
from poise.policies.agents import finite
from poise.policies.fusing import FusionMixin
from poise.policies.look import HiddenStates, TensorObservation
from poise.policies.sensing import ARRAY, Sensing
from poise.policies.watching import gradients, watch

EVERY = 5
"""Decisions between those in which all robots are watched; the first robot is in all."""
_SHOWN, _LEARNED, _TOGETHER = 256, 75, 16
"""Images kept of the robot that is shown; and times at which others' are, of so many robots at most."""
_CODE_LIMIT = 0.99
"""Of a frozen encoder's codes, which a tanh keeps within 1."""

Arrays = dict[str, NDArray[np.float32]]


class Moment(NamedTuple):
    """One decision of the robot that is shown."""

    decision: int
    weights: Arrays
    """{modality: (n,)} how much of each token is looked at."""
    squares: Arrays
    """{name: (n,)} squared derivatives by each feature, summed over the actions."""


class Sight(NamedTuple):
    """Images of some robots, {camera: (B, ...)}, and what has been made of them."""

    decision: int
    pictures: Arrays
    codes: Arrays
    weights: Arrays


@dataclass
class Record:
    """What went on inside, over an evaluation.

    Attributes:
        sensed: moments of each component as it was sensed.
        features: of each part where modalities meet.
        squares: {name: (n,)} sums of the squared derivatives of all actions by each feature.
        attention: {modality: (n,)} sums of the weights of its tokens.
        watched: decisions that these are sums of.
        moments: of the robot that is shown, in order.
        shown: what it saw.
        learned: what others saw, to learn to draw it again.
    """

    sensed: dict[str, Moments] = field(default_factory=dict)
    features: dict[str, Moments] = field(default_factory=dict)
    squares: dict[str, Array] = field(default_factory=dict)
    attention: dict[str, Array] = field(default_factory=dict)
    watched: int = 0
    moments: list[Moment] = field(default_factory=list)
    shown: Thinned[Sight] = field(default_factory=lambda: Thinned(_SHOWN))
    learned: Thinned[Sight] = field(default_factory=lambda: Thinned(_LEARNED))

    def mean_squares(self) -> dict[str, Array]:
        """{name: (n,)} of the derivatives by each feature, summed over the actions."""
        return {name: total / max(self.watched, 1) for name, total in self.squares.items()}

    def mean_attention(self) -> dict[str, Array]:
        """{modality: (n,)} of the weights of its tokens."""
        return {name: total / max(self.watched, 1) for name, total in self.attention.items()}


class RecordingAgent:
    """Acts as its policy does, bit for bit, and records it.

    Args:
        agent: in charge.
        env: what it is in charge of; says what limits there are.
        apart: whether components are watched before a fusion makes modalities of them.
        record: what is added to.
        shows: whether the first robot is the one that is shown.
        stack: images that the cameras show at a time, the latest first, which is the one that is recorded.
    """

    def __init__(
        self,
        agent: PolicyAgent,
        env: VectorEnv[Any, Any, Any],
        apart: bool,
        record: Record,
        shows: bool,
        stack: int = 1,
    ) -> None:
        self._stack = stack
        assert isinstance(agent.sensing, Sensing)
        self._sensing = agent.sensing
        self._policy: ActorCritic = agent.policy  # type: ignore[assignment]
        self._space, self._scale = env.single_observation_space, action_scale(env.single_action_space)
        self._apart, self._record, self._shows = apart, record, shows
        self._states: HiddenStates = {}
        self._running = np.ones(env.num_envs, np.bool_)
        self._decision = 0

    def act(self, observation: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """The most likely actions (N, A)."""
        pictures, seen = self._latest(observation), self._sensing(observation)
        with torch.no_grad():
            actions, after = self._policy.infer(seen, self._states)
        seen = {name: dense(value) for name, value in seen.items()}
        shows = self._shows and bool(self._running[0])
        everybody = self._decision % EVERY == 0
        rows = np.flatnonzero(self._running) if everybody else np.zeros(int(shows), np.int64)
        if len(rows):
            self._watch(_rows(seen, rows, 0), _rows(self._states, rows, 1), _picked(pictures, rows), shows, everybody)
        self._states = after
        self._decision += 1
        return finite(actions)

    def reset(self, dones: NDArray[np.bool_]) -> None:
        """Forget the robots whose episode is over; what comes after their first is not recorded."""
        self._states = forget(self._states, dones)
        self._running &= ~dones

    def _latest(self, observation: Mapping[str, NDArray[Any]]) -> Arrays:
        """{camera: (N, C, H, W)} the latest image of each."""
        pictures = self._sensing.pictures(observation)
        return {name: images[:, : images.shape[1] // self._stack] for name, images in pictures.items()}

    def _watch(
        self, seen: TensorObservation, states: HiddenStates, pictures: Arrays, shows: bool, everybody: bool
    ) -> None:
        """Look on while some robots decide, of which the first may be the one that is shown."""
        record = self._record
        watched = watch(self._policy, seen, states, self._apart)
        squares = {name: _squared(value, self._scale) for name, value in gradients(watched).items()}
        weights = {name: _array(value) for name, value in watched.weights.items()}
        if everybody:
            self._add(seen, watched.features, squares, weights)
        if shows:
            first = [{name: value[0] for name, value in found.items()} for found in (weights, squares)]
            record.moments.append(Moment(self._decision, *first))
        if pictures:
            codes = self._codes(seen, watched.features, pictures)
            sight = Sight(self._decision, pictures, codes, weights)
            if shows:
                record.shown.add(lambda: _some(sight, slice(0, 1)))
            if everybody and len(next(iter(pictures.values()))) > shows:
                record.learned.add(lambda: _some(sight, slice(int(shows), _TOGETHER + int(shows))))

    def _add(self, seen: TensorObservation, features: Mapping[str, Tensor], squares: Arrays, weights: Arrays) -> None:
        record = self._record
        for name, value in seen.items():
            if name not in record.sensed:
                record.sensed[name] = Moments(*self._limits(name, tuple(value.shape[1:])))
            record.sensed[name].add(_array(value))
        for name, value in features.items():
            record.features.setdefault(name, Moments()).add(_array(value))
        for sums, found in ((record.squares, squares), (record.attention, weights)):
            for name, array in found.items():
                sums[name] = sums.get(name, 0.0) + array.sum(0, dtype=np.float64)
        record.watched += len(next(iter(squares.values())))

    def _limits(self, name: str, shape: tuple[int, ...]) -> tuple[Any, Any]:
        """Of a component as the policy is given it: of another shape than the environment's, it is a code."""
        low, high = limits_of(self._space, self._policy.config.obs_segments)[name]
        return (low, high) if np.shape(low) == shape else (-_CODE_LIMIT, _CODE_LIMIT)

    def _codes(self, seen: TensorObservation, features: Mapping[str, Tensor], pictures: Arrays) -> Arrays:
        """{camera: (B, n)} what has been made of each image: by the frozen encoder, or by the policy's own."""
        result = {}
        for name, picture in pictures.items():
            frozen = seen[name].dim() != picture.ndim
            made = seen[name] if frozen else features.get(_holder(self._policy, name, features))
            if made is not None and made[0].numel() != picture[0].size:
                result[name] = _array(made.flatten(1))
        return result


def action_scale(space: spaces.Space[Any]) -> NDArray[np.float32]:
    """(K,) or (1,): half the range of each action; 1 where there is no range, or actions are choices."""
    if not isinstance(space, spaces.Box):
        return np.ones(1, np.float32)
    half = (space.high.astype(np.float64) - space.low) / 2
    return np.where(np.isfinite(half) & (half > 0), half, 1.0).astype(np.float32)


def limits_of(space: spaces.Space[Any], segments: Mapping[str, Any] | None) -> dict[str, tuple[Any, Any]]:
    """Least and greatest of each component, as the environment tells them."""
    if isinstance(space, spaces.Dict):
        return {name: (part.low, part.high) for name, part in space.items() if isinstance(part, spaces.Box)}
    if not isinstance(space, spaces.Box):
        return {}
    if segments is None:
        return {ARRAY: (space.low, space.high)}
    low, high = (ObsSegments(segments).split(torch.from_numpy(bound)) for bound in (space.low, space.high))
    return {name: (low[name].numpy(), high[name].numpy()) for name in low}


def _holder(policy: ActorCritic, camera: str, features: Mapping[str, Tensor]) -> str:
    """What `watch` calls the place where a camera is."""
    if camera in features or not isinstance(policy, FusionMixin):
        return camera
    return next((name for name, group in policy.fusion.modalities.groups.items() if camera in group.shapes), camera)


def _squared(values: Tensor, scale: NDArray[np.float32]) -> NDArray[np.float32]:
    """(K, N, ...) derivatives to (N, n): their squares, in units of each action's scale, summed over the actions."""
    flat = values.flatten(2) if values.dim() > 2 else values[..., None]
    return _array((flat / torch.from_numpy(scale)[:, None, None]).square().sum(0))


def _array(values: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = values.detach().numpy()
    return array


def _rows(values: Mapping[str, Tensor], rows: NDArray[np.int64], axis: int) -> dict[str, Tensor]:
    index = torch.from_numpy(rows)
    return {name: value.index_select(axis, index) for name, value in values.items()}


def _picked(pictures: Arrays, rows: NDArray[np.int64]) -> Arrays:
    return {name: value[rows] for name, value in pictures.items()}


def _some(sight: Sight, rows: slice) -> Sight:
    """Of a few robots, in memory of its own."""
    parts = ({name: value[rows].copy() for name, value in part.items()} for part in sight[1:])
    return Sight(sight.decision, *parts)
