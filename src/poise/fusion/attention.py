"""Attention among tokens of a sample, and never across samples: (..., n, width), any leading axes.

Vaswani et al., "Attention is all you need", arXiv 1706.03762, equation 1: softmax(q kᵀ / sqrt(d)) v. No dropout: what
acts must be judged by the very distribution that it drew from.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poise.nn import get_activation_Cls


class Attention(nn.Module):
    """Tokens that ask, and tokens that answer.

    Args:
        width: of a token.
        num_heads: that share the width.
    """

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self._heads = num_heads
        self.query, self.value, self.out = (nn.Linear(width, width) for _ in range(3))
        self.key = nn.Linear(width, width, bias=False)  # one would add the same to all scores of a query

    def forward(self, asking: Tensor, answering: Tensor) -> Tensor:
        """(..., q, width) and (..., k, width) to (..., q, width)."""
        query, key = self._split(self.query(asking)), self._split(self.key(answering))
        found = F.scaled_dot_product_attention(query, key, self._split(self.value(answering)))
        result: Tensor = self.out(found.transpose(-3, -2).flatten(-2))
        return result

    def weights(self, asking: Tensor, answering: Tensor) -> Tensor:
        """(..., q, k) how much each asking token takes of each answering one; means over the heads, they sum to 1."""
        query, key = self._split(self.query(asking)), self._split(self.key(answering))
        scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
        return torch.softmax(scores, dim=-1).mean(dim=-3)

    def _split(self, tokens: Tensor) -> Tensor:
        """(..., n, width) to (..., heads, n, width / heads)."""
        return tokens.unflatten(-1, (self._heads, -1)).transpose(-3, -2)


class AttentionPooling(nn.Module):
    """Tokens to one, which a learned query asks for."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.query = nn.Parameter(0.02 * torch.randn(1, width))
        self.attention = Attention(width, num_heads)

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., n, width) to (..., width)."""
        asking = self.query.expand(*tokens.shape[:-2], 1, -1)
        pooled: Tensor = self.attention(asking, tokens)
        return pooled.squeeze(-2)

    def weights(self, tokens: Tensor) -> Tensor:
        """(..., n) how much it takes of each token."""
        return self.attention.weights(self.query.expand(*tokens.shape[:-2], 1, -1), tokens).squeeze(-2)


class TransformerLayer(nn.Module):
    """Self-attention and a network for each token, both around which the tokens pass, normalised before each.

    Normalised before and not after (Xiong et al., arXiv 2002.04745), so that it learns without a warm-up, too.
    """

    def __init__(self, width: int, num_heads: int, activation: str) -> None:
        super().__init__()
        self.before_attention, self.before_network = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, num_heads)
        self.network = nn.Sequential(
            nn.Linear(width, 2 * width), get_activation_Cls(activation)(), nn.Linear(2 * width, width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., n, width) to the same."""
        normed = self.before_attention(tokens)
        tokens = tokens + self.attention(normed, normed)
        result: Tensor = tokens + self.network(self.before_network(tokens))
        return result

    def attention_weights(self, tokens: Tensor) -> Tensor:
        """(..., n, n) how much each token takes of each in its attention."""
        normed = self.before_attention(tokens)
        return self.attention.weights(normed, normed)
