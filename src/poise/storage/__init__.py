"""What experience is kept in: rollouts of on-policy algorithms."""

from poise.storage.rollout import Minibatch, Rollout

__all__ = ["Minibatch", "Rollout"]
