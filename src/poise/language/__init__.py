"""Instructions in plain English: what a ballbot can be told, and a text encoder that makes numbers of it. No torch."""

from poise.language.encoder import EMBEDDING_SIZE, embed, embeddings
from poise.language.reading import read
from poise.language.vocabulary import COMMANDS, DIRECTIONS, SPEEDS, Command, Split, meaning, sentences

__all__ = [
    "COMMANDS",
    "DIRECTIONS",
    "EMBEDDING_SIZE",
    "SPEEDS",
    "Command",
    "Split",
    "embed",
    "embeddings",
    "meaning",
    "read",
    "sentences",
]
