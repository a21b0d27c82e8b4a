"""Action chunking with transformers: several actions at a time, from tokens of what is seen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from poise.imitation.batches import Batch, Corpus
from poise.imitation.config import ActPolicyConfig, CloningConfig
from poise.imitation.ensembling import Queue
from poise.imitation.eyes import Scales
from poise.imitation.policy import ImitationPolicy
from poise.nn import MlpModel
from poise.nn.dropout import quicken
from poise.nn.memory import States
from poise.policies.actor_critic import Shapes


class ACTPolicy(ImitationPolicy):
    """ACT (Zhao et al., arXiv 2304.13705), over a history of observations.

        pictures ─► backbone ─┬► a token for each place ──────┐
                              └► spatial softmax ─┐           │      learned queries, one for each action
        state ────────────────────────────────────┴► a token ─┼─► encoder ─► decoder ─► head ─► chunk of actions
        (latent: the style of the chunk) ─► a token ──────────┘

    Where things are and what is felt share a token, made by a perceptron, for what counts is often where one is to
    the other.

    Tokens know by sines and cosines which observation of the history they are of, and by what is learned for each place
    of each camera where they are seen; so that a place and a moment are not taken for another place and another moment.
    """

    config: ActPolicyConfig

    def __init__(self, shapes: Shapes, action_width: int, config: ActPolicyConfig, scales: Scales) -> None:
        super().__init__(shapes, action_width, config, scales)
        width = config.width
        self.seen = nn.ModuleDict({name: nn.Linear(eye.channels, width) for name, eye in self.eyes.items()})  # type: ignore[arg-type]
        known = sum(eye.width for eye in self.eyes.values() if eye.pool is not None)  # type: ignore[misc]
        known += self.body.width if self.body is not None else 0
        self.known = MlpModel(known, config.feedforward, width) if known else None
        tokens = {key: eye.count_tokens(config.grid) for key, eye in self.eyes.items()}  # type: ignore[operator]
        self.places = nn.ParameterDict(
            {key: nn.Parameter(0.02 * torch.randn(count, width)) for key, count in tokens.items()}
        )
        layer = {"dim_feedforward": config.feedforward, "dropout": config.dropout, "batch_first": True}
        encoder = nn.TransformerEncoderLayer(width, config.num_heads, norm_first=True, **layer)  # type: ignore[arg-type]
        self.encoder = nn.TransformerEncoder(
            encoder, config.encoder_layers, nn.LayerNorm(width), enable_nested_tensor=False
        )
        decoder = nn.TransformerDecoderLayer(width, config.num_heads, norm_first=True, **layer)  # type: ignore[arg-type]
        self.decoder = nn.TransformerDecoder(decoder, config.decoder_layers, nn.LayerNorm(width))
        self.queries = nn.Parameter(0.02 * torch.randn(config.chunk, width))
        self.head = MlpModel(width, config.head, self.outputs, dropout=config.dropout)
        self.style = Style(action_width, config) if config.latent else None
        quicken(self)

    def batches(self, corpus: Corpus, config: CloningConfig, generator: torch.Generator) -> Iterator[Batch]:
        """Decisions with their history and the actions that follow."""
        return corpus.chunks(config.batch_size, self.config.history, self.config.chunk, generator)

    # --- learning -----------------------------------------------------------------------------------------------------

    def loss(self, batch: Batch, states: States, config: CloningConfig) -> tuple[Tensor, dict[str, Tensor]]:
        """Of chunks (K, N, A) after histories (T, N, ...); with a latent, its divergence besides."""
        divergence, latent = torch.zeros(()), None
        with self.in_precision():
            tokens = self._tokens(batch.observation, 2).transpose(0, 1)
            if self.style is not None and self.training:
                latent, divergence = self.style(
                    self.in_reach(batch.actions).transpose(0, 1), batch.valid.transpose(0, 1)
                )
            outputs = self._decoded(tokens, latent).transpose(0, 1)
        weight = self.config.latent.weight if self.config.latent else 0.0
        distance = self.distance(outputs.float(), batch, config, self.config.discount)
        return distance + weight * divergence.float(), {}

    # --- acting -------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def infer(self, observation: Mapping[str, Any], states: States) -> tuple[Tensor, dict[str, Tensor]]:
        """Actions (N, A) for components (N, ...), and what is remembered: tokens of before, and actions to come."""
        tokens = self._tokens(self.admitted(observation), 1)
        history = self._history(tokens, states)
        queue, done = self._queue(states, len(tokens)), self._done(states, len(tokens))
        wanted = self._wants(queue, done)
        if wanted.any():
            chunk = self.actions(self._decoded(history, None))
            if self.config.execution == "ensemble":
                queue.add(chunk, self.config.decay)
            else:
                queue.replace(chunk, wanted)
        actions = queue.pop()
        after = {
            "tokens": history[:, 1:].flatten(1),
            "begun": torch.ones(len(tokens), 1),
            "done": torch.where(wanted, 1.0, done + 1.0)[:, None],
            "sums": queue.sums.flatten(1),
            "weights": queue.weights,
            "counts": queue.counts,
        }
        return actions, {name: value[None] for name, value in after.items()}

    def _wants(self, queue: Queue, done: Tensor) -> Tensor:
        """(N,) who needs a new prediction, `done` actions (N,) of the latest being done."""
        if self.config.execution == "ensemble":
            return torch.ones(len(done), dtype=torch.bool)
        used_up = ~queue.has_next()
        return used_up | (done >= self.config.horizon) if self.config.execution == "receding" else used_up

    def _done(self, states: States, robots: int) -> Tensor:
        """(N,) actions of the latest chunk that are done."""
        return states["done"][0, :, 0] if states else torch.zeros(robots)

    def _queue(self, states: States, robots: int) -> Queue:
        chunk = self.config.chunk
        if not states:
            return Queue.empty(robots, chunk, self.action_width)
        sums = states["sums"][0].unflatten(1, (chunk, self.action_width))
        return Queue(sums, states["weights"][0], states["counts"][0])

    def _history(self, tokens: Tensor, states: States) -> Tensor:
        """(N, T, P, D) of the latest observations, an episode's first standing for those before it."""
        before = tokens[:, None].expand(-1, self.config.history - 1, -1, -1)
        if states:
            kept = states["tokens"][0].unflatten(1, (self.config.history - 1, *tokens.shape[1:]))
            before = torch.where(states["begun"][0, :, 0].bool().view(-1, 1, 1, 1), kept, before)
        return torch.cat([before, tokens[:, None]], dim=1)

    # --- the network --------------------------------------------------------------------------------------------------

    def _tokens(self, observation: Mapping[str, Tensor], leading: int) -> Tensor:
        """Components (..., shape) to tokens (..., P, D) of single observations."""
        parts, known = [], []
        for key, name in self.cameras.items():
            places, where = self.eyes[key].tokens(observation[name], self.config.grid)  # type: ignore[operator]
            parts.append(self.seen[key](places) + self.places[key])
            if where is not None:
                known.append(where)
        if self.body is not None:
            known.append(self.body(observation, leading))
        if self.known is not None:
            parts.append(self.known(torch.cat(known, dim=-1)).unsqueeze(-2))
        return torch.cat(parts, dim=-2)

    def _decoded(self, tokens: Tensor, latent: Tensor | None) -> Tensor:
        """Tokens (N, T, P, D) of histories to what the head says (N, K, outputs)."""
        when = positions(tokens.shape[1], self.config.width, tokens.device)[:, None]
        memory = (tokens + when).flatten(1, 2)
        if self.style is not None:
            memory = torch.cat([memory, self.style.token(latent, len(memory))[:, None]], dim=1)
        queries = self.queries.expand(len(memory), -1, -1)
        return self.head(self.decoder(queries, self.encoder(memory)))


class Style(nn.Module):
    """The latent of a chunk of actions: a mean and a spread, read by a transformer (the CVAE's encoder)."""

    def __init__(self, action_width: int, config: ActPolicyConfig) -> None:
        super().__init__()
        assert config.latent is not None
        width, size = config.width, config.latent.size
        self.size = size
        self.read = nn.Linear(action_width, width)
        self.summary = nn.Parameter(0.02 * torch.randn(width))
        layer = nn.TransformerEncoderLayer(
            width, config.num_heads, config.feedforward, config.dropout, norm_first=True, batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, config.encoder_layers, enable_nested_tensor=False)
        self.said = nn.Linear(width, 2 * size)
        self.project = nn.Linear(size, width)

    def forward(self, actions: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (N, size) drawn for chunks (N, K, A), and their mean divergence from a standard normal one.

        KL = 1/2 sum(mu^2 + sigma^2 - log sigma^2 - 1)
        """
        tokens = self.read(actions) + positions(actions.shape[1], self.summary.shape[0], actions.device)
        tokens = torch.cat([self.summary.expand(len(actions), 1, -1), tokens], dim=1)
        padding = torch.cat([torch.zeros_like(valid[:, :1]), ~valid], dim=1)
        said = self.said(self.encoder(tokens, src_key_padding_mask=padding)[:, 0]).float()
        mean, log_variance = said.chunk(2, dim=-1)
        divergence = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1.0).sum(dim=-1).mean()
        return mean + (0.5 * log_variance).exp() * torch.randn_like(mean), divergence

    def token(self, latent: Tensor | None, count: int) -> Tensor:
        """(N, D) for the encoder; of the mean, 0, where none was drawn."""
        given = self.summary.new_zeros(count, self.size) if latent is None else latent
        return self.project(given)


def positions(count: int, width: int, device: torch.device) -> Tensor:
    """(count, width) sines and cosines of falling frequency (Vaswani et al., arXiv 1706.03762, section 3.5)."""
    place = torch.arange(count, device=device, dtype=torch.float32)[:, None]
    rate = torch.exp(-math.log(10000.0) * torch.arange(0, width, 2, device=device) / width)
    return torch.stack([(place * rate).sin(), (place * rate).cos()], dim=-1).flatten(1)
