"""Vision-language-action fusion: an instruction decides what is made of what is seen and felt, and what is looked at.

The conditioning is FiLM (Perez et al., "Visual reasoning with a general conditioning layer", arXiv 1709.07871), the
looking cross-attention, as in RT-1 (arXiv 2212.06817) and its kin.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from poise.envs.instructions import INSTRUCTION
from poise.errors import InvalidValueError
from poise.fusion.attention import Attention
from poise.fusion.config import VisionLanguageActionConfig
from poise.fusion.modalities import Modalities, Shapes, check_modality
from poise.fusion.patterns import FusionExtractor, Tokens, apart
from poise.fusion.segments import AnyComponent, component
from poise.nn.frames import dense


class Film(nn.Module):
    """Tokens scaled and shifted, feature by feature, as a condition says: (1 + gamma(c)) token + beta(c).

    Args:
        width: of tokens and condition.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.condition = nn.Linear(width, 2 * width)

    def forward(self, tokens: Tensor, condition: Tensor) -> Tensor:
        """(..., n, width) and (..., 1, width) to (..., n, width)."""
        gamma, beta = self.condition(condition).chunk(2, dim=-1)
        return (1.0 + gamma) * tokens + beta


class VisionLanguageAction(FusionExtractor):
    """The instruction conditions all else; the body and the instruction together ask, what is seen answers.

    instruction ─► network ─┬──────────────┬────────────────────────────┐
    body ──► tokens ────► FiLM ──► mean ─► + ─► query ─────┬────────────┤
    camera ► tokens ────► FiLM ─────────────► places ──► attention ─────┴─► side by side ─► features

    Without anything to look at, there is no attention.

    Raises:
        InvalidValueError: there is no such modality, the instruction asks for itself, or it is an image.
    """

    def __init__(self, shapes: Shapes, config: VisionLanguageActionConfig) -> None:
        modalities = Modalities(shapes, config, config.width, several=True)
        names = modalities.names
        _check_told(config.language, names, shapes)
        for setting, name in (("language", config.language), ("query", config.query)):
            check_modality(setting, name, names)
        if config.language == config.query:
            raise InvalidValueError(f"language and query are both '{config.query}'; they must be two")
        for name, shape in modalities.groups[config.language].shapes.items():
            if len(shape) == 3:
                raise InvalidValueError(f"language is '{config.language}', and '{name}' is an image")
        self.seen = tuple(name for name in names if name not in (config.language, config.query))
        super().__init__(modalities, (3 if self.seen else 2) * config.width)
        self.language, self.query = config.language, config.query
        self.films = nn.ModuleDict({name: Film(config.width) for name in (self.query, *self.seen)})
        if self.seen:
            self.attention = Attention(config.width, config.num_heads)
            self.norm = nn.LayerNorm(config.width)

    def fuse(self, tokens: Tokens) -> Tensor:
        told, body = self._told(tokens), self._felt(tokens)
        found = [self.attention(told + body, self._answering(tokens))] if self.seen else []
        return torch.cat([told, body, *found], dim=-1).squeeze(-2)

    def attended(self, tokens: Tokens) -> dict[str, Tensor]:
        """What body and instruction together take of what is seen, a mean over the heads."""
        if not self.seen:
            return {}
        asking = self._told(tokens) + self._felt(tokens)
        weights = self.attention.weights(asking, self._answering(tokens)).squeeze(-2)
        return apart(weights, {name: tokens[name] for name in self.seen})

    def prepared(self, components: Mapping[str, AnyComponent]) -> Mapping[str, AnyComponent]:
        """The instruction's many numbers made small, as attention's scores are, by the root of how many they are.

        An optimiser's step moves each weight alike, and a token the more, the more numbers it is made of: of hundreds
        it would move what the actor does by far more than the body's few do, and a limit on the change starve those.
        """
        segments = self.modalities.groups[self.language]
        scale = segments.size**-0.5
        return {**components, **{name: scale * dense(component(name, components)) for name in segments.shapes}}

    def _told(self, tokens: Tokens) -> Tensor:
        """(..., 1, width)."""
        return tokens[self.language].mean(dim=-2, keepdim=True)

    def _felt(self, tokens: Tokens) -> Tensor:
        """(..., 1, width)."""
        conditioned: Tensor = self.films[self.query](tokens[self.query], self._told(tokens))
        return conditioned.mean(dim=-2, keepdim=True)

    def _answering(self, tokens: Tokens) -> Tensor:
        """(..., k, width)."""
        told = self._told(tokens)
        together: Tensor = self.norm(torch.cat([self.films[name](tokens[name], told) for name in self.seen], dim=-2))
        return together


def _check_told(language: str, names: Sequence[str], shapes: Shapes) -> None:
    """Nobody need have named the instruction, which conditions by default: that none is given is no slip of the pen.

    Raises:
        InvalidValueError: none is given.
    """
    if language == INSTRUCTION and INSTRUCTION not in (*names, *shapes):
        raise InvalidValueError(
            f"language is '{INSTRUCTION}', and the environment gives none, or policy.observations leave it out; switch "
            "it on (env.options.instruction.enabled true), or name another modality that conditions the rest, of "
            f"{', '.join(names)}"
        )
