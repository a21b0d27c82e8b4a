"""Actor-critics that estimate what they are not told.

             ┌─► (memory) ─► network ─► estimates ──► loss against what the critic is told
components ──┤                              │
             └──────────────── some replaced by them ──► features

A state estimator and an adaptor of privileged knowledge are the same thing twice, with memories and losses of their
own; the adaptor comes first, so that the estimator may read its estimates.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from poise.errors import InvalidValueError
from poise.fusion import ObsSegments
from poise.nn import AnyMemory, MlpModel
from poise.policies.actor_critic import ActorCritic, Components, Shapes
from poise.policies.config import EstimatorConfig, MemoryConfig
from poise.policies.look import AnyObservation, Look, TensorObservation
from poise.policies.memories import build_memory, input_layers
from poise.policies.recurrent import ActorCriticRecurrent
from poise.policies.sharing import Role


class StateEstimator(nn.Module):
    """Estimates some components of an observation from others.

    Args:
        name: "estimator" or "adaptor", what its loss and its draws are called.
        config: what it reads and estimates, and how.
        actor, critic: components of what they see.
        memory: of the policy, None for one without.
    """

    def __init__(
        self, name: str, config: EstimatorConfig, actor: ObsSegments, critic: ObsSegments, memory: MemoryConfig | None
    ) -> None:
        super().__init__()
        self.name = name
        self.config = config
        self._actor = actor
        for key, names, seen in (("targets", config.targets, critic), ("observations", config.observations, actor)):
            try:
                seen.in_order(names)
            except InvalidValueError as error:
                reader = "critic" if seen is critic else "actor"
                raise InvalidValueError(f"policy.{name}.{key} are of what the {reader} sees: {error}") from None
        self._targets = ObsSegments({target: critic.shapes[target] for target in config.targets})
        self.memory: AnyMemory | None = None
        if config.use_actor_rnn:
            if memory is None:
                raise InvalidValueError(f"policy.{name}.use_actor_rnn needs a policy with memory; set policy.memory")
            width = memory.hidden_size
        else:
            width = actor.width(config.observations)
            if memory is not None:
                self.memory = build_memory(width, memory)
                width = self.memory.output_size
        if config.replace_prob > 0:
            for target in config.targets:
                actor.slice(target)  # what is replaced must be there
        self.width = width
        """Numbers it reads: of an actor's memory its outputs alone, which come first."""
        self.network = MlpModel(width, config.hidden_sizes, self._targets.size, config.activation)

    @property
    def draw(self) -> str:
        """Name of the component that tells in which samples the estimates are seen."""
        return f"{self.name}.replaces"

    def input_layer(self, components: ObsSegments) -> dict[str, ObsSegments]:
        """The tensor that has a column for each number it reads of these; none if that is the actor's memory."""
        if self.config.use_actor_rnn:
            return {}
        read = ObsSegments({n: shape for n, shape in components.shapes.items() if n in self.config.observations})
        reader = f"{self.name}.network.model.0.weight"
        return {reader: read} if self.memory is None else input_layers(f"{self.name}.memory", self.memory, reader, read)

    def estimate(self, components: Components, look: Look) -> Tensor:
        """(..., targets) from the components of the actor's observation."""
        features = self._actor.join(components, self.config.observations)
        if self.memory is not None:
            features = look.remember(self.name, self.memory, features)
        estimates: Tensor = self.network(features)
        return estimates

    def prepare(self, observation: TensorObservation) -> TensorObservation:
        """Draw in which samples the estimates are seen, where it is neither all nor none; what was drawn stays."""
        if not 0.0 < self.config.replace_prob < 1.0 or self.draw in observation:
            return observation
        some = next(iter(observation.values()))
        return {**observation, self.draw: torch.rand(len(some), device=some.device) < self.config.replace_prob}

    def replace(self, components: Components, estimates: Tensor, look: Look) -> Components:
        """The components with estimates in place of true values, in all samples unless some were drawn."""
        given = self.named(estimates.detach())
        drawn = look.observation.get(self.draw)
        if drawn is None:
            return components | given
        return components | {
            name: torch.where(drawn.view(*drawn.shape, *[1] * len(self._targets.shapes[name])), value, components[name])
            for name, value in given.items()
        }

    def named(self, estimates: Tensor) -> Components:
        """{target: (..., *shape)}."""
        return self._targets.split(estimates)

    def loss(self, estimates: Tensor, truth: Components) -> Tensor:
        """Weighted squared error: coef E[sum over components (estimate - truth)²], of normalised components."""
        error = estimates - self._targets.join(truth).detach()
        return self.config.coef * error.square().sum(-1).mean()


class _Estimating(ActorCritic):
    """What an estimator and an adaptor do to a policy."""

    def _estimators(self) -> list[StateEstimator]:
        """Those there are, in the order in which they estimate."""
        return []

    def prepare(self, observation: AnyObservation) -> TensorObservation:
        prepared = super().prepare(observation)
        for estimator in self._estimators():
            prepared = estimator.prepare(prepared)
        return prepared

    def normalized(self, look: Look, role: Role) -> Components:
        """What estimates stand for in all samples need not be there; to the critic it must."""
        blank = self._blank(look.observation) if role == "actor" else {}
        if not blank:
            return super().normalized(look, role)
        given = {**look.observation, **blank}
        return look.once("actor without what is estimated", lambda: self.extractor.components(given))

    def _blank(self, observation: TensorObservation) -> Components:
        """Zeros for components that are not there and whose estimates stand for them."""
        shapes = self.segments["actor"].shapes
        replaced = [name for name in self.config.replaced if name in shapes and name not in observation]
        if not replaced:
            return {}
        known = next(name for name in shapes if name in observation)
        leading = observation[known].shape[: observation[known].dim() - len(shapes[known])]
        return {name: observation[known].new_zeros(*leading, *shapes[name]) for name in replaced}

    def get_estimated_state(self) -> dict[str, Tensor]:
        """{target: (N, ...)} estimated at the last `act` or `act_inference`, in the observations' units.

        Raises:
            InvalidValueError: the policy has not acted yet.
        """
        if not self._estimated:
            raise InvalidValueError("the policy has not acted yet; call act or act_inference first")
        return dict(self._estimated)

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_estimated": {}}

    def build_transform(self, segments: ObsSegments, role: Role) -> Shapes:
        self._estimated: dict[str, Tensor] = {}
        return super().build_transform(segments, role)

    def _acted(self, look: Look) -> None:
        super()._acted(look)
        for estimator in self._estimators():
            estimates = self._estimates(estimator, look).detach()
            self._estimated |= {name: self._in_units(name, value) for name, value in estimator.named(estimates).items()}

    def _in_units(self, name: str, value: Tensor) -> Tensor:
        """A normalised component of the critic's, as it was."""
        normalizer = (self.critic_extractor or self.extractor).normalizer
        if normalizer is None:
            return value
        part = self.segments["critic"].slice(name)
        scale, shift = normalizer.std[part] + normalizer.eps, normalizer.mean[part]
        return value * scale.view(value.shape[1:]) + shift.view(value.shape[1:])

    def transform(self, components: Components, look: Look, role: Role) -> Components:
        for estimator in self._estimators() if role == "actor" else []:
            if estimator.config.use_actor_rnn:
                continue
            estimates = look.once(estimator.name, partial(estimator.estimate, components, look))
            if estimator.config.replace_prob > 0:
                components = estimator.replace(components, estimates, look)
        return super().transform(components, look, role)

    def auxiliary_losses(self, look: Look) -> dict[str, Tensor]:
        truth = self.normalized(look, "critic")
        losses = {f"{e.name}_loss": e.loss(self._estimates(e, look), truth) for e in self._estimators()}
        return super().auxiliary_losses(look) | losses

    def input_layers(
        self, segments: Mapping[str, ObsSegments], transformed: Mapping[str, ObsSegments]
    ) -> dict[str, ObsSegments]:
        layers = super().input_layers(segments, transformed)
        for estimator in self._estimators():
            layers |= estimator.input_layer(segments["actor"])
        return layers

    def _estimates(self, estimator: StateEstimator, look: Look) -> Tensor:
        """What it says, for which the actor must look, or have looked: it may read what others estimated."""
        if not look.has(estimator.name):
            self._actor_features(look)  # in which it estimates on the way, unless it reads the actor's memory
        return look.once(estimator.name, lambda: estimator.network(self._actor_features(look)[..., : estimator.width]))


class EstimatorMixin(_Estimating):
    """Estimates what `config.estimator` says."""

    section = "estimator"

    def build_transform(self, segments: ObsSegments, role: Role) -> Shapes:
        if role == "actor" and not hasattr(self, "estimator"):  # a shell for other components reads what it finds
            self.estimator = _build("estimator", self, segments)
        return super().build_transform(segments, role)

    def _estimators(self) -> list[StateEstimator]:
        return [*super()._estimators(), self.estimator]


class PrivilegeEstimatorMixin(_Estimating):
    """Estimates what `config.adaptor` says, which is meant for what only the critic is told."""

    section = "adaptor"

    def build_transform(self, segments: ObsSegments, role: Role) -> Shapes:
        if role == "actor" and not hasattr(self, "adaptor"):
            self.adaptor = _build("adaptor", self, segments)
        return super().build_transform(segments, role)

    def _estimators(self) -> list[StateEstimator]:
        return [self.adaptor, *super()._estimators()]


def _build(name: Literal["estimator", "adaptor"], policy: ActorCritic, segments: ObsSegments) -> StateEstimator:
    """A policy's estimator, as its configuration says."""
    config = policy.config.estimator if name == "estimator" else policy.config.adaptor
    assert config is not None
    return StateEstimator(name, config, segments, policy.segments["critic"], policy.memory_config)


class StateAc(EstimatorMixin, ActorCritic):
    """Estimates."""


class StateAcRecurrent(EstimatorMixin, ActorCriticRecurrent):
    """Estimates, and remembers."""


class PrivilegeStateAcRecurrent(PrivilegeEstimatorMixin, EstimatorMixin, ActorCriticRecurrent):
    """Estimates twice, and remembers."""
