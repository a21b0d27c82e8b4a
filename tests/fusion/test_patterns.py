"""Every way of fusing modalities: independent of other samples, whatever the order, with something missing or not."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from poise.config import parse
from poise.errors import PoiseError
from poise.fusion import FUSIONS, CrossAttention, FusionExtractor, WeightedSum, build_fusion
from poise.fusion.attention import Attention
from poise.policies import PolicyConfig

SHAPES = {"vel": (3,), "age": (), "heights": (2, 3), "rgbd_0": (1, 12, 10), "rgbd_1": (5,)}
NAMES = [
    "concat",
    "early",
    "weighted_sum",
    "shared_encoder",
    "cross_attention",
    "hierarchical_attention",
    "transformer",
    "vision_language_action",
]
VIT = {"images": {"kind": "vit", "patch_size": 2}}
WITHHELD = {"dropout": {"prob": 0.5}}
NEEDS = {"vision_language_action": {"language": "rgbd_1"}}
patterns = pytest.mark.parametrize("name", NAMES)


def build(name: str, shapes: dict[str, tuple[int, ...]] = SHAPES, **options: Any) -> Any:
    """The same weights every time, what stands for missing modalities included."""
    config = parse(PolicyConfig, {"fusion": {"name": name, **NEEDS.get(name, {}), **options}}).fusion
    assert config is not None
    torch.manual_seed(3)
    made = build_fusion(shapes, config)
    with torch.no_grad():
        for value in made.modalities.missing.values():
            value.normal_()
    return made.requires_grad_(False)


def observe(*lead: int) -> dict[str, Tensor]:
    return {name: torch.randn(*lead, *shape) for name, shape in SHAPES.items()}


def test_there_is_no_other_way() -> None:
    assert list(FUSIONS) == NAMES


@patterns
@pytest.mark.parametrize("options", [{}, VIT, WITHHELD], ids=["plain", "patches", "withheld"])
def test_samples_do_not_see_each_other(name: str, options: dict[str, Any]) -> None:
    if name == "early" and options is VIT:
        return  # which has no network of images
    extractor, seen = build(name, **options), observe(6)
    missing = torch.rand(6, len(extractor.modalities.names)) < 0.4
    features = extractor(seen, missing)
    assert features.shape == (6, extractor.output_size)
    order = torch.tensor([4, 2, 0])
    few = {key: value[order] for key, value in seen.items()}
    assert_close(extractor(few, missing[order]), features[order], rtol=1e-5, atol=1e-6)
    other = {key: torch.cat([value[:1], 9.0 * value[1:]]) for key, value in seen.items()}
    assert_close(extractor(other, missing)[0], features[0], rtol=0, atol=0)


@patterns
def test_the_order_of_keys_changes_nothing(name: str) -> None:
    seen = observe(4)
    turned = dict(reversed(seen.items()))
    extractor, other = build(name), build(name, dict(reversed(SHAPES.items())))
    assert_close(extractor(turned), extractor(seen), rtol=0, atol=0)
    assert_close(other(seen), extractor(seen), rtol=0, atol=0)


@patterns
def test_any_leading_axes(name: str) -> None:
    extractor, seen = build(name), observe(3, 4)
    flat = {key: value.flatten(0, 1) for key, value in seen.items()}
    assert_close(extractor(seen), extractor(flat).unflatten(0, (3, 4)), rtol=1e-5, atol=1e-6)


@patterns
@pytest.mark.parametrize("stands", ["zeros", "learned"])
def test_of_a_missing_modality_nothing_is_seen(name: str, stands: str) -> None:
    extractor, seen = build(name, missing=stands, **WITHHELD), observe(5)
    names = extractor.modalities.names
    for i, modality in enumerate(names):
        missing = torch.zeros(5, len(names), dtype=torch.bool)
        assert_close(extractor(seen, missing), extractor(seen))
        missing[:, i] = True
        group = extractor.modalities.groups[modality].shapes
        other = seen | {key: torch.randn_like(seen[key]) for key in group}
        assert_close(extractor(other, missing), extractor(seen, missing), rtol=0, atol=0)
        assert not torch.allclose(extractor(seen, missing), extractor(seen))
    assert set(extractor.modalities.missing) == ({"rgbd_0", "rgbd_1"} if stands == "learned" else set())


@patterns
def test_a_dead_sensor_spoils_nothing(name: str) -> None:
    """Whatever it says, were it no number at all: neither the features nor the gradients."""
    extractor, seen = build(name, **WITHHELD).requires_grad_(True), observe(3)
    seen["rgbd_0"][1] = math.nan
    missing = torch.zeros(3, len(extractor.modalities.names), dtype=torch.bool)
    missing[1, extractor.modalities.names.index("rgbd_0")] = True
    features = extractor(seen, missing)
    features.sum().backward()
    assert features.isfinite().all()
    assert all(value.grad is None or value.grad.isfinite().all() for value in extractor.parameters())


def test_a_picture_may_have_its_channels_last() -> None:
    first = build("transformer", {"vel": (3,), "eye": (3, 9, 8)})
    last = build("transformer", {"vel": (3,), "eye": (9, 8, 3)})
    seen = {"vel": torch.randn(2, 3), "eye": torch.randn(2, 3, 9, 8)}
    assert_close(last(seen | {"eye": seen["eye"].movedim(1, -1)}), first(seen))


def test_a_modality_is_missing_in_some_samples_only() -> None:
    extractor, seen = build("concat", **WITHHELD), observe(2)
    missing = torch.tensor([[False, True, False], [False, False, False]])
    features, whole = extractor(seen, missing), extractor(seen)
    assert extractor.modalities.names == ("body", "rgbd_0", "rgbd_1")
    stands = extractor.modalities.missing["rgbd_0"]
    assert_close(features[1], whole[1], rtol=0, atol=0)
    assert_close(features[0], torch.cat([whole[0, :10], stands, whole[0, 42:]]), rtol=0, atol=0)


def test_concatenation_leaves_vectors_as_they_are() -> None:
    extractor, seen = build("concat", {"vel": (3,), "rgbd_1": (5,), "age": ()}), observe(4)
    expected = torch.cat([seen["age"][:, None], seen["vel"], seen["rgbd_1"]], dim=1)
    assert_close(extractor(seen), expected, rtol=0, atol=0)


def test_a_weighted_sum_by_hand() -> None:
    extractor, seen = build("weighted_sum", {"vel": (3,), "rgbd_1": (5,)}, width=4), observe(2)
    assert isinstance(extractor, WeightedSum)
    extractor.scores.copy_(torch.tensor([0.0, math.log(3.0)]))
    body, camera = (
        F.elu(F.linear(seen[key], network.model[0].weight, network.model[0].bias))
        for key, network in (
            ("vel", extractor.modalities.encoders["body"].networks[0]),  # type: ignore[index, union-attr]
            ("rgbd_1", extractor.modalities.encoders["rgbd_1"].networks[0]),  # type: ignore[index, union-attr]
        )
    )
    assert_close(extractor(seen), 0.25 * body + 0.75 * camera)


def test_attention_is_that_of_torch() -> None:
    torch.manual_seed(0)
    own, reference = Attention(8, 2), torch.nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.cat([own.query.weight, own.key.weight, own.value.weight]))
        reference.in_proj_bias.copy_(torch.cat([own.query.bias, torch.zeros(8), own.value.bias]))
        reference.out_proj.load_state_dict(own.out.state_dict())
    asking, answering = torch.randn(5, 2, 8), torch.randn(5, 7, 8)
    found, weights = reference(asking, answering, answering)
    assert_close(own(asking, answering), found)
    assert_close(own.weights(asking, answering), weights)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "early"])  # which has no network of images
def test_mixed_precision_is_coarser_and_no_more(name: str) -> None:
    seen = observe(6)
    exact, coarse = (build(name, images={"precision": precision})(seen) for precision in ("float32", "bfloat16"))
    assert coarse.dtype == torch.float32
    assert_close(coarse, exact, atol=0.05, rtol=0.05)
    assert not torch.equal(coarse, exact)


def test_what_the_query_looks_at_adds_up_to_one() -> None:
    images = {"channels": [16, 32, 32], "kernel_sizes": [3, 3, 3], "strides": [2, 2, 2]}  # 12x10, 6x5, 3x3, 2x2
    extractor, seen = build("cross_attention", images=images), observe(4)
    assert isinstance(extractor, CrossAttention)
    weights = extractor.weights(seen)
    assert {name: tuple(value.shape) for name, value in weights.items()} == {"rgbd_0": (4, 4), "rgbd_1": (4, 1)}
    assert_close(sum(value.sum(-1) for value in weights.values()), torch.ones(4))


@pytest.mark.parametrize("options", [{}, VIT], ids=["convolutions", "patches"])
def test_where_something_is_in_an_image_matters(options: dict[str, Any]) -> None:
    """Tokens know their places: the mean of a transformer's would otherwise not."""
    extractor: FusionExtractor = build("transformer", **options)
    seen = observe(1)
    image = torch.zeros(1, 1, 12, 10)
    image[..., :6, :] = 1.0
    turned = torch.roll(image, 6, dims=-2)
    assert not torch.allclose(extractor(seen | {"rgbd_0": image}), extractor(seen | {"rgbd_0": turned}), atol=1e-4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "transfomer"}, "must be one of .*'transformer'.*did you mean 'transformer'"),
        (
            {"name": "concat", "modalities": {"body": ["vel", "age"]}},
            "modalities leaves out heights, rgbd_0, rgbd_1; .* of body",
        ),
        (
            {"name": "concat", "modalities": {"body": ["vle"]}},
            "modalities.body names 'vle'.*there are vel, age.*; did you mean 'vel'",
        ),
        ({"name": "early", "modalities": {"a": ["vel"], "b": ["vel"]}}, "'vel' must be in one modality only"),
        ({"name": "early", "modalities": {"a": []}}, "must have components each, and 'a' has none"),
        ({"name": "early", "modalities": {"keys": ["vel"]}}, "torch can keep no network called 'keys'"),
        (
            {"name": "concat", "dropout": {"spare": ["bdy"]}},
            "spare names 'bdy', and there is no such modality.*did you mean 'body'",
        ),
        ({"name": "concat", "modalities": {"eye": ["rgbd_0", "age"]}}, "eye mixes the image 'rgbd_0' with others"),
        ({"name": "transformer", "width": 10}, "num_heads must divide width, got 4 and 10"),
        (
            {"name": "cross_attention", "query": "bdy"},
            "query names 'bdy', and there is no such modality; name one of body, rgbd_0, rgbd_1; did you mean 'body'",
        ),
        ({"name": "concat", "images": {"kind": "vit", "patch_size": 8}}, "8 does not divide 'rgbd_0'.* do: 1, 2$"),
        (
            {"name": "concat", "images": {"kernel_sizes": [9, 9], "strides": [9, 9]}},
            "images leaves nothing of 'rgbd_0' .* kernel_sizes .9, 9.",
        ),
        ({"name": "concat", "images": {"kind": "vit", "channels": [4, 4]}}, "channels changes nothing of kind 'vit'"),
        ({"name": "concat", "images": {"patch_size": 4}}, "patch_size changes nothing of kind 'cnn'"),
        ({"name": "early", "images": {"precision": "bfloat16"}}, "images changes nothing of 'early'"),
        ({"name": "concat", "hidden_sizes": [8], "width": 16}, "width changes nothing where there are hidden_sizes"),
    ],
)
def test_wrong_use_is_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(PoiseError, match=words):
        build(**options)


@patterns
def test_what_is_looked_at_sums_to_one(name: str) -> None:
    extractor, seen = build(name), observe(3, 4)
    weights = extractor.weights(seen)
    if name in ("concat", "early", "shared_encoder"):
        assert weights == {}
        return
    asking = {"cross_attention": {"body"}, "vision_language_action": {"body", "rgbd_1"}}.get(name, set())
    assert set(weights) == set(extractor.modalities.names) - asking
    for modality, value in weights.items():
        assert value.shape == (3, 4, extractor.modalities.counts[modality])
        assert (value >= 0).all()
    assert_close(torch.cat(list(weights.values()), dim=-1).sum(-1), torch.ones(3, 4))
    flat = extractor.weights({key: value.flatten(0, 1) for key, value in seen.items()})
    assert_close(weights, {key: value.unflatten(0, (3, 4)) for key, value in flat.items()})


def test_the_weights_of_a_sum_are_the_same_for_all() -> None:
    extractor = build("weighted_sum")
    extractor.scores.copy_(torch.tensor([0.0, math.log(2.0), 0.0]))
    weights = extractor.weights(observe(2))
    assert_close(weights["rgbd_0"], torch.full((2, 1), 0.5))
    assert_close(weights["body"], torch.full((2, 1), 0.25))


def test_attention_in_a_hierarchy_by_hand() -> None:
    """What is taken of a modality times what is taken of its token: as if the tokens' values were themselves."""
    extractor, seen = build("hierarchical_attention", {"vel": (3,), "age": (), "rgbd_1": (5,)}), observe(2)
    tokens = extractor.tokens(seen)
    within, each = {}, []
    for name in ("body", "rgbd_1"):
        pool, layered = extractor.pools[name], extractor.within[name](tokens[name])
        within[name] = pool.attention.weights(pool.query.expand(2, 1, -1), layered)[:, 0]
        each.append(pool(layered))
    mixed = extractor.across(torch.stack(each, dim=1))
    across = extractor.pool.attention.weights(extractor.pool.query.expand(2, 1, -1), mixed)[:, 0]
    weights = extractor.weights(seen)
    assert_close(weights["body"], across[:, :1] * within["body"])
    assert_close(weights["rgbd_1"], across[:, 1:])


@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_attention_of_a_transformer_by_hand(pooling: str) -> None:
    """With the mean, what each token takes of each in the last layer, averaged; or what the pooling takes."""
    shapes = {"vel": (3,), "age": (), "rgbd_1": (5,)}
    extractor, seen = build("transformer", shapes, pooling=pooling, num_layers=2, num_heads=1, width=8), observe(2)
    tokens = torch.cat([extractor.tokens(seen)[name] + extractor.positions[name] for name in ("body", "rgbd_1")], dim=1)
    first, last = extractor.layers
    tokens = first(tokens)
    if pooling == "mean":
        normed = last.before_attention(tokens)
        query, key = last.attention.query(normed), last.attention.key(normed)
        expected = torch.softmax(query @ key.transpose(1, 2) / math.sqrt(8), dim=-1).mean(dim=1)
    else:
        seen_last = extractor.norm(last(tokens))
        query, key = extractor.pool.attention.query(extractor.pool.query), extractor.pool.attention.key(seen_last)
        expected = torch.softmax(key @ query[0] / math.sqrt(8), dim=-1)
    weights = extractor.weights(seen)
    assert_close(torch.cat([weights["body"], weights["rgbd_1"]], dim=-1), expected)


def test_of_what_is_missing_something_else_is_looked_at() -> None:
    extractor, seen = build("transformer", **WITHHELD), observe(2)
    missing = torch.zeros(2, 3, dtype=torch.bool)
    missing[:, 1] = True
    hidden = seen | {"rgbd_0": torch.randn_like(seen["rgbd_0"])}
    assert_close(extractor.weights(hidden, missing), extractor.weights(seen, missing), rtol=0, atol=0)
