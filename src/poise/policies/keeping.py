"""Acting by name: `act`, `act_inference`, `evaluate` and `reset` of a policy that keeps what it remembers."""

from typing import Any

from torch import Tensor, nn

from poise.errors import InvalidValueError
from poise.nn import ActionDistribution, DiagonalGaussian, forget
from poise.policies.look import AnyObservation, HiddenStates, Look, TensorObservation


class KeepsStates(nn.Module):
    """A policy in charge of one group of robots, whose states and last distribution it keeps.

    Attributes:
        hidden_states: what it remembers, (L, N, H) each.
        distribution: what it drew from or judged by last.
    """

    def __init__(self) -> None:
        super().__init__()
        self.distribution: ActionDistribution | None = None
        self.hidden_states: dict[str, Tensor] = {}

    def __getstate__(self) -> dict[str, Any]:
        """For `copy.deepcopy`, which refuses what hangs on a graph: a copy has not acted yet."""
        return self.__dict__ | {"distribution": None, "hidden_states": {}}

    def forward(self, observation: AnyObservation) -> tuple[ActionDistribution, Tensor]:
        """`act` and `evaluate` in one: the distribution of actions, and values (N,)."""
        look = self._look(self.prepare(observation), self.hidden_states)
        self.distribution, values = self._distribution(look), self._values(look)
        self._acted(look)
        return self.distribution, values

    def act(self, observation: AnyObservation) -> Tensor:
        """Sample actions (N, A) or (N,); the distribution stays in `distribution`."""
        return self._act(self._look(self.prepare(observation), self.hidden_states))

    def act_inference(self, observation: AnyObservation) -> Tensor:
        """The most likely actions."""
        look = self._look(observation, self.hidden_states)
        actions: Tensor = self._distribution(look).mode
        self._acted(look)
        return actions

    def evaluate(self, observation: AnyObservation) -> Tensor:
        """Values (N,) of observations, in the units of `value_scale`; remembers: once for each, beside `act`."""
        look = self._look(observation, self.hidden_states)
        values = self._values(look)
        self._keep(look)
        return values

    def get_hidden_states(self) -> dict[str, Tensor]:
        """What is remembered, (L, N, H) each; empty without memory."""
        return dict(self.hidden_states)

    def reset(self, dones: Tensor | None = None) -> None:
        """Forget the environments (N,) whose episode is over, or all."""
        self.hidden_states = {} if dones is None else forget(self.hidden_states, dones)

    def _act(self, look: Look) -> Tensor:
        self.distribution = self._distribution(look)
        self._acted(look)
        return self.distribution.sample()

    def _acted(self, look: Look) -> None:
        """After it acted on what it saw."""
        self._keep(look)

    def _keep(self, look: Look) -> None:
        """What is remembered, without the graph it hangs on, which would grow with every step."""
        self.hidden_states = {name: state.detach() for name, state in look.states.items()}

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
        """Standard deviations of the last distribution; of Gaussian actions only."""
        if not isinstance(self.last_distribution, DiagonalGaussian):
            raise InvalidValueError("categorical actions have no standard deviation; ask for the entropy")
        return self.last_distribution.std

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

    # --- what a policy is ----------------------------------------------------------------------------------------

    def prepare(self, observation: AnyObservation) -> TensorObservation:
        """Add to an observation what acting on it draws at random."""
        raise NotImplementedError

    def _look(self, observation: AnyObservation, states: HiddenStates) -> Look:
        raise NotImplementedError

    def _distribution(self, look: Look) -> ActionDistribution:
        raise NotImplementedError

    def _values(self, look: Look) -> Tensor:
        raise NotImplementedError
