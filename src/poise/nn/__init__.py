"""Building blocks of networks: perceptrons, convolutions, memory, running normalisation, action distributions."""

from poise.nn.change_memory import AnyMemory, ChangeMemory
from poise.nn.convolutions import Conv2dHeadModel, Conv2dModel, conv2d_output_shape, has_channels_last
from poise.nn.distributions import ActionDistribution, Categorical, CategoricalHead, DiagonalGaussian, GaussianHead
from poise.nn.memory import LstmHiddenState, Memory, forget
from poise.nn.mlp import MlpModel, get_activation_Cls, orthogonal_
from poise.nn.normalization import EmpiricalNormalization, Normalize, Normalizer, RunningMeanStd
from poise.nn.trajectories import Trajectories
from poise.nn.value_scale import ValueScale

__all__ = [
    "ActionDistribution",
    "AnyMemory",
    "Categorical",
    "CategoricalHead",
    "ChangeMemory",
    "Conv2dHeadModel",
    "Conv2dModel",
    "DiagonalGaussian",
    "EmpiricalNormalization",
    "GaussianHead",
    "LstmHiddenState",
    "Memory",
    "MlpModel",
    "Normalize",
    "Normalizer",
    "RunningMeanStd",
    "Trajectories",
    "ValueScale",
    "conv2d_output_shape",
    "forget",
    "get_activation_Cls",
    "has_channels_last",
    "orthogonal_",
]
