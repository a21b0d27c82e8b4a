"""Learning by watching: demonstrations in LeRobot's format, the policies that learn from them, and how they do.

writer, reader ─► Demonstrations ─► Corpus ─► batches ─► Cloning ─► BC, ACT
    (layout, tables, films)      (pictures in memory)    (augmentation, losses)
"""

from poise.imitation.act import ACTPolicy
from poise.imitation.batches import Batch, Corpus, split_by_episode
from poise.imitation.building import build_imitation_policy
from poise.imitation.cloning import Cloning
from poise.imitation.config import ActPolicyConfig, AnyImitationPolicyConfig, CloningConfig, CloningPolicyConfig
from poise.imitation.policy import ImitationPolicy, VisuomotorBCPolicy
from poise.imitation.reader import Demonstrations, LoadedEpisode
from poise.imitation.writer import Demonstration, DemonstrationWriter

__all__ = [
    "ACTPolicy",
    "ActPolicyConfig",
    "AnyImitationPolicyConfig",
    "Batch",
    "Cloning",
    "CloningConfig",
    "CloningPolicyConfig",
    "Corpus",
    "Demonstration",
    "DemonstrationWriter",
    "Demonstrations",
    "ImitationPolicy",
    "LoadedEpisode",
    "VisuomotorBCPolicy",
    "build_imitation_policy",
    "split_by_episode",
]
