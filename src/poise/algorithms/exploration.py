"""Exploration noise with a memory: small pushes one way for a while show a robot more than trembling does.

White noise averages out before a body has moved. An autoregressive process of the first order has the same standard
normal distribution at every step, so that the log probabilities of what is drawn with it stay those of the policy:

    e[t] = rho e[t-1] + sqrt(1 - rho²) w[t],   w white, standard normal

(Korenkevych et al., "Autoregressive policies for continuous control", arXiv 1903.11524; Hollenstein et al., "Colored
noise in PPO", arXiv 2312.11091. The policy gradient takes steps for independent, which is then an approximation.)
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor


class AutoregressiveNoise:
    """Standard normal noise of several environments, correlated from step to step."""

    def __init__(self) -> None:
        self._last: Tensor | None = None

    def draw(self, like: Tensor, correlation: float) -> Tensor:
        """The next noise, (N, A) as `like` is; `correlation` is rho, with the last one, in [0, 1]."""
        fresh = torch.randn_like(like)
        if self._last is not None:
            fresh = correlation * self._last + math.sqrt(1.0 - correlation * correlation) * fresh
        self._last = fresh
        return fresh

    def state(self) -> dict[str, Tensor]:
        """The noise of the last step, to continue bit for bit."""
        return {} if self._last is None else {"last": self._last}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue from `state()`."""
        self._last = state.get("last")
