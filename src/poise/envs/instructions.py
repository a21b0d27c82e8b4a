"""What robots are told to do, in plain English: a sentence for each episode, and what it commands."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poise.envs.options import InstructionOptions
from poise.errors import InvalidValueError
from poise.language import COMMANDS, EMBEDDING_SIZE, Command, embed, embeddings, meaning, read, sentences
from poise.sim.simulation import Indices

INSTRUCTION = "instruction"
"""Name of the component that is a sentence's embedding."""

COMMAND = "command"
"""Name of the component that tells what a sentence commands."""

COMPASS = "compass"
"""Name of the component that tells where north is."""

_OWN_WORDS = -1
"""In place of the number of a command: somebody has told something in words of his own."""


class Instructions:
    """The instructions of `num_robots` robots; draws come from each robot's own generator.

    Attributes:
        headings: (N, 2) unit vectors of what is commanded, world frame; where standing still is, east.
        speeds: (N,) m/s, 0 to stand still.
        texts: the sentences.
    """

    def __init__(self, options: InstructionOptions, num_robots: int) -> None:
        self._options = options
        still = [command for command in COMMANDS if command.direction is None]
        moving = [c for c in COMMANDS if c.direction in options.directions and c.pace in options.paces]
        self._commands = {True: still, False: moving}
        self.headings = np.tile([1.0, 0.0], (num_robots, 1))
        self.speeds = np.zeros(num_robots)
        self.texts = [""] * num_robots
        self._told = np.full(num_robots, _OWN_WORDS)
        self._embedded = np.zeros((num_robots, EMBEDDING_SIZE), np.float32)
        self._noise = np.zeros_like(self._embedded) if options.noise else np.zeros((num_robots, 0), np.float32)

    def draw(self, robot: int, generator: np.random.Generator) -> None:
        """A new episode's instruction: whether to stand still, a command, and one of the sentences that tell it."""
        if self._options.text is not None:
            self._tell(robot, self._options.text)
            return
        commands = self._commands[bool(generator.random() < self._options.stop)]
        self._word(robot, COMMANDS.index(commands[generator.integers(len(commands))]), generator)

    def tell(self, texts: str | Sequence[str]) -> None:
        """Tell all robots the same, or each its own sentence.

        Raises:
            InvalidValueError: there are not as many as robots, or one is empty.
        """
        each = [texts] * len(self.texts) if isinstance(texts, str) or not isinstance(texts, Iterable) else list(texts)
        if len(each) != len(self.texts):
            raise InvalidValueError(f"expected an instruction for each of {len(self.texts)} robots, got {len(each)}")
        for robot, text in enumerate(each):
            self._tell(robot, text)

    def vary(self, robots: Indices, generators: Sequence[np.random.Generator]) -> None:
        """Other words for the same and new noise for some robots: what sentences have in common is to be learned.

        To learn from noisy inputs is to keep weights small (Bishop, "Training with noise is equivalent to Tikhonov
        regularization", 1995); drawn here and not within the policy, it is the same when actions are judged.
        """
        for robot in robots if self._options.reword or self._options.noise else ():
            generator = generators[robot]
            if self._options.reword and self._told[robot] != _OWN_WORDS and generator.random() < self._options.reword:
                self._word(robot, int(self._told[robot]), generator)
            if self._options.noise:
                drawn = generator.standard_normal(EMBEDDING_SIZE, np.float32)
                self._noise[robot] = self._options.noise * drawn

    def velocities(self) -> NDArray[np.float64]:
        """(N, 2) what is commanded, m/s, world frame; an array of its own."""
        return self.speeds[:, None] * self.headings

    def observe(self) -> NDArray[np.float32]:
        """(N, EMBEDDING_SIZE) the sentences' embeddings."""
        return self._embedded + self._noise if self._options.noise else self._embedded.copy()

    def state(self) -> dict[str, Any]:
        """Sentences, embeddings, and what they command."""
        return {
            "texts": list(self.texts),
            "told": self._told.copy(),
            "embedded": self._embedded.copy(),
            "noise": self._noise.copy(),
            "headings": self.headings.copy(),
            "speeds": self.speeds.copy(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from `state()`."""
        self.texts[:] = state["texts"]
        self._told[...] = state["told"]
        self._embedded[...] = state["embedded"]
        self._noise[...] = state["noise"]
        self.headings[...] = state["headings"]
        self.speeds[...] = state["speeds"]

    def _tell(self, robot: int, text: str) -> None:
        """A sentence in any words; what an unknown one commands, as far as rewards go, is read from its embedding."""
        if not isinstance(text, str) or not text.strip():
            raise InvalidValueError("an instruction must have words, such as 'go north slowly'")
        embedding = embed([text])
        self._told[robot] = _OWN_WORDS
        self._set(robot, text, meaning(text) or read(embedding)[0], embedding[0])

    def _word(self, robot: int, number: int, generator: np.random.Generator) -> None:
        """Tell one of `COMMANDS` by one of its sentences."""
        told, command = sentences(self._options.split), COMMANDS[number]
        choice = int(generator.integers(len(told[command])))
        before = sum(len(told[other]) for other in COMMANDS[:number])
        self._told[robot] = number
        self._set(robot, told[command][choice], command, embeddings(self._options.split)[before + choice])

    def _set(self, robot: int, text: str, command: Command, embedding: NDArray[np.float32]) -> None:
        self.texts[robot] = text
        self._embedded[robot] = embedding
        self.headings[robot] = command.heading
        self.speeds[robot] = command.speed
