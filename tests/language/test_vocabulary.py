"""What can be told, and that nothing held out is ever heard while learning."""

import itertools
import re

import pytest

from poise.language import COMMANDS, DIRECTIONS, SPEEDS, Command, meaning, sentences
from poise.language.vocabulary import PARAPHRASES, WORDS, Split, spellings

SPLITS: tuple[Split, ...] = ("train", "validation", "held_out")
SMALLEST = {"a", "at", "i", "in", "it", "like", "the", "time", "to", "us", "way", "we", "with", "would", "you", "your"}
"""Words that any sentence may have: none of them tells where to go, how fast, or not to."""


def words(split: Split) -> set[str]:
    every = " ".join(text for texts in sentences(split).values() for text in texts)
    return set(re.findall(r"[a-z'-]+", every.lower()))


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(SPLITS, 2)))
def test_splits_share_the_compass_and_the_smallest_words_alone(one: Split, other: Split) -> None:
    assert words(one) & words(other) <= _compass() | SMALLEST | {"keep"}  # "keep going" is to go, "keep motionless" not
    told = [{text for texts in sentences(split).values() for text in texts} for split in (one, other)]
    assert not told[0] & told[1]


def test_who_learns_from_two_splits_hears_their_words_and_none_that_is_held_out() -> None:
    both = words("train_and_validation")
    assert {"stroll", "journey", "gradually", "sluggishly", "northbound"} <= both
    assert both <= words("train") | words("validation") | {"northbound", "southbound"} | _compass()
    assert words("held_out") & both <= _compass() | SMALLEST | {"keep"}


def _compass() -> set[str]:
    return {word for direction in DIRECTIONS for way in spellings(direction) for word in way.split()}


@pytest.mark.parametrize("split", [*SPLITS, "train_and_validation"])
def test_every_command_is_told_in_many_ways_and_no_way_tells_two(split: Split) -> None:
    told = sentences(split)
    assert list(told) == list(COMMANDS)
    every = [text for texts in told.values() for text in texts]
    assert len(every) == len(set(every))
    for command, texts in told.items():
        most = len(set(WORDS[split].leads)) * len(WORDS[split].stops) if command.direction is None else 10**6
        assert len(texts) == min(PARAPHRASES[split], most)
    assert all(text == " ".join(text.split()).strip(", ") for text in every)


def test_commands_by_hand() -> None:
    assert len(COMMANDS) == len(DIRECTIONS) * len(SPEEDS) + 1
    assert Command("east", "slowly").heading == pytest.approx((1.0, 0.0))
    assert Command("north").heading == pytest.approx((0.0, 1.0))
    assert Command("southwest").heading == pytest.approx((-(0.5**0.5), -(0.5**0.5)))
    assert [Command("west", pace).speed for pace in ("slowly", "normally", "quickly")] == [0.1, 0.2, 0.3]
    assert Command(None).speed == 0.0
    assert [command.name for command in (COMMANDS[0], COMMANDS[1], COMMANDS[-1])] == [
        "go east slowly",
        "go east",
        "stop",
    ]


def test_what_sentences_mean() -> None:
    for split in SPLITS:
        for command, texts in sentences(split).items():
            assert {meaning(text) for text in texts} == {command}
    assert meaning("Go north  slowly.") == Command("north", "slowly")
    assert meaning("stop") == Command(None)
    assert meaning("dance") is None


def test_spellings() -> None:
    assert spellings("north") == ("north",)
    assert spellings("southeast") == ("southeast", "south-east", "south east")
