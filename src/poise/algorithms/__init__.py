"""Reinforcement learning: losses as pure functions, and one class per algorithm that applies them."""

from poise.algorithms.amp import AmpConfig, AmpPPO
from poise.algorithms.distillation import Distillation, DistillationConfig
from poise.algorithms.gae import generalized_advantage_estimation
from poise.algorithms.motion import ReferenceMotion
from poise.algorithms.on_policy import OnPolicyAlgorithm
from poise.algorithms.optimization import EwmaConfig, OptimizationConfig
from poise.algorithms.ppo import PPO, AdaptiveKlConfig, PPOConfig
from poise.algorithms.schedules import Schedule

__all__ = [
    "PPO",
    "AdaptiveKlConfig",
    "AmpConfig",
    "AmpPPO",
    "Distillation",
    "DistillationConfig",
    "EwmaConfig",
    "OnPolicyAlgorithm",
    "OptimizationConfig",
    "PPOConfig",
    "ReferenceMotion",
    "Schedule",
    "generalized_advantage_estimation",
]
