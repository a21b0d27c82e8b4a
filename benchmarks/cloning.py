"""Samples a second of behavioural cloning, against the same network in a plain PyTorch DataLoader loop.

    python benchmarks/cloning.py runs/demos

Both learn from the same demonstrations, held in memory, with the same loss, batch size and clipping, on the same number
of threads. The plain loop is what one would write: a Dataset of frames, a DataLoader that collates them (also with a
worker, the better of both counts), float32, Adam. They take turns; medians of the turns are reported.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from poise.config import parse
from poise.cores import available_cores, torch_threads
from poise.imitation import Demonstrations
from poise.imitation.batches import Batch, Corpus
from poise.imitation.building import build_imitation_policy
from poise.imitation.cloning import Cloning
from poise.imitation.config import CloningConfig, CloningPolicyConfig
from poise.imitation.policy import ImitationPolicy

BATCH = 64


class Frames(Dataset[dict[str, Tensor]]):
    """One decision after another."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus

    def __len__(self) -> int:
        return len(self._corpus)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        seen = {name: values[number] for name, values in self._corpus.observation.items()}
        return seen | {"action": self._corpus.actions[number]}


def plain_epoch(policy: ImitationPolicy, optimizer: torch.optim.Optimizer, loader: Any) -> None:
    """As one would write it."""
    policy.train()
    for sample in loader:
        action = sample.pop("action")[None]
        valid = torch.ones(action.shape[:2], dtype=torch.bool)
        batch = Batch({name: values[None] for name, values in sample.items()}, action, valid, valid)
        loss, _ = policy.loss(batch, {}, weighted=True)
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

    ours, theirs = Cloning(policy("auto"), CloningConfig(batch_size=BATCH), seed=0), policy("float32")
    optimizer = torch.optim.Adam(theirs.parameters(), 1e-3)
    loaders = {
        f"plain, {workers} workers": DataLoader(Frames(corpus), BATCH, shuffle=True, num_workers=workers)
        for workers in (0, 1)
    }
    ways = {name: lambda loader=loader: plain_epoch(theirs, optimizer, loader) for name, loader in loaders.items()}
    ways["poise"] = lambda: ours.learn(corpus)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(turns + 1):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            if turn:  # the first warms up
                seconds[name].append(time.perf_counter() - began)
    return {name: len(corpus) / statistics.median(times) for name, times in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("demonstrations", type=Path)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--backbones", nargs="+", default=["cnn", "resnet18", "vit_b_16"])
    options = parser.parse_args()
    demonstrations = Demonstrations(options.demonstrations, ("image", "state"))
    threads = available_cores()
    for backbone in options.backbones:
        episodes = 200 if backbone == "cnn" else 20
        corpus = Corpus(demonstrations.load(range(episodes)))
        with torch_threads(threads):
            found = rates(corpus, backbone, options.turns)
        plain = max(rate for name, rate in found.items() if name != "poise")
        told = ", ".join(f"{name} {rate:,.0f}" for name, rate in found.items())
        print(f"{backbone}, {threads} threads, samples/s: {told}; {found['poise'] / plain:.2f}x", flush=True)


if __name__ == "__main__":
    main()
