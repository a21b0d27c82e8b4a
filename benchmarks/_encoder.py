"""A depth encoder for benchmarks that need one and do not care what it sees: neither speed nor memory depend on it."""

from pathlib import Path

import torch

from poise.perception.autoencoder import TinyAutoencoder
from poise.perception.encoder_files import save_encoder


def fresh_encoder(folder: Path) -> Path:
    """The reference's encoder with initial weights, saved in `folder`, which is returned."""
    torch.manual_seed(0)
    save_encoder(folder, TinyAutoencoder().encoder)
    return folder
