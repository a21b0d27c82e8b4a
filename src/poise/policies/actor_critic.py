"""The plain actor-critic: shared features, an actor and a critic of their own.

observation ──► extractor ──┬──► actor ──► head ──► distribution of actions
{name: (N, ...)}  (N, F)    └──► critic ─────────► value (N,)
"""

from collections.abc import Mapping
from typing import Any

from gymnasium import spaces
from torch import Tensor, nn

from poise.errors import InvalidValueError
from poise.fusion import ConcatExtractor
from poise.nn import ActionDistribution, CategoricalHead, GaussianHead, MlpModel, orthogonal_
from poise.policies.config import PolicyConfig

TensorObservation = Mapping[str, Tensor]


class ActorCritic(nn.Module):
    """An actor and a critic over the features of one extractor.

    Args:
        shapes: name and shape of each component of an observation, images already encoded.
        action_space: Box (Gaussian actions) or Discrete (categorical ones).
        config: sizes and options.
    """

    is_recurrent = False

    def __init__(
        self, shapes: Mapping[str, tuple[int, ...]], action_space: spaces.Space[Any], config: PolicyConfig
    ) -> None:
        super().__init__()
        self.config = config
        self.extractor = ConcatExtractor(shapes, config.normalize_observations)
        num_outputs, self.head = _head(action_space, config)
        features = self.extractor.output_size
        self.actor = MlpModel(features, config.actor.hidden_sizes, num_outputs, config.actor.activation)
        self.critic = MlpModel(features, config.critic.hidden_sizes, 1, config.critic.activation)
        orthogonal_(self.actor, gain=2.0**0.5, last_gain=0.01)
        orthogonal_(self.critic, gain=2.0**0.5, last_gain=1.0)
        self.distribution: ActionDistribution | None = None

    def __getstate__(self) -> dict[str, Any]:
        """For `copy.deepcopy`, which refuses what hangs on a graph: a copy has not acted yet."""
        return self.__dict__ | {"distribution": None}

    # --- acting ---------------------------------------------------------------------------------------------------

    def act(self, observation: TensorObservation) -> Tensor:
        """Sample actions (N, A) or (N,); the distribution stays in `distribution`."""
        return self.act_with_features(self.extractor(observation))

    def act_with_features(self, features: Tensor) -> Tensor:
        """Sample actions from extracted features (N, F)."""
        self.distribution = self.head(self.actor(features))
        return self.distribution.sample()

    def act_inference(self, observation: TensorObservation) -> Tensor:
        """The most likely actions."""
        mode: Tensor = self.head(self.actor(self.extractor(observation))).mode
        return mode

    def evaluate(self, observation: TensorObservation) -> Tensor:
        """Values (N,) of observations, in the units the critic was trained in."""
        value: Tensor = self.critic(self.extractor(observation)).squeeze(-1)
        return value

    def act_and_evaluate(self, observation: TensorObservation) -> tuple[Tensor, Tensor]:
        """Sampled actions and values, the features extracted once."""
        features = self.extractor(observation)
        return self.act_with_features(features), self.critic(features).squeeze(-1)

    def evaluate_actions(self, observation: TensorObservation, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log probabilities, entropies and values, each (...), of given actions; sets `distribution`."""
        features = self.extractor(observation)
        distribution = self.distribution = self.head(self.actor(features))
        values = self.critic(features).squeeze(-1)
        return distribution.log_prob(actions), distribution.entropy(), values

    # --- the last distribution ------------------------------------------------------------------------------------

    def get_actions_log_prob(self, actions: Tensor) -> Tensor:
        """Log probability of actions under the last distribution."""
        return self.last_distribution.log_prob(actions)

    @property
    def action_mean(self) -> Tensor:
        """Most likely actions of the last distribution."""
        return self.last_distribution.mode

    @property
    def action_std(self) -> Tensor:
        """Standard deviations of the last, Gaussian, distribution."""
        return self.last_distribution.std  # type: ignore[attr-defined]

    @property
    def entropy(self) -> Tensor:
        """Entropies of the last distribution."""
        return self.last_distribution.entropy()

    @property
    def last_distribution(self) -> ActionDistribution:
        """What the last call of `act` or `evaluate_actions` drew from or judged by."""
        if self.distribution is None:
            raise InvalidValueError("the policy has not acted yet; call act or evaluate_actions first")
        return self.distribution

    # --- what a trainer needs -------------------------------------------------------------------------------------

    @property
    def critic_output(self) -> nn.Linear:
        """The critic's last layer, for `ValueScale`."""
        return self.critic.model[-1]  # type: ignore[return-value]

    def parameter_groups(self, learning_rate: float, critic_learning_rate: float) -> list[dict[str, Any]]:
        """Parameters with the learning rate each is trained at; the critic's apart."""
        critic = {id(parameter) for parameter in self.critic.parameters()}
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return [
            {"params": [p for p in trained if id(p) not in critic], "lr": learning_rate},
            {"params": [p for p in trained if id(p) in critic], "lr": critic_learning_rate},
        ]

    def update_normalization(self, observation: TensorObservation) -> None:
        """Take a rollout's observations into the running statistics; never between acting and learning from it."""
        self.extractor.update_normalization(observation)

    def limit_std(self, max_std: float) -> None:
        """Lower the actions' standard deviations that exceed `max_std`; categorical actions have none."""
        if isinstance(self.head, GaussianHead):
            self.head.limit_std(max_std)

    def auxiliary_losses(self, observation: TensorObservation) -> dict[str, Tensor]:
        """Further losses to be added to the algorithm's, by name; each already weighted. None here.

        Each must be a mean over the rows of `observation` and change nothing in the policy: parts of a minibatch are
        given to copies of the policy that share its parameters and buffers, by several threads at once.
        """
        return {}

    def reset(self, dones: Tensor | None = None) -> None:
        """Forget what is remembered of finished episodes. Nothing is remembered here."""


def _head(action_space: spaces.Space[Any], config: PolicyConfig) -> tuple[int, nn.Module]:
    """Number of network outputs and the head that turns them into distributions."""
    if isinstance(action_space, spaces.Discrete):
        return int(action_space.n), CategoricalHead(int(action_space.start))
    if isinstance(action_space, spaces.Box) and len(action_space.shape) == 1:
        count = action_space.shape[0]
        return count, GaussianHead(count, config.init_std, config.min_std)
    raise InvalidValueError(f"no policy for actions {action_space}; expected a Box with one axis or a Discrete space")
