"""Building blocks of networks: multilayer perceptrons, running normalisation, action distributions."""

from poise.nn.distributions import ActionDistribution, Categorical, CategoricalHead, DiagonalGaussian, GaussianHead
from poise.nn.mlp import MlpModel, get_activation_Cls, orthogonal_
from poise.nn.normalization import EmpiricalNormalization

__all__ = [
    "ActionDistribution",
    "Categorical",
    "CategoricalHead",
    "DiagonalGaussian",
    "EmpiricalNormalization",
    "GaussianHead",
    "MlpModel",
    "get_activation_Cls",
    "orthogonal_",
]
