"""Learning to see: the depth autoencoder, its frozen encoder, the features it caches, and the images it learns from."""

from poise.perception.autoencoder import DepthDecoder, DepthEncoder, ImageSpec, TinyAutoencoder
from poise.perception.cache import EncodedCameras
from poise.perception.encoder_files import check_new_encoder, load_decoder, load_encoder, save_encoder
from poise.perception.frozen import FrozenDepthEncoder
from poise.perception.images import ImageDataset, ImageDatasetWriter, split_episodes
from poise.perception.pretrain import PretrainConfig, PretrainResult, pretrain

__all__ = [
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
    "load_decoder",
    "load_encoder",
    "pretrain",
    "save_encoder",
    "split_episodes",
]
