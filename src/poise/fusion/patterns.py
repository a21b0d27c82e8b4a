"""Ways to make features of modalities; all take a mapping and give (..., output_size).

Each is independent of other samples, and of the order in which components are given. A modality that is missing counts
as what has been learned to stand for it, or as zeros.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from poise.errors import InvalidValueError
from poise.fusion.attention import Attention, AttentionPooling, TransformerLayer
from poise.fusion.config import (
    ConcatFusionConfig,
    CrossAttentionConfig,
    EarlyFusionConfig,
    HierarchicalAttentionConfig,
    SharedEncoderConfig,
    TransformerFusionConfig,
    WeightedSumConfig,
)
from poise.fusion.given import check_mask, take
from poise.fusion.modalities import Modalities, Shapes, check_modality, grouped
from poise.fusion.segments import AnyComponent, ObsSegments
from poise.nn import MlpModel

Tokens = Mapping[str, Tensor]
"""{modality: (..., n, width)}."""


class FusionExtractor(nn.Module):
    """Features of an observation.

    Args:
        modalities: what they become first.
        output_size: number of features.

    Attributes:
        shapes: name to shape of every component that is fused.
    """

    def __init__(self, modalities: Modalities, output_size: int) -> None:
        super().__init__()
        self.modalities = modalities
        self.output_size = output_size
        self.shapes = {name: shape for group in modalities.groups.values() for name, shape in group.shapes.items()}

    def forward(self, components: Mapping[str, AnyComponent], missing: Tensor | None = None) -> Tensor:
        """{name: (..., *shape)} to (..., output_size).

        Args:
            components: of the observation, tensors of floating-point numbers, all of the same samples.
            missing: (..., M) bool, which of `modalities.names` not to look at.

        Raises:
            InvalidValueError: a component is missing or another, or the mask is.
        """
        tokens = self.tokens(components, missing)
        lead = next(iter(tokens.values())).shape[:-2]
        # One leading axis: torch attends to tensors of four axes with its fast kernels, and to others with a slow one.
        flat = {name: value.reshape(-1, *value.shape[-2:]) for name, value in tokens.items()}
        return self.fuse(flat).reshape(*lead, self.output_size)

    def weights(self, components: Mapping[str, AnyComponent], missing: Tensor | None = None) -> dict[str, Tensor]:
        """How much of each token is looked at, by modality; see `attended`."""
        return self.attended(self.tokens(components, missing))

    def tokens(self, components: Mapping[str, AnyComponent], missing: Tensor | None = None) -> dict[str, Tensor]:
        """{modality: (..., n, width)}: what the modalities are where they meet."""
        taken = take(components, self.shapes, self)
        if missing is not None:
            check_mask(missing, taken, self.shapes, self.modalities.names)
        tokens: dict[str, Tensor] = self.modalities(self.prepared(taken), missing)
        return tokens

    def prepared(self, components: Mapping[str, AnyComponent]) -> Mapping[str, AnyComponent]:
        """{name: (..., *shape)} as the modalities' networks are to have them."""
        return components

    def attended(self, tokens: Tokens) -> dict[str, Tensor]:
        """{modality: (..., n)} how much of each token is looked at; together they sum to 1. Empty without attention."""
        return {}

    def fuse(self, tokens: Tokens) -> Tensor:
        """(B, output_size) of {modality: (B, n, width)}."""
        raise NotImplementedError


class ConcatFusion(FusionExtractor):
    """Separate encoders, and concatenation.

    body ──► (network) ──┐
    camera ► (network) ──┴─► side by side ─► features
    """

    def __init__(self, shapes: Shapes, config: ConcatFusionConfig) -> None:
        modalities = Modalities(shapes, config, config.width, config.hidden_sizes)
        super().__init__(modalities, sum(modalities.widths.values()))

    def fuse(self, tokens: Tokens) -> Tensor:
        return _side_by_side(tokens)


class EarlyFusion(FusionExtractor):
    """Everything side by side first, images as their pixels, and one encoder of all.

    body ──┐
    camera ┴─► side by side ─► network ─► features
    """

    def __init__(self, shapes: Shapes, config: EarlyFusionConfig) -> None:
        groups = {modality: tuple(part.shapes) for modality, part in grouped(shapes, config.modalities).items()}
        flat = {name: (math.prod(shape),) for name, shape in shapes.items()}
        modalities = Modalities(flat, config.model_copy(update={"modalities": groups}), 1, ())
        super().__init__(modalities, config.hidden_sizes[-1])
        self.shapes = dict(shapes)
        self._pixels = ObsSegments(shapes)
        self.network = MlpModel(sum(modalities.widths.values()), config.hidden_sizes, None, config.activation)

    def prepared(self, components: Mapping[str, AnyComponent]) -> Mapping[str, AnyComponent]:
        return {name: self._pixels.flat(name, components) for name in self._pixels.shapes}

    def fuse(self, tokens: Tokens) -> Tensor:
        features: Tensor = self.network(_side_by_side(tokens))
        return features


class WeightedSum(FusionExtractor):
    """A sum of the modalities' features with learned weights, which add up to 1.

    body ──► network ─► · w₀ ─┐
    camera ► network ─► · w₁ ─┴─► + ─► features
    """

    def __init__(self, shapes: Shapes, config: WeightedSumConfig) -> None:
        super().__init__(Modalities(shapes, config, config.width), config.width)
        self.scores = nn.Parameter(torch.zeros(len(self.modalities.names)))

    def fuse(self, tokens: Tokens) -> Tensor:
        together = torch.cat([tokens[name] for name in self.modalities.names], dim=-2)
        return (self.mixture[:, None] * together).sum(dim=-2)

    def attended(self, tokens: Tokens) -> dict[str, Tensor]:
        """The weights in the sum, which are the same for whatever is seen."""
        return {
            name: weight.expand(tokens[name].shape[:-1])
            for name, weight in zip(self.modalities.names, self.mixture, strict=True)
        }

    @property
    def mixture(self) -> Tensor:
        """(M,) weights of the modalities, in the order of `modalities.names`."""
        return torch.softmax(self.scores, dim=0)


class SharedEncoder(FusionExtractor):
    """One encoder for all modalities, brought to one width before it, and a head for each behind it.

    body ──► to one width ─► ┌────────┐ ─► head ─┐
    camera ► to one width ─► │ shared │ ─► head ─┴─► side by side ─► features
                             └────────┘
    """

    def __init__(self, shapes: Shapes, config: SharedEncoderConfig) -> None:
        modalities = Modalities(shapes, config, config.width)
        super().__init__(modalities, config.head_size * len(modalities.names))
        self.shared = MlpModel(config.width, (config.width, config.width), None, config.activation)
        self.heads = nn.ModuleDict(
            {name: MlpModel(config.width, (config.head_size,), None, config.activation) for name in modalities.names}
        )

    def fuse(self, tokens: Tokens) -> Tensor:
        return _side_by_side({name: head(self.shared(tokens[name])) for name, head in self.heads.items()})


class CrossAttention(FusionExtractor):
    """One modality asks, the others answer.

    body ──► query ─────┬──────────────────────┐
    camera ► tokens ────┴─► attention ─► found ─┴─► side by side ─► features

    Raises:
        InvalidValueError: there is no such modality, or no other to ask.
    """

    def __init__(self, shapes: Shapes, config: CrossAttentionConfig) -> None:
        modalities = Modalities(shapes, config, config.width, several=True)
        super().__init__(modalities, 2 * config.width)
        names = modalities.names
        if len(names) < 2:
            raise InvalidValueError(
                f"query is '{config.query}', and '{names[0]}' is the only modality; choose another way of fusing, for "
                "there is no other modality to ask"
            )
        check_modality("query", config.query, names)
        self.query = config.query
        self.others = tuple(name for name in names if name != config.query)
        self.attention = Attention(config.width, config.num_heads)
        self.norm = nn.LayerNorm(config.width)

    def fuse(self, tokens: Tokens) -> Tensor:
        asking, answering = self._asking(tokens), self._answering(tokens)
        found = self.attention(asking, answering)
        return torch.cat([asking, found], dim=-1).squeeze(-2)

    def attended(self, tokens: Tokens) -> dict[str, Tensor]:
        """What the asking modality takes of the others' tokens, a mean over the heads."""
        weights = self.attention.weights(self._asking(tokens), self._answering(tokens)).squeeze(-2)
        return apart(weights, {name: tokens[name] for name in self.others})

    def _asking(self, tokens: Tokens) -> Tensor:
        """(..., 1, width)."""
        return tokens[self.query].mean(dim=-2, keepdim=True)

    def _answering(self, tokens: Tokens) -> Tensor:
        """(..., k, width)."""
        together: Tensor = self.norm(torch.cat([tokens[name] for name in self.others], dim=-2))
        return together


class HierarchicalAttention(FusionExtractor):
    """Attention within each modality, among its components or the places of its image, then across modalities.

    body: orientation, vel, ... ─► attention ─► one token ─┐
    camera: places ──────────────► attention ─► one token ─┴─► attention ─► features
    """

    def __init__(self, shapes: Shapes, config: HierarchicalAttentionConfig) -> None:
        super().__init__(Modalities(shapes, config, config.width, several=True), config.width)
        width, heads, activation = config.width, config.num_heads, config.activation
        names = self.modalities.names
        self.within = nn.ModuleDict({name: TransformerLayer(width, heads, activation) for name in names})
        self.pools = nn.ModuleDict({name: AttentionPooling(width, heads) for name in names})
        self.across = TransformerLayer(width, heads, activation)
        self.pool = AttentionPooling(width, heads)
        self.norm = nn.LayerNorm(width)

    def fuse(self, tokens: Tokens) -> Tensor:
        features: Tensor = self.norm(self.pool(self.across(self._each(tokens))))
        return features

    def attended(self, tokens: Tokens) -> dict[str, Tensor]:
        """What the last pooling takes of a modality, times what the pooling within it takes of a token.

        What tokens have taken of each other before either pooling is not told apart.
        """
        across = self.pool.weights(self.across(self._each(tokens)))
        names = self.modalities.names
        within = {name: self.pools[name].weights(self.within[name](tokens[name])) for name in names}  # type: ignore[operator]
        return {name: across[..., i, None] * within[name] for i, name in enumerate(names)}

    def _each(self, tokens: Tokens) -> Tensor:
        """(..., M, width): a token of each modality."""
        pooled = [self.pools[name](self.within[name](tokens[name])) for name in self.modalities.names]
        return torch.stack(pooled, dim=-2)


class TransformerFusion(FusionExtractor):
    """A transformer encoder over the tokens of all modalities, each with a learned position of its modality.

    body: orientation, vel, ... ─► tokens + position ─┐
    camera: places ──────────────► tokens + position ─┴─► transformer ─► pooling ─► features
    """

    def __init__(self, shapes: Shapes, config: TransformerFusionConfig) -> None:
        super().__init__(Modalities(shapes, config, config.width, several=True), config.width)
        width, heads = config.width, config.num_heads
        self.positions = nn.ParameterDict(
            {name: nn.Parameter(0.02 * torch.randn(width)) for name in self.modalities.names}
        )
        self.layers = nn.Sequential(
            *(TransformerLayer(width, heads, config.activation) for _ in range(config.num_layers))
        )
        self.norm = nn.LayerNorm(width)
        self.pool = AttentionPooling(width, heads) if config.pooling == "attention" else None

    def fuse(self, tokens: Tokens) -> Tensor:
        seen: Tensor = self.norm(self.layers(self._positioned(tokens)))
        return seen.mean(dim=-2) if self.pool is None else self.pool(seen)

    def attended(self, tokens: Tokens) -> dict[str, Tensor]:
        """What the attention pooling takes of each token, or, where the mean is taken, what all take in the last layer.

        A mean over the heads, and there over who asks. What layers before have mixed is not told apart.
        """
        *before, last = self.layers
        seen = self._positioned(tokens)
        for layer in before:
            seen = layer(seen)
        if self.pool is None:
            weights = last.attention_weights(seen).mean(dim=-2)  # type: ignore[operator]
        else:
            weights = self.pool.weights(self.norm(last(seen)))
        return apart(weights, {name: tokens[name] for name in self.modalities.names})

    def _positioned(self, tokens: Tokens) -> Tensor:
        """(..., k, width): all tokens, each with the position of its modality."""
        return torch.cat([tokens[name] + self.positions[name] for name in self.modalities.names], dim=-2)


def _side_by_side(tokens: Tokens) -> Tensor:
    """All numbers of all tokens, modality by modality."""
    return torch.cat([value.flatten(-2) for value in tokens.values()], dim=-1)


def apart(weights: Tensor, tokens: Tokens) -> dict[str, Tensor]:
    """(..., k) weights of all tokens, modality by modality."""
    parts = weights.split([value.shape[-2] for value in tokens.values()], dim=-1)
    return dict(zip(tokens, parts, strict=True))
