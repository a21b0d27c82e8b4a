"""Vision-language-action fusion: what an instruction conditions."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from poise.config import parse
from poise.errors import PoiseError
from poise.fusion import VisionLanguageAction, build_fusion
from poise.fusion.language import Film
from poise.policies import PolicyConfig

SHAPES = {"vel": (3,), "compass": (2,), "instruction": (6,), "rgbd_0": (1, 12, 10), "rgbd_1": (5,)}


def build(shapes: dict[str, tuple[int, ...]] = SHAPES, **options: Any) -> VisionLanguageAction:
    config = parse(PolicyConfig, {"fusion": {"name": "vision_language_action", "width": 8, **options}}).fusion
    assert config is not None
    torch.manual_seed(3)
    made = build_fusion(shapes, config)
    assert isinstance(made, VisionLanguageAction)
    return made.requires_grad_(False)


def observe(count: int) -> dict[str, Tensor]:
    return {name: torch.randn(count, *shape) for name, shape in SHAPES.items()}


def test_film_by_hand() -> None:
    film = Film(2).requires_grad_(False)
    film.condition.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 1.0], [3.0, 0.0]]))
    film.condition.bias.copy_(torch.tensor([0.0, 0.0, 0.5, 0.0]))
    tokens, condition = torch.tensor([[[1.0, 2.0], [3.0, -1.0]]]), torch.tensor([[[0.5, -1.0]]])
    # gamma = (0.5, -2), beta = (-0.5, 1.5)
    assert_close(film(tokens, condition), torch.tensor([[[1.0, -0.5], [4.0, 2.5]]]))


def test_the_instruction_is_a_modality_of_its_own_and_by_default_the_one_that_conditions() -> None:
    extractor = build()
    assert extractor.modalities.names == ("body", "instruction", "rgbd_0", "rgbd_1")
    assert (extractor.language, extractor.query, extractor.seen) == ("instruction", "body", ("rgbd_0", "rgbd_1"))
    assert extractor.output_size == 24


def test_the_instruction_decides_what_is_made_of_what_is_seen() -> None:
    """The same two images differ otherwise for who has been told something else: no sum of two parts does that."""
    extractor, seen, other = build(), observe(5), observe(5)
    image, words = {"rgbd_0": other["rgbd_0"]}, {"instruction": other["instruction"]}
    effect = extractor(seen | image) - extractor(seen)
    effect_then = extractor(seen | image | words) - extractor(seen | words)
    found = slice(16, 24)
    assert effect[:, found].abs().max() > 1e-4
    assert (effect - effect_then)[:, found].abs().amax(dim=1).min() > 1e-4
    assert_close(effect[:, :16], torch.zeros(5, 16))  # what is told and felt is not seen


def test_it_decides_what_is_looked_at() -> None:
    images = {"channels": [16, 32, 32], "kernel_sizes": [3, 3, 3], "strides": [2, 2, 2]}  # 2x2 places are left
    extractor, seen = build(images=images), observe(5)
    weights = extractor.weights(seen)
    assert {name: tuple(value.shape) for name, value in weights.items()} == {"rgbd_0": (5, 4), "rgbd_1": (5, 1)}
    assert_close(sum(value.sum(-1) for value in weights.values()), torch.ones(5))
    told = extractor.weights(seen | {"instruction": 3.0 * torch.randn(5, 6)})
    assert (told["rgbd_0"] - weights["rgbd_0"]).abs().amax(dim=1).min() > 1e-4


def test_who_sees_nothing_is_conditioned_all_the_same() -> None:
    blind = {name: SHAPES[name] for name in ("vel", "compass", "instruction")}
    extractor, seen = build(blind), observe(4)
    assert extractor.output_size == 16
    assert extractor.weights(seen) == {}
    effects = [
        extractor(seen | words | {"vel": seen["vel"] + 1.0}) - extractor(seen | words)
        for words in ({}, {"instruction": torch.randn(4, 6)})
    ]
    assert (effects[0] - effects[1]).abs().amax(dim=1).min() > 1e-4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"language": "instructoin"},
            "language names 'instructoin', and there is no such modality; name one of .*did you mean 'instruction'",
        ),
        ({"query": "legs"}, "query names 'legs', and .*; name one of body, instruction, rgbd_0, rgbd_1"),
        ({"language": "body"}, "language and query are both 'body'; they must be two"),
        ({"language": "rgbd_0"}, "language is 'rgbd_0', and 'rgbd_0' is an image"),
    ],
)
def test_wrong_use_is_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(PoiseError, match=words):
        build(**options)


def test_the_instruction_that_nobody_gives_is_told_how_to_get() -> None:
    shapes = {name: SHAPES[name] for name in ("vel", "rgbd_0")}
    with pytest.raises(
        PoiseError,
        match=r"policy.fusion.language is 'instruction', and the environment gives none.*"
        r"\(env.options.instruction.enabled true\), or name another modality .* of body, rgbd_0$",
    ):
        build(shapes)
    told = {"told": ["instruction"], "body": ["vel"]}  # it is there, under another name
    with pytest.raises(PoiseError, match="language names 'instruction', and there is no such modality; name one of"):
        build({"vel": (3,), "instruction": (6,)}, modalities=told)
