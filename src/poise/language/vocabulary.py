"""What a ballbot can be told, and in which words: commands, and the sentences that tell them.

command ──► {lead} {verb} {direction} {pace} ──► "please roll to the north slowly"

The three splits share the points of the compass and the smallest words of English, and nothing else: no verb, adverb or
turn of phrase of one occurs in another. Who follows a sentence that was held out has understood it, and not remembered
it. Once all settings are chosen by validation, the words of both may be learned from: `train_and_validation`.
"""

import itertools
import math
import random
from collections.abc import Sequence
from functools import cache
from typing import Literal, NamedTuple

Split = Literal["train", "validation", "held_out", "train_and_validation"]

DIRECTIONS = ("east", "northeast", "north", "northwest", "west", "southwest", "south", "southeast")
"""Of the compass, 45° apart and counterclockwise: east is +x of the world, north is +y."""

SPEEDS = {"slowly": 0.1, "normally": 0.2, "quickly": 0.3}
"""m/s that is asked for, by pace."""

PARAPHRASES: dict[Split, int] = {"train": 256, "validation": 40, "held_out": 40, "train_and_validation": 256}
"""Sentences for each command, where there are so many: some of all that the words allow, always the same."""


class Command(NamedTuple):
    """What is to be done.

    Attributes:
        direction: one of `DIRECTIONS`, or None to stand still.
        pace: one of `SPEEDS`.
    """

    direction: str | None
    pace: str = "normally"

    @property
    def name(self) -> str:
        """In plain words: 'stop', 'go north slowly'."""
        return (
            "stop"
            if self.direction is None
            else f"go {self.direction}" + ("" if self.pace == "normally" else f" {self.pace}")
        )

    @property
    def heading(self) -> tuple[float, float]:
        """Unit vector of the direction, world frame; standing still has none, and counts as east."""
        angle = math.tau / len(DIRECTIONS) * DIRECTIONS.index(self.direction or DIRECTIONS[0])
        return math.cos(angle), math.sin(angle)

    @property
    def speed(self) -> float:
        """m/s."""
        return 0.0 if self.direction is None else SPEEDS[self.pace]


COMMANDS = (*(Command(direction, pace) for direction, pace in itertools.product(DIRECTIONS, SPEEDS)), Command(None))
"""All there are: each direction at each pace, and to stand still."""


class Words(NamedTuple):
    """The words of a split; {d} stands for a point of the compass."""

    orders: tuple[str, ...]
    leads: tuple[str, ...]
    verbs: tuple[str, ...]
    directions: tuple[str, ...]
    paces: dict[str, tuple[str, ...]]
    stops: tuple[str, ...]


WORDS: dict[Split, Words] = {
    "train": Words(
        orders=("{lead} {verb} {direction} {pace}", "{pace}, {verb} {direction}", "{direction}, {pace}"),
        leads=(
            *("", "please", "now", "robot,", "you should", "can you", "let us", "your task is to", "I want you to"),
            *("we need to", "next,", "it is best to", "be so kind and", "after that", "listen:", "try to"),
            *("the plan is to", "from now on", "do me a favour and", "ballbot,", "it would be nice to", "then"),
            *("remember to", "everyone wants you to", "once more", "ok,", "my wish is that you"),
        ),
        verbs=(
            *("go", "move", "drive", "roll", "head", "run", "walk", "continue", "turn and go", "keep going"),
            *("start moving", "find a way", "fly", "ride", "push on", "take a trip", "leave", "stroll", "step", "jog"),
            *("slide", "sail", "get going", "carry on", "scoot", "get moving", "shift", "climb", "pass", "hike"),
            *("relocate", "trundle", "follow a path", "aim", "reach out"),
        ),
        directions=(
            *("{d}", "to the {d}", "towards the {d}", "due {d}", "{d}ward", "straight {d}", "to where {d} is"),
            *("on a {d} course", "to the {d} side", "{d} from here", "{d}", "{d}", "the {d}ern way", "up {d}"),
            *("with {d} as your goal", "where the needle points {d}", "for the {d}"),
            *("{d} and nowhere else", "true {d}"),
            *("on the {d}ern road", "at a {d} bearing", "away to the {d}", "as far {d} as you get", "exactly {d}"),
            *("out {d}", "on the path that leads {d}", "with the {d} before you", "{d}, not anywhere else"),
            *("on a line that runs {d}", "closer to the {d}", "through the {d}", "to the {d}ern end"),
        ),
        paces={
            "normally": (
                "",
                "",
                "",
                "",
                "at a normal speed",
                "as usual",
                "for a while",
                "today",
                "again",
                "if you can",
            ),
            "slowly": (
                *("slowly", "very slowly", "at low speed", "carefully", "gently", "at a slow pace", "cautiously"),
                *("calmly", "gradually", "little by little", "taking your time", "not too fast", "lazily"),
                *("without hurrying", "with patience", "slow and steady", "relaxed", "softly", "like a turtle"),
            ),
            "quickly": (
                *("quickly", "very quickly", "at high speed", "fast", "as fast as possible", "at a quick pace"),
                *("hurriedly", "at top speed", "in a hurry", "promptly", "briskly", "without losing time"),
                *("at full power", "faster", "with urgency", "hurry up", "energetically", "like the wind"),
            ),
        },
        stops=(
            *("stop", "stop moving", "halt", "stand still", "do not move", "stay here", "stay where you are", "wait"),
            *("do nothing", "rest", "pause", "stop at once", "stand there quietly", "no more moving", "go nowhere"),
        ),
    ),
    "validation": Words(
        orders=("{lead} {verb} {direction} {pace}",),
        leads=("", "could we", "time to", "I would like us to"),
        verbs=("travel", "proceed", "advance", "make your way", "set off", "journey"),
        directions=("{d}wards", "in the direction of {d}", "into the {d}", "{d}bound"),
        paces={
            "normally": ("",),
            "slowly": ("in a leisurely way", "at a snail's crawl", "sluggishly", "unhurriedly"),
            "quickly": ("rapidly", "swiftly", "with great haste", "speedily"),
        },
        stops=(
            "freeze",
            "remain in position",
            "keep motionless",
            "come to a standstill",
            "cease all motion",
            "hold it",
        ),
    ),
    "held_out": Words(
        orders=("{lead} {verb} {direction} {pace}", "{lead} {verb}, {pace}, {direction}"),
        leads=("", "kindly", "would you", "hey machine,"),
        verbs=("cruise", "march", "steer", "navigate", "glide", "wander", "depart"),
        directions=("{d}erly", "toward {d}", "facing {d}", "over to the {d}"),
        paces={
            "normally": ("",),
            "slowly": ("tardily", "ploddingly", "at an ambling gait", "dawdling"),
            "quickly": ("in a flash", "at maximum velocity", "racing", "double-time"),
        },
        stops=("don't budge", "park", "quit rolling", "brake", "settle down", "stick to this spot", "cut the engine"),
    ),
}


def _together(one: Words, other: Words) -> Words:
    """The words of both, which may meet in a sentence."""
    paces = {pace: one.paces[pace] + other.paces[pace] for pace in SPEEDS}
    merged = {name: getattr(one, name) + getattr(other, name) for name in Words._fields if name != "paces"}
    return Words(paces=paces, **merged)


WORDS["train_and_validation"] = _together(WORDS["train"], WORDS["validation"])


def spellings(direction: str) -> tuple[str, ...]:
    """Ways to write a point of the compass: 'northeast', 'north-east', 'north east'."""
    for first in ("north", "south"):
        second = direction.removeprefix(first)
        if second not in ("", direction):
            return direction, f"{first}-{second}", f"{first} {second}"
    return (direction,)


@cache
def sentences(split: Split) -> dict[Command, tuple[str, ...]]:
    """Ways to tell each command, in the words of a split."""
    return {command: _told(command, WORDS[split], PARAPHRASES[split]) for command in COMMANDS}


def _told(command: Command, words: Words, count: int) -> tuple[str, ...]:
    """As many sentences as are wanted, or all there are, always the same: parts drawn at random until they differ."""
    places = [form.format(d=way) for form in words.directions for way in spellings(command.direction or "")]
    parts: dict[str, Sequence[str]] = {"lead": words.leads, "verb": words.verbs, "direction": places}
    orders: Sequence[str] = words.orders
    if command.direction is None:
        parts, orders = {"lead": words.leads, "verb": words.stops}, ("{lead} {verb}",)
    else:
        parts["pace"] = words.paces[command.pace]
    possible = math.prod(len(set(choices)) for choices in (orders, *parts.values()))
    draw, found = random.Random(command.name), dict[str, None]()
    while len(found) < min(count, possible):
        drawn = {name: draw.choice(choices) for name, choices in parts.items()}
        found[_tidy(draw.choice(orders).format(**drawn))] = None
    return tuple(found)


def _tidy(sentence: str) -> str:
    """Without blanks and commas where nothing stands."""
    words = " ".join(sentence.replace(", ,", ",").split())
    return words.replace(" ,", ",").strip(", ")


@cache
def _known() -> dict[str, Command]:
    told = {text: command for split in WORDS for command, texts in sentences(split).items() for text in texts}
    return told | {command.name: command for command in COMMANDS}


def meaning(text: str) -> Command | None:
    """The command that a sentence of any split, or a command's name, tells; None if it is no such sentence."""
    return _known().get(_tidy(text.lower().replace(".", ""))) or _known().get(text)
