"""Reference motions: our LQR drives ballbots on level ground as they ought to move, and what they sense is kept."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from poise.algorithms import ReferenceMotion
from poise.config import Config, parse
from poise.envs import BALLBOT_IDS, BallbotOptions, BallbotVectorEnv
from poise.errors import InvalidValueError, PoiseError
from poise.policies.lqr import LqrController
from poise.training.config import EnvConfig
from poise.training.environments import make_vector_env


class MotionConfig(Config):
    """A way to travel: along the goal, drifting to a side or weaving from side to side."""

    speed: float = Field(0.15, ge=0, description="along the goal, m/s")
    drift: float = Field(0.1, description="speed to the left of it, m/s; negative to the right")
    weave: float = Field(0.0, ge=0, description="largest speed to either side, m/s")
    frequency: float = Field(0.5, gt=0, description="of the weaving, Hz")
    episodes: int = Field(32, ge=1, description="how many, side by side")
    seconds: float = Field(8.0, gt=0, description="length of each, s")
    seed: int = Field(0, ge=0, description="of the starts")


def record_motion(
    config: MotionConfig, env_config: EnvConfig, progress: Callable[[int], None] | None = None
) -> ReferenceMotion:
    """The observations, images left out, of an environment with these options but on level ground.

    `progress` is told how many episodes' worth of steps are done.

    Raises:
        InvalidValueError: these are no ballbots.
        PoiseError: a robot fell: what was asked of it is too much.
    """
    if env_config.id not in BALLBOT_IDS:
        raise InvalidValueError(f"reference motions are of ballbots, and '{env_config.id}' is another environment")
    asked = parse(BallbotOptions, env_config.options, "env.options")
    changed: dict[str, Any] = {
        "terrain": asked.terrain.model_dump() | {"kind": "flat"},
        "cameras": {"enabled": False},
        "heights": {"enabled": False},
        "field_ahead": {"enabled": False},
        "start": {"yaw": asked.start.yaw},
        "max_steps": 10**9,
    }
    env = make_vector_env(env_config.id, config.episodes, env_config.options | changed)
    assert isinstance(env, BallbotVectorEnv)
    agent = LqrController(config.episodes, env.options, config.speed, config.weave, config.frequency, config.drift)
    observation, _ = env.reset(seed=config.seed)
    moments = []
    control_step = env.options.control_step
    steps = max(round(config.seconds / control_step), 2)
    for step in range(steps):
        moments.append({name: value.copy() for name, value in observation.items()})
        observation, _, terminated, _, info = env.step(agent.act(observation))
        if terminated.any():
            env.close()
            what = "left the map" if info["final_info"]["off_map"][terminated].any() else "fell"
            raise PoiseError(f"the robot {what} after {step * control_step:.1f} s: ask for less speed, weaving or time")
        if progress is not None:
            progress(round(config.episodes * (step + 1) / steps))
    env.close()
    starts = np.zeros((config.episodes, steps), np.bool_)
    starts[:, 0] = True
    states = {name: _by_episode([moment[name] for moment in moments]) for name in moments[0]}
    return ReferenceMotion(states, starts.ravel(), control_step, env.options.frame, env.options.orientation)


def _by_episode(moments: list[NDArray[Any]]) -> NDArray[np.float32]:
    """(N, ...) of each moment to one episode after the other, (N T, ...)."""
    stacked = np.stack(moments, axis=1).astype(np.float32)
    return stacked.reshape(-1, *stacked.shape[2:])
