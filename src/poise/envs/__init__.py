"""Gymnasium environments: numpy in, numpy out.

Importing this registers `poise/Ballbot-v0`, alias `ballbot-v0.1`, and two classic tasks for policies with memory,
`poise/CartPoleWithoutVelocities-v0` and `poise/PendulumWithoutVelocities-v0`, and `poise/Push-v0`, for which panda-gym
must be there when it is made.
"""

from gymnasium.envs.registration import register, registry

from poise.envs.ballbot import BallbotEnv, BallbotVectorEnv
from poise.envs.options import BallbotOptions

__all__ = ["BALLBOT_IDS", "PUSH_ID", "BallbotEnv", "BallbotOptions", "BallbotVectorEnv"]

BALLBOT_IDS = ("poise/Ballbot-v0", "ballbot-v0.1")
PUSH_ID = "poise/Push-v0"

for _id in BALLBOT_IDS:
    if _id not in registry:
        register(
            _id,
            entry_point="poise.envs.ballbot:BallbotEnv",
            vector_entry_point="poise.envs.ballbot:BallbotVectorEnv",
        )

for _name, _make in (("CartPole", "cart_pole"), ("Pendulum", "pendulum")):
    if f"poise/{_name}WithoutVelocities-v0" not in registry:
        register(
            f"poise/{_name}WithoutVelocities-v0",
            entry_point=f"poise.envs.classic:{_make}_without_velocities",
        )

if PUSH_ID not in registry:
    register(
        PUSH_ID,
        entry_point="poise.envs.push.env:PushEnv",
        vector_entry_point="poise.envs.push.env:PushVectorEnv",
    )
