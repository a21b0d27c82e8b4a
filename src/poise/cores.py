"""The cores this process may use, and how many of them torch takes for one operation."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


def available_cores() -> int:
    """Cores this process may use, which containers and schedulers make fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch share an operation out among so many threads.

    One where others work beside it: torch's threads spin in their way. Always the same number where the last bits of
    a result are to be the same.
    """
    import torch  # seconds, which `poise --help` has not

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
