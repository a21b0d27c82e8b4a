"""A minibatch's gradient computed by several threads, each from some of its rows.

torch's own threads share out single operations, and to be quick about it they spin for work: a busy machine then
stalls them. A thread of Python for each part of the rows waits asleep, and the outcome depends on how many parts there
are, not on the machine.
"""

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from poise.policies import ActorCritic
from poise.storage import Minibatch

LEAST_ROWS = 256
"""Of a part: with fewer, threads wait for each other's turn in Python longer than they calculate."""

Loss = Callable[[ActorCritic, Minibatch], tuple[Tensor, dict[str, Tensor]]]
"""A mean over rows, and further means to be reported."""


class ParallelGradients:
    """Gradients of a policy's parameters.

    Args:
        policy: whose.
        threads: parts that a minibatch is split into, if it has rows enough.
    """

    def __init__(self, policy: ActorCritic, threads: int) -> None:
        # Each thread needs a policy of its own to remember its last distribution; the weights are the same tensors.
        weights = [*policy.parameters(), *policy.buffers()]
        self._policies = [policy]
        self._policies += [
            copy.deepcopy(policy, {id(tensor): tensor for tensor in weights}) for _ in range(threads - 1)
        ]
        self._parameters = [parameter for parameter in policy.parameters() if parameter.requires_grad]
        self._pool = ThreadPoolExecutor(threads, "poise-update") if threads > 1 else None

    def __call__(self, loss: Loss, batch: Minibatch) -> dict[str, float]:
        """Set the parameters' `grad`; returns what the loss reports, averaged over the rows."""
        rows = batch.num_samples
        parts = batch.split(min(len(self._policies), max(1, rows // LEAST_ROWS)))

        def work(policy: ActorCritic, part: Minibatch) -> tuple[list[Tensor | None], dict[str, float]]:
            share = part.num_samples / rows
            value, reported = loss(policy, part)
            gradients = torch.autograd.grad(share * value, self._parameters, allow_unused=True)
            # Two of them may be one tensor, or an expanded one: neither can be written into.
            own: list[Tensor | None] = [None if grad is None else grad.clone() for grad in gradients]
            return own, {name: share * float(mean.detach()) for name, mean in reported.items()}

        run = self._pool.map if self._pool is not None and len(parts) > 1 else map
        (gradients, reported), *others = run(work, self._policies, parts)
        for more, told in others:
            gradients = [_sum(one, other) for one, other in zip(gradients, more, strict=True)]
            reported = {name: mean + told[name] for name, mean in reported.items()}
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = gradient
        return reported

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()


def _sum(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    """Of gradients, in the place of the first; None stands for none."""
    if one is None or other is None:
        return other if one is None else one
    return one.add_(other)
