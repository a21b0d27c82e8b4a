"""How many threads torch may use, and when."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch use `count` threads inside.

    One while robots run: more would spin between calls, in the way of the simulation's threads. In updates as many as
    the configuration says, on every machine: with another number torch may round its sums differently, and the run
    would be another one.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
