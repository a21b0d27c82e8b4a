"""Reference motions: our LQR drives ballbots on level ground as they ought to move, and what they sense is kept."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from poise.algorithms import ReferenceMotion
from poise.config import Config, parse
from poise.envs import BallbotVectorEnv
from poise.envs.options import BallbotOptions
from poise.errors import InvalidValueError, PoiseError
from poise.policies.lqr import LqrController
from poise.training.config import EnvConfig
from poise.training.environments import make_vector_env


class MotionConfig(Config):
    """A way to travel: along the goal, weaving from side to side."""

    speed: float = Field(0.15, ge=0, description="along the goal, m/s")
    weave: float = Field(0.12, ge=0, description="largest speed to either side, m/s")
    frequency: float = Field(0.5, gt=0, description="of the weaving, Hz")
    episodes: int = Field(32, ge=1, description="how many, side by side")
    seconds: float = Field(8.0, gt=0, description="length of each, s")
    seed: int = Field(0, ge=0, description="of the starts")


def record_motion(
    config: MotionConfig, env_config: EnvConfig, progress: Callable[[int], None] | None = None
) -> ReferenceMotion:
    """The observations, images left out, of an environment with these options but on level ground.

    Raises:
        InvalidValueError: these are no ballbots.
        PoiseError: a robot fell: what was asked of it is too much.
    """
    asked = parse(BallbotOptions, env_config.options, "env.options")
    changed: dict[str, Any] = {
        "terrain": {"kind": "flat"},
        "cameras": {"enabled": False},
        "heights": {"enabled": False},
        "start": {"yaw": asked.start.yaw},
        "max_steps": 10**9,
    }
    env = make_vector_env(env_config.id, config.episodes, env_config.options | changed)
    if not isinstance(env, BallbotVectorEnv):
        env.close()
        raise InvalidValueError(f"reference motions are of ballbots, and '{env_config.id}' is another environment")
    agent = LqrController(config.episodes, env.options, config.speed, config.weave, config.frequency)
    observation, _ = env.reset(seed=config.seed)
    moments = []
    steps = round(config.seconds / env.options.control_step)
    for step in range(steps):
        moments.append({name: value.copy() for name, value in observation.items()})
        observation, _, terminated, _, _ = env.step(agent.act(observation))
        if terminated.any():
            env.close()
            raise PoiseError(
                f"the robot fell after {step * env.options.control_step:.1f} s: ask for less speed or weaving"
            )
        if progress is not None:
            progress(step + 1)
    env.close()
    starts = np.zeros((config.episodes, steps), np.bool_)
    starts[:, 0] = True
    return ReferenceMotion({name: _by_episode([m[name] for m in moments]) for name in moments[0]}, starts.ravel())


def _by_episode(moments: list[NDArray[Any]]) -> NDArray[np.float32]:
    """(N, ...) of each moment to one episode after the other, (N T, ...)."""
    stacked = np.stack(moments, axis=1).astype(np.float32)
    return stacked.reshape(-1, *stacked.shape[2:])
