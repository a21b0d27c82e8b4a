"""Settings every test shares."""

import sys


def pytest_runtest_setup() -> None:
    """Keep torch to two threads, so that a test takes as long on a large machine as on a small one.

    Tests that never import torch do not pay for it here.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() > 2:
        torch.set_num_threads(2)
