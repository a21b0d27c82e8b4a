"""Settings every test shares."""

import sys


def pytest_runtest_setup() -> None:
    """Keep torch to one thread: tests are small, and threads that wait for each other stall on a busy machine.

    Tests that never import torch do not pay for it here.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() > 1:
        torch.set_num_threads(1)
