"""Robots that learn to keep their balance and to see.

A fast ballbot simulator with depth cameras, and the reinforcement learning that trains it. Each folder says in its
docstring what lives there; imports point downwards only, from the command line to the simulated world.
"""

import os
from importlib.metadata import version

# Waiting OpenMP threads sleep rather than spin: torch's would keep the simulation's from running, and on a busy machine
# each other. Read when the OpenMP library is loaded, so it comes before any import of torch.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = version("poise")
