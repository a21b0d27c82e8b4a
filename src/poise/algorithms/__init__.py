"""Reinforcement learning: losses as pure functions, and one class per algorithm that applies them."""

from poise.algorithms.gae import generalized_advantage_estimation
from poise.algorithms.ppo import PPO, AdaptiveKlConfig, EwmaConfig, PPOConfig
from poise.algorithms.schedules import Schedule

__all__ = ["PPO", "AdaptiveKlConfig", "EwmaConfig", "PPOConfig", "Schedule", "generalized_advantage_estimation"]
