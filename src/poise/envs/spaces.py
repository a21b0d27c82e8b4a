"""What one ballbot gives and takes, and within which bounds."""

from typing import Any

import numpy as np
from gymnasium import spaces

from poise.envs.history import history_of
from poise.envs.instructions import COMMAND, COMPASS, INSTRUCTION
from poise.envs.observations import VELOCITY_LIMIT
from poise.envs.options import CAMERAS, ENGAGING_BLOCK, BallbotOptions
from poise.envs.vision import AGE, MISSING_CAMERAS
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
    limits = {name: float("inf") if noise.get(name) else bound for name, bound in bounds.items()}
    parts: dict[str, spaces.Space[Any]] = {
        name: spaces.Box(-limit, limit, (3,), np.float32) for name, limit in limits.items()
    }
    for name in options.history.kept:
        shape = (options.history.steps, 3)
        parts[history_of(name)] = spaces.Box(-limits[name], limits[name], shape, np.float32)
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
        image = (cameras.stack * (4 if cameras.rgb else 1), cameras.height, cameras.width)
        brightest = 1.0 if cameras.rgb else 0.0
        parts |= {name: spaces.Box(0.0, max(cameras.max_depth, brightest), image, np.float32) for name in CAMERAS}
        parts[AGE] = spaces.Box(0.0, _oldest(options), (1,), np.float32)
        if cameras.faults.dropout.share:
            parts[MISSING_CAMERAS] = spaces.Box(0.0, 1.0, (len(CAMERAS),), np.float32)
    return spaces.Dict(parts)


def _oldest(options: BallbotOptions) -> float:
    """Age of an image when the next one arrives, s."""
    cameras = options.cameras
    return 1.0 / cameras.rate + (cameras.lag + options.control_step if cameras.lag else 0.0)
