"""Feature extractors for mixed observations: a mapping of arrays in, one vector of features out."""

from poise.fusion.concatenation import ConcatExtractor

__all__ = ["ConcatExtractor"]
