"""What an encoder can learn by: the settings of `pretrain`, and what the training asks of an objective."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple, Protocol, Self

from pydantic import Field, model_validator

from poise.config import Config
from poise.nn.precision import MixedPrecision, is_low
from poise.nn.settings import Width, Widths
from poise.perception.autoencoder import DepthDecoder, DepthEncoder
from poise.perception.contrastive import COLDEST, HOTTEST


class ContrastiveConfig(Config):
    """Only of the objectives that match images with what was felt."""

    components: tuple[str, ...] = Field(
        default=("orientation", "angular_vel"),
        min_length=1,
        description="what was felt, to be matched with images; they show how a body stands, hardly how it travels",
    )
    hidden_sizes: Widths = Field(default=(64,), description="layers between features, or what was felt, and embedding")
    embedding: Width = Field(default=32, description="numbers in which both are compared")
    temperature: float = Field(
        default=0.07, ge=COLDEST, le=HOTTEST, description="of the softmax, to begin with; it is learned"
    )
    share: float = Field(
        default=0.5, gt=0, lt=1, description="of the loss where the objective is 'both'; drawing again has the rest"
    )


class PretrainConfig(Config):
    """Settings of `pretrain`; the defaults take about half a minute on two cores."""

    objective: Literal["autoencoder", "contrastive", "both"] = Field(
        default="autoencoder", description="to draw images again, to tell what the robot felt when it saw them, or both"
    )
    epochs: int = Field(default=10, ge=1, description="most passes over the training images")
    patience: int = Field(default=3, ge=1, description="stop after this many epochs without a better held-out loss")
    batch_size: int = Field(
        default=64, ge=2, description="images a gradient step; unless autoencoder, moments of different episodes"
    )
    learning_rate: float = Field(default=1e-3, gt=0, description="of Adam")
    validation_fraction: float = Field(default=0.2, gt=0, lt=1, description="share of the episodes held out")
    max_images: int = Field(
        default=6000, ge=10, description="most images used, drawn at random, held-out ones included"
    )
    latent: int = Field(default=20, ge=1, description="numbers an image is squeezed into")
    precision: MixedPrecision = Field(
        default="auto", description="of the training; auto: bfloat16 where the CPU multiplies it natively"
    )
    threads: int = Field(
        default=1, ge=1, description="of torch: more wait for each other on a busy machine, and change the last digits"
    )
    seed: int = Field(default=0, ge=0, description="of the split, the draw of images, the weights and the order")
    contrastive: ContrastiveConfig = ContrastiveConfig()

    @model_validator(mode="after")
    def _nothing_without_effect(self) -> Self:
        usual = ContrastiveConfig()
        if self.objective == "autoencoder" and self.contrastive != usual:
            raise ValueError("'contrastive' changes nothing of an autoencoder; set objective to contrastive or both")
        if self.objective == "contrastive" and self.contrastive.share != usual.share:
            raise ValueError("contrastive.share divides the loss between two objectives; set objective to both")
        return self

    @property
    def low_precision(self) -> bool:
        """Whether convolutions are computed in bfloat16 while they learn."""
        return is_low(self.precision)


class Scores(NamedTuple):
    """How well a model does on held-out images. What an objective does not know is None."""

    loss: float
    """Of the objective: mean squared error, m², or a share of what guessing would have."""
    reconstruction_loss: float | None = None
    """Mean squared error, m², where there is another loss beside it."""
    contrastive_loss: float | None = None
    """InfoNCE, nats, of `candidates` moments at a time."""
    accuracy: float | None = None
    """How often the nearest of `candidates` bodies is the one that took the images."""
    temperature: float | None = None


class Objective(Protocol):
    """A model with an encoder in it, and the images that it learns from and is judged by."""

    @property
    def uninformed_loss(self) -> float:
        """The held-out loss of what knows nothing about an image."""

    @property
    def candidates(self) -> int | None:
        """Among how many held-out moments the right one is looked for, if it is."""

    def learn(self) -> tuple[float, int]:
        """One epoch; its mean loss, and how many images it took."""

    def judge(self) -> Scores:
        """Of the model as it is now, on what is held out."""

    def keep(self) -> tuple[DepthEncoder, DepthDecoder | None]:
        """Remember the model as it is now, the best so far; its encoder, and its decoder if it has learned to draw."""

    def illustrate(self, out: Path, scores: Scores) -> None:
        """Write pictures of what the model that was kept has learned, given its scores."""
