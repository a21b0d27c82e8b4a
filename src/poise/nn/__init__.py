"""Building blocks of networks: multilayer perceptrons, memory, running normalisation, action distributions."""

from poise.nn.distributions import ActionDistribution, Categorical, CategoricalHead, DiagonalGaussian, GaussianHead
from poise.nn.memory import LstmHiddenState, Memory, forget
from poise.nn.mlp import MlpModel, get_activation_Cls, orthogonal_
from poise.nn.normalization import EmpiricalNormalization
from poise.nn.trajectories import Trajectories

__all__ = [
    "ActionDistribution",
    "Categorical",
    "CategoricalHead",
    "DiagonalGaussian",
    "EmpiricalNormalization",
    "GaussianHead",
    "LstmHiddenState",
    "Memory",
    "MlpModel",
    "Trajectories",
    "forget",
    "get_activation_Cls",
    "orthogonal_",
]
