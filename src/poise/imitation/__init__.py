"""Demonstrations in LeRobot's format."""

from poise.imitation.reader import Demonstrations, LoadedEpisode
from poise.imitation.writer import Demonstration, DemonstrationWriter

__all__ = ["Demonstration", "DemonstrationWriter", "Demonstrations", "LoadedEpisode"]
