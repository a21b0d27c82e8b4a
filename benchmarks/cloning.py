"""Samples a second of behavioural cloning, against the same network in a plain PyTorch DataLoader loop.

    python benchmarks/cloning.py runs/demos [--turns 5] [--backbones cnn resnet18 vit_b_16] [--json FILE]

Both learn from the same demonstrations, held in memory, with the same loss, batch size and clipping, on the same number
of threads. The plain loop is what one would write: a Dataset of frames, a DataLoader that collates them (also with a
worker), float32, Adam. The network is the same in all, layer by layer; `written plainly` has torch's own layers and a
spatial softmax as the paper's formula reads, the others have poise's. They take turns; medians of the turns are
reported, and how many times as fast as the fastest plain loop of either kind poise is.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import MethodType
from typing import Any

import torch
from _table import report
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from poise.config import parse
from poise.cores import available_cores, torch_threads
from poise.imitation import Demonstrations
from poise.imitation.batches import Batch, Corpus
from poise.imitation.building import build_imitation_policy
from poise.imitation.cloning import Cloning
from poise.imitation.config import CloningConfig, CloningPolicyConfig
from poise.imitation.eyes import Eye
from poise.imitation.policy import ImitationPolicy
from poise.nn.deep_convolution import DeepConv2d
from poise.nn.dropout import Dropout

BATCH = 64
LEARNS = CloningConfig(batch_size=BATCH)
KINDS = ("plain loop", "written plainly")
"""Of loops that one would write."""


class PlainEye(nn.Module):
    """An eye as one would write it."""

    def __init__(self, eye: Eye) -> None:
        super().__init__()
        self.backbone, self.mean, self.std = eye.backbone, eye.mean, eye.std
        self.log_temperature = eye.pool.log_temperature if eye.pool else None

    def forward(self, pictures: Tensor) -> Tensor:
        """(1, N, C, H, W) to (1, N, width)."""
        scaled = (pictures[0].float() / 255.0 - self.mean) / self.std
        if self.log_temperature is None:
            return self.backbone.summary(scaled)[None]
        places = self.backbone.places(scaled)
        height, width = places.shape[2:]
        share = (places / self.log_temperature.exp()).flatten(2).softmax(dim=-1).view_as(places)
        columns = (share * torch.linspace(-1, 1, width)).sum(dim=(2, 3))
        rows = (share * torch.linspace(-1, 1, height)[:, None]).sum(dim=(2, 3))
        return torch.cat([columns, rows], dim=1)[None]


def written_plainly(policy: ImitationPolicy) -> ImitationPolicy:
    """With torch's own layers."""
    for name, eye in policy.eyes.items():
        policy.eyes[name] = PlainEye(eye)
    for module in policy.modules():
        if isinstance(module, DeepConv2d):
            module.forward = MethodType(nn.Conv2d.forward, module)
        elif isinstance(module, Dropout):
            module.forward = MethodType(nn.Dropout.forward, module)
    return policy


class Frames(Dataset[dict[str, Tensor]]):
    """One decision after another."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus

    def __len__(self) -> int:
        return len(self._corpus)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        seen = {name: values[number] for name, values in self._corpus.observation.items()}
        return seen | {"action": self._corpus.actions[number]}  # pictures are collated into contiguous ones


def plain_epoch(policy: ImitationPolicy, optimizer: torch.optim.Optimizer, loader: Any) -> None:
    """As one would write it."""
    policy.train()
    for sample in loader:
        action = sample.pop("action")[None]
        valid = torch.ones(action.shape[:2], dtype=torch.bool)
        batch = Batch({name: values[None] for name, values in sample.items()}, action, valid, valid)
        loss, _ = policy.loss(batch, {}, LEARNS)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimizer.step()


def rates(corpus: Corpus, backbone: str, turns: int) -> dict[str, float]:
    """Median samples a second of each way."""
    pooling = "summary" if backbone == "vit_b_16" else "spatial_softmax"

    def policy(precision: str) -> ImitationPolicy:
        settings = {"backbone": {"name": backbone, "pooling": pooling}, "precision": precision}
        return build_imitation_policy(
            corpus.shapes, corpus.actions.shape[1], parse(CloningPolicyConfig, settings), corpus.scales()
        )

    ours = Cloning(policy("auto"), LEARNS, seed=0)
    ways: dict[str, Callable[[], Any]] = {"poise": lambda: ours.learn(corpus)}
    for kind, network in zip(KINDS, (policy("float32"), written_plainly(policy("float32"))), strict=True):
        optimizer = torch.optim.Adam(network.parameters(), 1e-3)
        for workers in (0, 1):
            loader = DataLoader(Frames(corpus), BATCH, shuffle=True, num_workers=workers)
            ways[f"{kind}, {workers} workers"] = partial(plain_epoch, network, optimizer, loader)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(turns + 1):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            if turn:  # the first warms up
                seconds[name].append(time.perf_counter() - began)
    return {name: len(corpus) / statistics.median(times) for name, times in seconds.items()}


def ratios(measured: dict[str, float]) -> dict[str, float]:
    """How many times as fast poise is as the fastest of either kind of plain loop."""
    return {
        f"poise / {kind}": measured["poise"] / max(rate for way, rate in measured.items() if way.startswith(kind))
        for kind in KINDS
    }


def compared(figures: dict[str, dict[str, float]], form: str) -> list[list[str]]:
    """A row for each way, in which the backbones stand side by side."""
    ways = next(iter(figures.values()))
    return [[way, *(form.format(of[way]) for of in figures.values())] for way in ways]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("demonstrations", type=Path)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--backbones", nargs="+", default=["cnn", "resnet18", "vit_b_16"])
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    demonstrations = Demonstrations(options.demonstrations, ("image", "state"))
    threads = available_cores()
    found: dict[str, dict[str, float]] = {}
    for backbone in options.backbones:
        episodes = 200 if backbone == "cnn" else 20
        corpus = Corpus(demonstrations.load(range(episodes)))
        with torch_threads(threads):
            found[backbone] = rates(corpus, backbone, options.turns)
    faster = {backbone: ratios(measured) for backbone, measured in found.items()}
    rows = [*compared(found, "{:,.0f}"), *compared(faster, "{:.2f}x")]
    results = {name: {"samples_per_second": found[name], "ratios": faster[name]} for name in found}
    title = f"Samples a second, {threads} threads, median of {options.turns} epochs"
    report(title, ("way", *found), rows, results | {"threads": threads}, options.json, ("poise", "torch"))


if __name__ == "__main__":
    main()
