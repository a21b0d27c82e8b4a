"""Policies made of policies: the field ahead decides which of several finished ones acts.

observation ─┬─► selector component ──────────────► selection, smoothed ──┐
             ├─► sub-policy 0, its command, its scale ─► actions ─────────┼─► actions
             └─► sub-policy 1, its command, its scale ─► actions ─────────┘

All sub-policies look at every observation, so that one that is switched on knows what went before, unless those that do
not act are to forget. What is remembered of robots whose episode is over is cleared, as with any policy.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from poise.errors import InvalidValueError, did_you_mean
from poise.fusion import ObsSegments, component
from poise.nn import CategoricalHead, forget
from poise.policies.actor_critic import ActorCritic, Shapes
from poise.policies.config import MutexConfig
from poise.policies.look import AnyObservation, HiddenStates, TensorObservation, as_tensor, check_same, tensors

_BEGUN = "mutex.begun"
"""What is remembered of whom nothing is commanded anew."""


class ActorCriticMutex(nn.Module):
    """Finished policies, of which one acts at a time; which, says `get_policy_selection` of those that derive from it.

    It acts and does not learn: it has no critic.

    Args:
        policies: by name, in the order of `config.sub_policies`.
        shapes: of the components of the observation.
        config: how they are put together.
        action_scales: what an action of 1 of each policy means; 1 by default.
        env_action_scale: what an action of 1 means to the environment.

    Raises:
        InvalidValueError: a policy is missing or acts discretely, or a component that is needed is missing.
    """

    def __init__(
        self,
        policies: Mapping[str, ActorCritic],
        shapes: Shapes,
        config: MutexConfig,
        action_scales: Mapping[str, float] | None = None,
        env_action_scale: float = 1.0,
    ) -> None:
        super().__init__()
        if self.kind is not None and config.kind != self.kind:
            raise InvalidValueError(
                f"{type(self).__name__} needs a MutexConfig of kind '{self.kind}', got '{config.kind}'"
            )
        _check_policies(policies, config.sub_policies, shapes)
        self.config = config
        self.names = tuple(config.sub_policies)
        self.submodules = nn.ModuleDict({name: policies[name] for name in self.names})
        self.is_recurrent = any(policies[name].is_recurrent for name in self.names)
        scales = action_scales or {}
        _refuse_unknown("action_scales", scales, self.names)
        self._scales = {name: scales.get(name, 1.0) / env_action_scale for name in self.names}
        needed = {"selector": config.selector, "command": config.command, "last_action": config.last_action}
        for key, name in needed.items():
            if name is not None and name not in shapes:
                raise InvalidValueError(
                    f"{key} is '{name}', which the observation does not hold"
                    f"{did_you_mean(name, shapes)}; it holds {', '.join(shapes)}"
                )
        self._check_selector(_width(shapes[config.selector]))
        self._commands = _Commands(config, self.names, shapes)
        self._vector = ObsSegments(shapes)
        self.hidden_states: dict[str, Tensor] = {}

    kind: str | None = None
    """Of the `MutexConfig` that a class is for; None for any."""

    # --- states in, states out ------------------------------------------------------------------------------------

    @torch.no_grad()
    def infer(self, observation: AnyObservation, states: HiddenStates) -> tuple[Tensor, dict[str, Tensor]]:
        """Actions (N, A), and what is remembered after them."""
        observation = self.named(observation)
        weights, after = self._smoothed(self.get_policy_selection(observation), states)
        commands = self._commands.drawn(states, weights)
        after |= commands
        actions = torch.zeros(())
        for i, name in enumerate(self.names):
            policy: ActorCritic = self.submodules[name]  # type: ignore[assignment]
            seen = self.recover_last_action(self.override_cmd_vel(observation, commands, name), name)
            own = {key.removeprefix(f"{name}."): state for key, state in states.items() if key.startswith(f"{name}.")}
            decided, own = policy.infer(seen, own)
            actions = actions + weights[:, i, None] * self._scales[name] * decided
            if self._forgets(i):
                own = forget(own, weights[:, i] <= 0)
            after |= {f"{name}.{key}": state for key, state in own.items()}
        return actions, after

    def get_policy_selection(self, observation: TensorObservation) -> Tensor:
        """(N, P) which policy is to act, one-hot."""
        raise NotImplementedError("derive from ActorCriticMutex and say which policy is to act")

    def _check_selector(self, width: int) -> None:
        """Refuse a selector of so many numbers, if it is none that `get_policy_selection` can read."""

    def recover_last_action(self, observation: TensorObservation, name: str) -> TensorObservation:
        """The observation with the last action in a policy's own scale; the caller's stays as it is."""
        component = self.config.last_action
        if component is None or self._scales[name] == 1.0:
            return observation
        return {**observation, component: observation[component] / self._scales[name]}

    def override_cmd_vel(self, observation: TensorObservation, commands: HiddenStates, name: str) -> TensorObservation:
        """The observation with a policy's own command, of those that were drawn; the caller's stays as it is."""
        return self._commands.override(observation, commands, name)

    def named(self, observation: AnyObservation) -> TensorObservation:
        """An observation's components by name; of a vector, those of `shapes` in their order."""
        return tensors(observation) if isinstance(observation, Mapping) else self._vector.split(as_tensor(observation))

    def _smoothed(self, selection: Tensor, states: HiddenStates) -> tuple[Tensor, dict[str, Tensor]]:
        """(N, P) weights: the mean of the latest selections, of which the first counts for all that were not yet."""
        length = self.config.action_smoothing_buffer_len
        before = states.get("mutex.selection", selection.new_zeros(length, *selection.shape))
        check_same(before.shape[1], selection.shape[0])
        begun = before.sum(dim=(0, 2)) > 0
        moved = torch.cat([before[1:], selection[None]])
        buffer = torch.where(begun[None, :, None], moved, selection[None].expand(length, -1, -1))
        return buffer.mean(dim=0), {"mutex.selection": buffer}

    def _forgets(self, index: int) -> bool:
        who = self.config.reset_non_selected
        return who == "all" or (who == "when_skill" and index > 0)

    # --- states kept here -----------------------------------------------------------------------------------------

    def act_inference(self, observation: AnyObservation) -> Tensor:
        """Actions (N, A)."""
        actions, self.hidden_states = self.infer(observation, self.hidden_states)
        return actions

    def act(self, observation: AnyObservation) -> Tensor:
        """The same: finished policies do not explore."""
        return self.act_inference(observation)

    def get_hidden_states(self) -> dict[str, Tensor]:
        """What is remembered, (L, N, H) each."""
        return dict(self.hidden_states)

    def reset(self, dones: Tensor | None = None) -> None:
        """Forget the environments (N,) whose episode is over, or all; what they are commanded is drawn anew."""
        self.hidden_states = {} if dones is None else forget(self.hidden_states, dones)

    def resample_cmd_vel_current(self, dones: Tensor | None = None) -> None:
        """Draw anew what environments (N,), or all, are commanded, at their next action; nothing else is forgotten."""
        begun = {name: state for name, state in self.hidden_states.items() if name == _BEGUN}
        everybody = {name: torch.zeros_like(state) for name, state in begun.items()}
        self.hidden_states |= everybody if dones is None else forget(begun, dones)


class ActorCriticFieldMutex(ActorCriticMutex):
    """The selector has one number for each policy, and the largest one's acts; the first where all are zero."""

    kind = "field"

    def get_policy_selection(self, observation: TensorObservation) -> Tensor:
        """(N, P) one-hot."""
        ahead = component(self.config.selector, observation).flatten(1).float()
        return nn.functional.one_hot(ahead.argmax(dim=1), len(self.names)).to(ahead.dtype)

    def _check_selector(self, width: int) -> None:
        if width != len(self.names):
            raise InvalidValueError(
                f"the selector '{self.config.selector}' has {width} numbers, but {len(self.names)} are needed "
                f"for the sub-policies {', '.join(self.names)}"
            )


class ActorCriticClimbMutex(ActorCriticFieldMutex):
    """Up and down apart: where the selector names its last field, a slope, the sign of its last number tells which.

    The selector has a number for each policy but the last, and then the signed height of what is ahead. The last policy
    is the one for going down, the one before it for going up.
    """

    kind = "climb"

    def _check_selector(self, width: int) -> None:
        if len(self.names) < 2:
            raise InvalidValueError(
                f"a climbing mutex needs a policy for going up and one for going down, got only '{self.names[0]}'"
            )
        super()._check_selector(width)

    def get_policy_selection(self, observation: TensorObservation) -> Tensor:
        """(N, P) one-hot."""
        ahead = component(self.config.selector, observation).flatten(1).float()
        field, height = ahead[:, :-1].argmax(dim=1), ahead[:, -1]
        last = len(self.names) - 1
        down = (field == last - 1) & (height < 0) & (ahead[:, :-1] > 0).any(dim=1)
        chosen = torch.where(down, torch.full_like(field, last), field)
        return nn.functional.one_hot(chosen, len(self.names)).to(ahead.dtype)


class _Commands(nn.Module):
    """Velocities commanded to sub-policies in place of the environment's: each robot draws its own, once an episode."""

    def __init__(self, config: MutexConfig, names: Sequence[str], shapes: Shapes) -> None:
        super().__init__()
        _refuse_unknown("cmd_vel_mapping", config.cmd_vel_mapping, names)
        if config.cmd_vel_mapping and config.command is None:
            raise InvalidValueError("cmd_vel_mapping commands velocities, so command must name their component")
        self._component = config.command or ""
        for name, command in config.cmd_vel_mapping.items():
            width = _width(shapes[self._component])
            if len(command) != width:
                raise InvalidValueError(
                    f"cmd_vel_mapping.{name} must have {width} numbers, as '{self._component}' has, got {len(command)}"
                )
            pairs = [bounds if isinstance(bounds, tuple) else (bounds, bounds) for bounds in command]
            self.register_buffer(name, torch.tensor(pairs, dtype=torch.float32).T, persistent=False)

    def drawn(self, states: HiddenStates, weights: Tensor) -> dict[str, Tensor]:
        """What each robot is commanded, (1, N, K) by policy; drawn anew where nothing is remembered."""
        result = {}
        robots = weights.shape[0]
        begun = states.get(_BEGUN, weights.new_zeros(1, robots, 1))
        for name, (lowest, highest) in self.named_buffers():
            fresh = lowest + (highest - lowest) * torch.rand(1, robots, lowest.shape[0], device=weights.device)
            known = states.get(f"mutex.command.{name}", fresh)
            result[f"mutex.command.{name}"] = torch.where(begun > 0, known, fresh)
        return result | {_BEGUN: torch.ones_like(begun)}

    def override(self, observation: TensorObservation, commands: HiddenStates, name: str) -> TensorObservation:
        """The observation with a policy's own command; the caller's stays as it is."""
        if name not in self._buffers:
            return observation
        wanted = commands[f"mutex.command.{name}"][0]
        return {**observation, self._component: wanted.view_as(observation[self._component])}


def _check_policies(policies: Mapping[str, ActorCritic], names: Iterable[str], shapes: Shapes) -> None:
    """All are there, act alike, and see what there is to be seen."""
    widths: dict[str, int] = {}
    for name in names:
        if name not in policies:
            raise InvalidValueError(f"the sub-policy '{name}' is missing; there are {', '.join(policies) or 'none'}")
        policy = policies[name]
        if isinstance(policy.head, CategoricalHead):
            raise InvalidValueError(
                f"the sub-policy '{name}' chooses among discrete actions, which cannot be scaled and averaged"
            )
        for seen, shape in policy.segments["actor"].shapes.items():
            if shapes.get(seen) != shape and not (seen in policy.config.replaced and seen not in shapes):
                raise InvalidValueError(
                    f"the sub-policy '{name}' looks at '{seen}' of shape {shape}, which is "
                    f"{shapes.get(seen, 'not there')} here; the observation holds {', '.join(shapes)}"
                )
        widths[name] = policy.actor.output_size
    if len(set(widths.values())) > 1:
        raise InvalidValueError(f"the sub-policies' actions have different widths: {widths}")


def _refuse_unknown(setting: str, given: Iterable[str], names: Sequence[str]) -> None:
    """A name that is no sub-policy's."""
    unknown = [name for name in given if name not in names]
    if unknown:
        raise InvalidValueError(
            f"{setting} names '{unknown[0]}'{did_you_mean(unknown[0], names)}; the sub-policies are {', '.join(names)}"
        )


def _width(shape: tuple[int, ...]) -> int:
    return math.prod(shape)
