"""Recurrent memory, in steps while acting and in whole sequences while learning."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from poise.errors import InvalidValueError
from poise.nn.trajectories import Trajectories

States = Mapping[str, Tensor]
"""What a memory holds, each (L, N, H): `hidden`, and an LSTM's `cell`."""


class LstmHiddenState(NamedTuple):
    """What an LSTM remembers, (L, N, H) each."""

    hidden: Tensor
    cell: Tensor


class Memory(nn.Module):
    """An LSTM (Hochreiter and Schmidhuber, 1997) or a GRU (Cho et al., arXiv 1406.1078).

    `step` and `sequence` take the states and give them back; `forward` and `reset` keep them here, in `hidden_states`.

    Args:
        input_size: F.
        type: "lstm" or "gru".
        num_layers: L.
        hidden_size: H.
    """

    def __init__(
        self, input_size: int, type: Literal["lstm", "gru"] = "lstm", num_layers: int = 1, hidden_size: int = 256
    ) -> None:
        super().__init__()
        if type not in ("lstm", "gru"):
            raise InvalidValueError(f"unknown memory '{type}'; expected lstm or gru")
        self.rnn = (nn.LSTM if type == "lstm" else nn.GRU)(input_size, hidden_size, num_layers)
        self.output_size = hidden_size
        self.state_names = ("hidden", "cell") if type == "lstm" else ("hidden",)
        self._states: dict[str, Tensor] = {}
        for name, parameter in self.rnn.named_parameters():
            (nn.init.orthogonal_ if name.startswith("weight") else nn.init.zeros_)(parameter)

    # --- states in, states out --------------------------------------------------------------------------------------

    def initial_states(self, num_envs: int) -> dict[str, Tensor]:
        """Nothing remembered, (L, N, H) each."""
        zeros = next(self.rnn.parameters()).new_zeros(self.rnn.num_layers, num_envs, self.output_size)
        return dict.fromkeys(self.state_names, zeros)

    def step(self, features: Tensor, states: States) -> tuple[Tensor, dict[str, Tensor]]:
        """One step: features (N, F) to outputs (N, H) and the states after it."""
        outputs, states = self._run(features[None], states)
        return outputs[0], states

    def sequence(self, features: Tensor, states: States, starts: Tensor) -> Tensor:
        """Many steps at once, as `step` would make them one by one: features (T, N, F) to outputs (T, N, H).

        Args:
            features: of T steps.
            states: before the first of them.
            starts: (T, N) truth values, an episode starts with this step, with nothing remembered.

        Raises:
            InvalidValueError: `starts` is anything else.
        """
        starts = checked_starts(starts, features)
        if not starts.any():
            return self._run(features, states)[0]
        pieces = Trajectories(starts)
        before = {name: pieces.states_before(states[name]) for name in self.state_names}
        return pieces.unpad(self._run(pieces.pad(features), before)[0])

    # --- states kept here -------------------------------------------------------------------------------------------

    @property
    def hidden_states(self) -> LstmHiddenState | Tensor | None:
        """What is remembered, (L, N, H): a pair for an LSTM, a tensor for a GRU; None before the first step."""
        if not self._states:
            return None
        states = tuple(self._states[name] for name in self.state_names)
        return LstmHiddenState(*states) if len(states) == 2 else states[0]

    def forward(
        self, input: Tensor, masks: Tensor | None = None, hidden_states: LstmHiddenState | Tensor | None = None
    ) -> Tensor:
        """The next step of what is remembered, or padded trajectories from given states.

        Args:
            input: (N, F), or (L, M, F) padded with anything finite.
            masks: None for a step; (L, M) bool for trajectories, where they are real.
            hidden_states: before the step, in place of what is remembered, (K, N, H); or before the first step of the
                trajectories, (K, M, H), zero by default.

        Returns:
            (N, H), or (L, M, H), zero where the padding is.
        """
        parts = (hidden_states,) if isinstance(hidden_states, Tensor) else hidden_states
        given = dict(zip(self.state_names, parts, strict=True)) if parts else {}
        if masks is not None:
            return self._run(input, given or self.initial_states(input.shape[1]))[0] * masks[..., None]
        outputs, states = self.step(input, given or self._states or self.initial_states(len(input)))
        self._states = {name: state.detach() for name, state in states.items()}  # the graph would grow for ever
        return outputs

    def reset(self, dones: Tensor | None = None) -> None:
        """Forget the environments (N,) whose episode is over, or all."""
        self._states = {} if dones is None else forget(self._states, dones)

    def _run(self, features: Tensor, states: States) -> tuple[Tensor, dict[str, Tensor]]:
        given = tuple(states[name] for name in self.state_names)
        outputs, after = self.rnn(features, given if len(given) == 2 else given[0])
        return outputs, dict(zip(self.state_names, after if len(given) == 2 else (after,), strict=True))


def forget(states: States, dones: Any) -> dict[str, Tensor]:
    """States (L, N, H) with nothing in them of environments whose episode is over, whatever was remembered of them.

    Args:
        states: by name.
        dones: (N,) truth values, or numbers that are 0 or 1: a tensor, an array or a list.

    Raises:
        InvalidValueError: `dones` is not one truth value for each environment.
    """
    over = _truths(dones, "dones", "environment")
    for state in states.values():
        if over.shape != state.shape[1:2]:
            raise InvalidValueError(f"dones must be of shape ({state.shape[1]},), got {tuple(over.shape)}")
    return {name: state.masked_fill(over.to(state.device)[:, None], 0.0) for name, state in states.items()}


def checked_starts(starts: Tensor, features: Tensor) -> Tensor:
    """Where episodes start, (T, N) bool, of a sequence (T, N, F).

    Raises:
        InvalidValueError: there is not one truth value for each step of each environment.
    """
    if starts.shape != features.shape[:-1]:
        expected, got = tuple(features.shape[:-1]), tuple(starts.shape)
        raise InvalidValueError(f"starts must be of shape {expected}, as the sequence is, got {got}")
    return _truths(starts, "starts", "step of each environment")


def _truths(values: Any, name: str, each: str) -> Tensor:
    """Given as bool; indices of environments are no truth values."""
    given = torch.as_tensor(values)
    if given.dtype != torch.bool and not ((given == 0) | (given == 1)).all():
        raise InvalidValueError(
            f"{name} must be truth values, one for each {each}, or numbers that are 0 or 1; "
            f"got {given.flatten()[:4].tolist()}, of {given.dtype}"
        )
    return given.bool()
