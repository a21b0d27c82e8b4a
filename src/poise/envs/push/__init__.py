"""A Franka arm that pushes a cube over a table: panda-gym's task, seen from near by (extra `poise[push]`)."""

from poise.envs.push.env import PushEnv
from poise.envs.push.options import PushOptions

__all__ = ["PushEnv", "PushOptions"]
