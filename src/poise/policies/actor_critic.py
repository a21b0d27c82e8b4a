"""Actor-critics: an actor that acts, and a critic that judges.

observation ─┬─► extractor ─► (transform) ─► (memory) ─► actor ──► head ──► distribution of actions
{name: ...}  └─► extractor ─► (transform) ─► (memory) ─► critic ─────────► value

Both read the features of one extractor, unless the critic is to see something else. What stands in brackets is nothing
here: `ActorCriticRecurrent` adds the memories, and mixins the transforms, which replace components of what the
extractor has normalised and put side by side (`encoders`, `estimator`).

What a policy remembers is given to it and given back, so that one policy can be in charge of several groups of robots
at once; `KeepsStates` keeps it for those who have one group.
"""

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from gymnasium import spaces
from torch import Tensor, nn

from poise.errors import InvalidValueError, did_you_mean
from poise.fusion import ConcatExtractor, ObsSegments
from poise.fusion.missing import told_missing
from poise.nn import ActionDistribution, CategoricalHead, GaussianHead, MlpModel, ValueScale, orthogonal_
from poise.policies.config import PolicyConfig
from poise.policies.configured import Configured
from poise.policies.keeping import KeepsStates
from poise.policies.look import AnyObservation, HiddenStates, Look, Sequences, TensorObservation
from poise.policies.misaligned import Realignable
from poise.policies.sharing import Role

Shapes = Mapping[str, tuple[int, ...]]
Components = dict[str, Any]
"""By name, (..., *shape): tensors, and images as `Frames`, too."""
ROLES: tuple[Role, Role] = ("actor", "critic")


class Step(NamedTuple):
    """What a policy makes of an observation."""

    distribution: ActionDistribution
    values: Tensor
    """(N,), in the units of `value_scale`."""
    hidden_states: dict[str, Tensor]
    """What is remembered after it."""


class Judgement(NamedTuple):
    """What a policy thinks of actions taken, (B,) or (T, N) each."""

    distribution: ActionDistribution
    log_probs: Tensor
    entropies: Tensor
    values: Tensor
    auxiliary_losses: dict[str, Tensor]
    """Further losses by name, each weighted, a mean over the samples."""


class ActorCritic(Configured, Realignable, KeepsStates):
    """An actor and a critic without memory.

    Args:
        shapes: name and shape of each component of an observation, images already encoded.
        action_space: Box (Gaussian actions) or Discrete (categorical ones).
        config: sizes and options.

    An observation is a mapping, or a vector (..., size) of the components that `config.obs_segments` names.

    Raises:
        InvalidValueError: the configuration asks for what the class does not do, or not for what it does.
    """

    is_recurrent = False

    def __init__(self, shapes: Shapes, action_space: spaces.Space[Any], config: PolicyConfig) -> None:
        super().__init__(config)
        names = config.observations, config.critic_observations
        self.extractor = ConcatExtractor(_named(shapes, names[0]), config.normalize_observations)
        self.critic_extractor = (
            None if names[1] is None else ConcatExtractor(_named(shapes, names[1]), config.normalize_observations)
        )
        self.segments = {
            "actor": self.extractor.segments,
            "critic": (self.critic_extractor or self.extractor).segments,
        }
        actor, critic = (ObsSegments(self.build_transform(self.segments[role], role)) for role in ROLES)
        self.transformed = {"actor": actor, "critic": critic}
        widths = self._build_memories(actor.size, critic.size)
        num_outputs, self.head = _head(action_space, config)
        self.actor = MlpModel(widths[0], config.actor.hidden_sizes, num_outputs, config.actor.activation)
        self.critic = MlpModel(widths[1], config.critic.hidden_sizes, 1, config.critic.activation)
        self.value_scale = ValueScale()
        orthogonal_(self.actor, gain=2.0**0.5, last_gain=0.01)
        orthogonal_(self.critic, gain=2.0**0.5, last_gain=1.0)

    # --- states in, states out ------------------------------------------------------------------------------------

    def step(self, observation: AnyObservation, states: HiddenStates) -> Step:
        """Look at observations {name: (N, ...)}, remembering `states`; empty ones stand for nothing yet."""
        look = self._look(observation, states)
        self.distribution = self._distribution(look)
        return Step(self.distribution, self._values(look), look.states)

    def decide(self, observation: AnyObservation, states: HiddenStates) -> tuple[ActionDistribution, dict[str, Tensor]]:
        """The actor's half of `step`, which needs nothing that only the critic sees."""
        look = self._look(observation, states)
        return self._distribution(look), look.states

    def infer(self, observation: AnyObservation, states: HiddenStates) -> tuple[Tensor, dict[str, Tensor]]:
        """The most likely actions (N, A) or (N,), and what is remembered after them."""
        distribution, after = self.decide(observation, states)
        return distribution.mode, after

    def prepare(self, observation: AnyObservation) -> TensorObservation:
        """Add to an observation what acting on it draws at random, to be kept with it: learning must see the same."""
        return self.named(observation)

    def distribution_of(self, look: Look) -> ActionDistribution:
        """What it would do, for those who look on while it looks."""
        return self._distribution(look)

    def value_of(self, observation: AnyObservation, states: HiddenStates) -> Tensor:
        """Values (N,) of observations, in the units of `value_scale`; nothing is remembered of it."""
        return self._values(self._look(observation, states))

    def judge(self, observation: AnyObservation, actions: Tensor, sequences: Sequences | None = None) -> Judgement:
        """What a trainer needs to know of actions taken.

        Parts of a minibatch are given to copies of the policy that share its parameters and buffers, by several
        threads at once: nothing in the policy may change.

        Args:
            observation, actions: of B samples, {name: (B, ...)} and (B, A) or (B,); with `sequences` of T steps of N
                environments, {name: (T, N, ...)} and (T, N, A) or (T, N).
            sequences: what a policy with memory needs to know of them, `Sequences(hidden_states, starts)`: what it
                remembered before the first step (`get_hidden_states`; {} for nothing), and (T, N) bool, an episode
                starts with this step.

        Raises:
            InvalidValueError: the policy has memory and there are no sequences, or a shape is wrong.
        """
        if self.is_recurrent and sequences is None:
            raise InvalidValueError(
                "a policy with memory judges actions by what went before: give whole sequences, (T, N, ...), with "
                "Sequences(hidden_states, starts)"
            )
        look = self._look(observation, {}) if sequences is None else self._look(observation, *sequences)
        distribution, values = self._distribution(look), self._values(look)
        log_probs, entropies = distribution.log_prob(actions), distribution.entropy()
        return Judgement(distribution, log_probs, entropies, values, _scalars(self.auxiliary_losses(look)))

    def evaluate_actions(
        self, observation: AnyObservation, actions: Tensor, sequences: Sequences | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Log probabilities, entropies and values of given actions, as `judge` has them; sets `distribution`."""
        judged = self.judge(observation, actions, sequences)
        self.distribution = judged.distribution
        return judged.log_probs, judged.entropies, judged.values

    # --- parts ----------------------------------------------------------------------------------------------------

    def _look(self, observation: AnyObservation, states: HiddenStates, starts: Tensor | None = None) -> Look:
        return Look(self.named(observation), states, starts)

    def build_transform(self, segments: ObsSegments, role: Role) -> Shapes:
        """Make what `transform` needs of components that lie so; returns the shapes of what it makes of them."""
        return segments.shapes

    def transform(self, components: Components, look: Look, role: Role) -> Components:
        """What the actor or the critic reads in place of an observation's normalised components."""
        return components

    def auxiliary_losses(self, look: Look) -> dict[str, Tensor]:
        """Further losses, after the actor and the critic have looked."""
        return {}

    def _build_memories(self, actor_width: int, critic_width: int) -> tuple[int, int]:
        """Between features and networks, of these widths: nothing here. Returns the networks' input widths."""
        return actor_width, critic_width

    def _actor_features(self, look: Look) -> Tensor:
        """What the actor's network reads."""
        return look.meet(self._features(look, "actor"))

    def _critic_features(self, look: Look) -> Tensor:
        """What the critic's network reads."""
        return self._features(look, "critic")

    @property
    def reads_alike(self) -> bool:
        """Whether what follows the estimators and mixins of others reads the same for the actor and for the critic."""
        estimators = self.config.estimator, self.config.adaptor
        replaces = any(each is not None and each.replace_prob > 0 for each in estimators)
        foreign = any(
            "transform" in vars(base) and base.__module__.split(".")[0] != "poise" for base in type(self).__mro__
        )
        return self.critic_extractor is None and not replaces and not foreign

    def _features(self, look: Look, role: Role) -> Tensor:
        """The extractor's features, transformed if there is anything to transform them."""
        extractor = self._extractor(role)
        if type(self).transform is ActorCritic.transform and not extractor.has_images:
            return look.once(self._reader(role), lambda: extractor(look.observation))
        return self.transformed[role].join(self.transform(self.normalized(look, role), look, role))

    def normalized(self, look: Look, role: Role) -> Components:
        """An observation's components, normalised."""
        extractor = self._extractor(role)
        return look.once(f"components for the {self._reader(role)}", lambda: extractor.components(look.observation))

    def _extractor(self, role: Role) -> ConcatExtractor:
        return self.critic_extractor if role == "critic" and self.critic_extractor is not None else self.extractor

    def _reader(self, role: Role) -> Role:
        """For whom the extractor works."""
        return "actor" if self.critic_extractor is None else role

    def _distribution(self, look: Look) -> ActionDistribution:
        distribution: ActionDistribution = self.head(self.actor(self._actor_features(look)))
        return distribution

    def _values(self, look: Look) -> Tensor:
        values: Tensor = self.critic(self._critic_features(look)).squeeze(-1)
        return values

    def critic_modules(self) -> list[nn.Module]:
        """What only the critic trains."""
        return [self.critic]

    def input_layers(
        self, segments: Mapping[str, ObsSegments], transformed: Mapping[str, ObsSegments]
    ) -> dict[str, ObsSegments]:
        """Tensors of the state dict with a column for each number of the actor's and the critic's components.

        Args:
            segments: components as they are.
            transformed: components as `transform` leaves them.
        """
        layers = {"actor.model.0.weight": transformed["actor"], "critic.model.0.weight": transformed["critic"]}
        for name, role in (("extractor", "actor"), ("critic_extractor", "critic")):
            extractor = getattr(self, name)
            if extractor is not None and extractor.normalizer is not None:
                layers |= {f"{name}.normalizer.{part}": segments[role] for part in ("mean", "var")}
        return layers

    def as_transformed(self, segments: Mapping[str, ObsSegments]) -> dict[str, ObsSegments]:
        """Other components as `transform` would leave them: a shell of the policy is built for them."""
        shell = copy.copy(self)
        shell._modules, shell.segments = dict(self._modules), dict(segments)
        with torch.device("meta"):
            return {role: ObsSegments(shell.build_transform(segments[role], role)) for role in ROLES}

    # --- what a trainer needs -------------------------------------------------------------------------------------

    @property
    def critic_output(self) -> nn.Linear:
        """The critic's last layer, for `ValueScale`."""
        return self.critic.model[-1]  # type: ignore[return-value]

    def parameter_groups(self, learning_rate: float, critic_learning_rate: float) -> list[dict[str, Any]]:
        """Parameters with the learning rate each is trained at; the critic's apart."""
        critic = {id(parameter) for module in self.critic_modules() for parameter in module.parameters()}
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return [
            {"params": [p for p in trained if id(p) not in critic], "lr": learning_rate},
            {"params": [p for p in trained if id(p) in critic], "lr": critic_learning_rate},
        ]

    def update_normalization(self, observation: AnyObservation, sequences: Sequences | None = None) -> None:
        """Take observations into the running statistics; never between acting and learning from them.

        Args:
            observation: {name: (B, ...)}, or a rollout's (T, N, ...) with its sequences.
            sequences: what a policy with memory needs to know of a rollout.
        """
        observation = self.named(observation)
        missing = told_missing(observation)
        self.extractor.update_normalization(observation, missing)
        if self.critic_extractor is not None:
            self.critic_extractor.update_normalization(observation, missing)

    def states_after_learning(self, states: HiddenStates) -> HiddenStates:
        """What is remembered, without what only the policy of before understood."""
        return states

    def limit_std(self, max_std: float) -> None:
        """Lower the actions' standard deviations that exceed `max_std`; categorical actions have none."""
        if isinstance(self.head, GaussianHead):
            self.head.limit_std(max_std)


def _scalars(losses: dict[str, Tensor]) -> dict[str, Tensor]:
    """Losses that can be added to others; those of a mixin of somebody's own may be anything."""
    for name, loss in losses.items():
        if not isinstance(loss, Tensor) or loss.dim():
            got = f"of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
            raise InvalidValueError(f"the auxiliary loss '{name}' must be a tensor with one number, got {got}")
    return losses


def _head(action_space: spaces.Space[Any], config: PolicyConfig) -> tuple[int, nn.Module]:
    """Number of network outputs and the head that turns them into distributions."""
    if isinstance(action_space, spaces.Discrete):
        return int(action_space.n), CategoricalHead(int(action_space.start))
    if isinstance(action_space, spaces.Box) and len(action_space.shape) == 1:
        count = action_space.shape[0]
        return count, GaussianHead(count, config.init_std, config.min_std)
    raise InvalidValueError(f"no policy for actions {action_space}; expected a Box with one axis or a Discrete space")


def _named(shapes: Shapes, names: tuple[str, ...] | None) -> Shapes:
    """Some of an observation's components, all by default."""
    unknown = [name for name in names or () if name not in shapes]
    if unknown:
        raise InvalidValueError(
            f"the policy is to see the observation '{unknown[0]}'{did_you_mean(unknown[0], shapes)}; "
            f"the environment gives {', '.join(shapes)}"
        )
    return shapes if names is None else {name: shapes[name] for name in names}
