"""Robots that learn to keep their balance and to see.

A fast ballbot simulator with depth cameras, and the reinforcement learning that trains it. Each folder says in its
docstring what lives there; imports point downwards only, from the command line to the simulated world.
"""

from importlib.metadata import version

__version__ = version("poise")
