"""Where episodes start, but for those that begin again shortly before a fall (`retries`)."""

import numpy as np

from poise.envs import rotations
from poise.envs.options import StartOptions
from poise.sim.simulation import Simulation


def spread_start(simulation: Simulation, robot: int, options: StartOptions, generator: np.random.Generator) -> None:
    """Tilt, turn and push a robot that stands at its start, if this is one of the episodes for that."""
    if options.share < 1.0 and generator.random() >= options.share:
        return
    if options.tilt or options.yaw:
        _turn_about_ball(simulation, robot, options, generator)
    if options.speed:
        angle, speed = generator.uniform(-np.pi, np.pi), generator.uniform(0.0, options.speed)
        velocity = speed * np.cos(angle), speed * np.sin(angle)
        for first in (simulation.base_qvel, simulation.ball_qvel):
            simulation.qvel[robot, first : first + 2] = velocity


def _turn_about_ball(simulation: Simulation, robot: int, options: StartOptions, generator: np.random.Generator) -> None:
    """Tilt and turn the base about the centre of the ball, so that the wheels stay in touch."""
    direction = generator.uniform(-np.pi, np.pi)
    axis = np.array([[np.cos(direction), np.sin(direction), 0.0]])
    tilt = np.radians(generator.uniform(0.0, options.tilt, 1))
    yaw = np.radians(generator.uniform(-options.yaw, options.yaw, 1))
    turn = rotations.product(rotations.about(axis, tilt), rotations.about(np.array([[0.0, 0.0, 1.0]]), yaw))
    base = simulation.qpos[robot, simulation.base_qpos : simulation.base_qpos + 7]
    centre = simulation.ball_centres()[robot]
    base[:3] = centre + rotations.rotate(turn, (base[:3] - centre)[None])[0]
    base[3:] = turn[0]
