"""What mixed observations become: one vector of components side by side, and features of it."""

from poise.fusion.concatenation import ConcatExtractor
from poise.fusion.segments import ObsSegments, component

__all__ = ["ConcatExtractor", "ObsSegments", "component"]
