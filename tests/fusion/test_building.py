"""From settings to an extractor, and what is said of those that fit nothing, to who configures and who programs."""

from typing import Any

import pytest
import torch

from poise.config import parse
from poise.errors import InvalidValueError
from poise.fusion import ConcatFusion, WeightedSum, build_fusion
from poise.policies import PolicyConfig

SHAPES = {"vel": (3,), "eye": (1, 12, 10)}
TWO_EYES = {"eye": (1, 12, 10), "other_eye": (1, 12, 10)}
CODES = {"vel": (3,), "rgbd_0": (5,), "rgbd_1": (5,)}
VIT = {"kind": "vit", "patch_size": 2}


def complaint(shapes: dict[str, Any], settings: Any, of_a_run: bool = False) -> str:
    """What is said of settings, in Python or, as the policy's section, in a run's configuration."""
    with pytest.raises(InvalidValueError) as caught:
        build_fusion(shapes, parse(PolicyConfig, {"fusion": settings}, "x.yaml").fusion if of_a_run else settings)  # type: ignore[arg-type]
    return str(caught.value)


def test_an_extractor_of_plain_settings() -> None:
    extractor = build_fusion({"vel": 3, "eye": (1, 12, 10)}, {"name": "concat", "hidden_sizes": [5]})
    assert extractor({"vel": torch.zeros(2, 3), "eye": torch.zeros(2, 1, 12, 10)}).shape == (2, 10)


def test_a_name_alone_will_do() -> None:
    assert isinstance(build_fusion(SHAPES, "concat"), ConcatFusion)
    named, whole = (parse(PolicyConfig, {"fusion": fusion}) for fusion in ("weighted_sum", {"name": "weighted_sum"}))
    assert named == whole
    assert named.fusion is not None
    assert isinstance(build_fusion(SHAPES, named.fusion), WeightedSum)


@pytest.mark.parametrize(
    ("shapes", "settings", "words"),
    [
        (SHAPES, {"name": "cross_attention", "query": "bdy"}, ".query names 'bdy', and there is no such modality"),
        (SHAPES, {"name": "concat", "modalities": {"a": ["vel"]}}, ".modalities leaves out eye; every component"),
        (SHAPES, {"name": "concat", "modalities": {"a": ["vle"]}}, ".modalities.a names 'vle', and there is no such"),
        (SHAPES, {"name": "concat", "dropout": {"spare": ["bdy"]}}, ".dropout.spare names 'bdy', and there is no"),
        (
            SHAPES,
            {"name": "concat", "images": VIT | {"patch_size": 8}},
            ".images.patch_size of 8 does not divide 'eye'",
        ),
        ({"film": (4, 1, 8, 8)}, {"name": "concat"}, ": no modality can take 'film' of shape (4, 1, 8, 8)"),
        ({"vel": (3,)}, {"name": "concat", "dropout": {}, "missing": "zeros"}, ".dropout withholds cameras and images"),
        (CODES, {"name": "vision_language_action", "language": "body"}, ".language and query are both 'body'"),
    ],
)
def test_settings_are_called_what_they_are_called_by_who_made_them(
    shapes: dict[str, Any], settings: dict[str, Any], words: str
) -> None:
    assert complaint(shapes, settings).startswith(f"fusion{words}")
    assert complaint(shapes, settings, of_a_run=True).startswith(f"policy.fusion{words}")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("cancat", "fusion.name must be one of 'concat', "),
        ({"name": "cancat"}, "fusion.name must be one of 'concat', "),
        ({"name": "transformer", "width": 10}, "fusion: num_heads must divide width, got 4 and 10"),
        ({"width": 8}, "fusion.name must be one of 'concat', "),
        (["concat"], "fusion must be a mapping of keys to values, got ['concat']"),
        ({"name": "concat", "with": 3, "activation": "lelu"}, "there are 2 problems: (1) fusion."),
    ],
)
def test_settings_that_are_none_are_told_without_a_file(settings: Any, words: str) -> None:
    assert complaint(SHAPES, settings).startswith(words)
    assert complaint(SHAPES, settings, of_a_run=True).startswith("x.yaml")


def test_settings_of_another_way_are_told_whose_they_are() -> None:
    settings = {"name": "weighted_sum", "hidden_sizes": [32]}
    sentence = (
        "unknown key 'fusion.hidden_sizes', which goes with name 'concat' or 'early' and not with 'weighted_sum'; "
        'remove it, or set all of fusion anew: "{name: weighted_sum}". Known keys: activation, dropout, images, '
        "missing, modalities, name, width"
    )
    assert complaint(SHAPES, settings) == sentence
    assert complaint(SHAPES, settings, of_a_run=True) == f"x.yaml: {sentence}"


def test_a_default_that_does_not_fit_is_not_blamed_on_who_did_not_choose_it() -> None:
    assert complaint(TWO_EYES, "cross_attention") == (
        "fusion.query names 'body', and there is no such modality; name one of eye, other_eye"
    )
    assert complaint({"eye": (1, 12, 10)}, "cross_attention") == (
        "fusion.query is 'body', and 'eye' is the only modality; choose another way of fusing, for there is no other "
        "modality to ask"
    )


def test_settings_of_images_need_images() -> None:
    settings = {"name": "concat", "images": VIT}
    encoded = (
        "fusion.images changes nothing: there are none to encode, rgbd_0, rgbd_1 being encoded already; leave it out, "
        "or leave out what encodes them (policy.encoder)"
    )
    assert complaint(CODES, settings, of_a_run=True) == f"policy.{encoded}"
    assert complaint(CODES, settings) == encoded
    blind = {"vel": (3,)}
    assert complaint(blind, settings) == "fusion.images changes nothing: there are none to encode; leave it out"
    # A run's critic, which is built of its actor's settings, may see none.
    assert build_fusion(blind, parse(PolicyConfig, {"fusion": settings}).fusion).output_size == 3  # type: ignore[arg-type]
    assert build_fusion(CODES | {"rgbd_1": (1, 12, 10)}, settings).output_size == 3 + 5 + 32
    assert build_fusion(CODES, {"name": "concat", "images": {"kind": "cnn"}}).output_size == 13  # as by default
