"""Gymnasium environments: numpy in, numpy out. Importing this registers `poise/Ballbot-v0` and its alias `ballbot-v0.1`."""

from gymnasium.envs.registration import register, registry

from poise.envs.ballbot import BallbotEnv, BallbotVectorEnv
from poise.envs.options import BallbotOptions

__all__ = ["BallbotEnv", "BallbotOptions", "BallbotVectorEnv"]


def _register() -> None:
    """`ballbot-v0.1` is no id that `register` accepts (versions are whole numbers there), so the registry gets it as it stands."""
    if "poise/Ballbot-v0" in registry:
        return
    register(
        "poise/Ballbot-v0",
        entry_point="poise.envs.ballbot:BallbotEnv",
        vector_entry_point="poise.envs.ballbot:BallbotVectorEnv",
    )


_register()
