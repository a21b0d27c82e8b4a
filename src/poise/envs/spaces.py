"""What one ballbot gives and takes, and within which bounds."""

from typing import Any

import numpy as np
from gymnasium import spaces

from poise.envs.instructions import COMMAND, COMPASS, INSTRUCTION
from poise.envs.observations import VELOCITY_LIMIT
from poise.envs.options import ENGAGING_BLOCK, BallbotOptions
from poise.envs.vision import AGE, CAMERAS
from poise.language import EMBEDDING_SIZE, SPEEDS
from poise.sim.course import FIELDS


def action_space() -> spaces.Box:
    """One command for each motor."""
    return spaces.Box(-1.0, 1.0, (3,), np.float32)


def observation_space(options: BallbotOptions) -> spaces.Dict:
    """What one robot senses."""
    limit = VELOCITY_LIMIT
    bounds = {"orientation": np.pi, "angular_vel": limit, "vel": limit, "motor_state": limit, "actions": 1.0}
    noise = options.noise.model_dump()
    parts: dict[str, spaces.Space[Any]] = {
        name: spaces.Box(*((-np.inf, np.inf) if noise.get(name) else (-bound, bound)), (3,), np.float32)
        for name, bound in bounds.items()
    }
    if options.goal.is_observed:
        parts["goal"] = spaces.Box(-1.0, 1.0, (2,), np.float32)
    if options.instruction.enabled:
        longest = np.inf if options.instruction.noise else EMBEDDING_SIZE**0.5
        parts[INSTRUCTION] = spaces.Box(-longest, longest, (EMBEDDING_SIZE,), np.float32)
        if options.instruction.command:
            fastest = max(SPEEDS.values())
            parts[COMMAND] = spaces.Box(-fastest, fastest, (2,), np.float32)
    if options.tells_compass:
        parts[COMPASS] = spaces.Box(-1.0, 1.0, (2,), np.float32)
    if options.field_ahead.enabled:
        rise = options.terrain.course.rise if options.field_ahead.signed else 0.0
        parts[ENGAGING_BLOCK] = spaces.Box(-rise, max(rise, 1.0), (len(FIELDS),), np.float32)
    if options.heights.enabled:
        highest = options.terrain.height
        parts["heights"] = spaces.Box(-highest, highest, (options.heights.size,) * 2, np.float32)
    cameras = options.cameras
    if cameras.enabled:
        shape = (4 if cameras.rgb else 1, cameras.height, cameras.width)
        brightest = 1.0 if cameras.rgb else 0.0
        parts |= {name: spaces.Box(0.0, max(cameras.max_depth, brightest), shape, np.float32) for name in CAMERAS}
        parts[AGE] = spaces.Box(0.0, 1.0 / cameras.rate, (1,), np.float32)
    return spaces.Dict(parts)
