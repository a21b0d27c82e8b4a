"""Robots that learn to keep their balance and to see.

A fast ballbot simulator with depth cameras, and the reinforcement learning that trains it. Each folder says in its
docstring what lives there; imports point downwards only, from the command line to the simulated world.
"""

import os
import tempfile
from importlib.metadata import version

# Waiting OpenMP threads sleep rather than spin: torch's would keep the simulation's from running, and on a busy machine
# each other. Read when the OpenMP library is loaded, so it comes before any import of torch.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Compiled code is kept beside the sources or, where nothing may be written there, in the user's cache. Where neither is
# ours to write, as for a user without a home in a container, numba would refuse to compile at all.
if not any(os.access(place, os.W_OK) for place in (os.path.dirname(__file__), os.path.expanduser("~"))):
    os.environ.setdefault("NUMBA_CACHE_DIR", tempfile.mkdtemp(prefix="poise-"))  # nobody else's: it is code

__version__ = version("poise")
