"""Learning to see: the depth encoder and what it learns by, frozen in a policy, its features kept, and its images."""

from poise.perception.autoencoder import DepthDecoder, DepthEncoder, ImageSpec, TinyAutoencoder
from poise.perception.cache import EncodedCameras
from poise.perception.contrastive import info_nce
from poise.perception.encoder_files import check_new_encoder, load_decoder, load_encoder, save_encoder
from poise.perception.frozen import FrozenDepthEncoder
from poise.perception.images import ImageDataset, ImageDatasetWriter, split_episodes
from poise.perception.objectives import ContrastiveConfig, PretrainConfig
from poise.perception.pretrain import PretrainResult, pretrain

__all__ = [
    "ContrastiveConfig",
    "DepthDecoder",
    "DepthEncoder",
    "EncodedCameras",
    "FrozenDepthEncoder",
    "ImageDataset",
    "ImageDatasetWriter",
    "ImageSpec",
    "PretrainConfig",
    "PretrainResult",
    "TinyAutoencoder",
    "check_new_encoder",
    "info_nce",
    "load_decoder",
    "load_encoder",
    "pretrain",
    "save_encoder",
    "split_episodes",
]
