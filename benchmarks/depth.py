"""How fast the depth cameras are, and how exact: against one `mj_ray` per pixel and against MuJoCo's OpenGL.

    python benchmarks/depth.py [--states 200] [--json depth.json]

One thread, two 64x64 images per state, the robot anywhere on hills 0.1 m high, leaning up to 20 degrees.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import mujoco
import numpy as np
from _table import report

from poise.sim.depth import DepthCameras, pixel_rays
from poise.sim.model import ballbot_model
from poise.sim.opengl import opengl_available
from poise.sim.terrain import TerrainOptions

CAMERAS = ("rgbd_0", "rgbd_1")
SIZE = 64
TOLERANCE = 1e-4
REPEATS = 7


def random_poses(model: mujoco.MjModel, terrain: TerrainOptions, heights: np.ndarray, count: int) -> np.ndarray:
    """(count, nq) anywhere on the map, any heading, leaning up to 20 degrees, just above the ground."""
    rng = np.random.default_rng(0)
    poses = np.tile(model.qpos0, (count, 1))
    base, ball = int(model.joint("base").qposadr[0]), int(model.joint("ball").qposadr[0])
    for pose in poses:
        place = rng.uniform(0.97 * -terrain.half_size, 0.97 * terrain.half_size, 2)
        col, row = np.rint((place + terrain.half_size) / terrain.cell).astype(int)
        lift = terrain.height * heights[max(row - 6, 0) : row + 7, max(col - 6, 0) : col + 7].max() + 0.01
        for start in (base, ball):
            pose[start : start + 3] += (*place, lift)
        way, heading = rng.uniform(-np.pi, np.pi, 2)
        lean = np.radians(rng.uniform(0.0, 20.0)) / 2.0
        leaning = np.array([np.cos(lean), np.sin(lean) * np.cos(way), np.sin(lean) * np.sin(way), 0.0])
        turning = np.array([np.cos(heading / 2.0), 0.0, 0.0, np.sin(heading / 2.0)])
        mujoco.mju_mulQuat(pose[base + 3 : base + 7], leaning, turning)
        for i in range(3):
            pose[model.joint(f"wheel_{i}").qposadr[0]] = rng.uniform(-10.0, 10.0)
    return poses


def ray_images(model: mujoco.MjModel, data: mujoco.MjData, pose: np.ndarray) -> np.ndarray:
    """(C, H, W) depth by one `mj_ray` per pixel, m; `mj_multiRay` culls geoms that can be hit."""
    data.qpos[:] = pose
    mujoco.mj_kinematics(model, data)
    mujoco.mj_camlight(model, data)
    images = np.ones((len(CAMERAS), SIZE, SIZE))
    geom = np.zeros(1, np.int32)
    for image, name in zip(images, CAMERAS, strict=True):
        left, top, step = pixel_rays(float(model.camera(name).fovy[0]), SIZE, SIZE)
        position, rotation = data.camera(name).xpos, data.camera(name).xmat.reshape(3, 3)
        body = int(model.camera(name).bodyid[0])
        y, x = np.meshgrid(top - step * np.arange(SIZE), left + step * np.arange(SIZE), indexing="ij")
        rays = np.stack([x, y, -np.ones_like(x)], -1)
        lengths = np.linalg.norm(rays, axis=-1)
        rays = rays @ rotation.T / lengths[..., None]
        for pixel in np.ndindex(SIZE, SIZE):
            hit = mujoco.mj_ray(model, data, position, rays[pixel], None, 1, body, geom, None)
            if hit >= 0.0:
                image[pixel] = min(hit / lengths[pixel], 1.0)
    return images


def milliseconds_an_image(ways: dict[str, tuple[Callable[[], object], int]]) -> dict[str, float]:
    """Median over repeats of each way to draw some images, the ways in turn, after one round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(1 + REPEATS):
        for name, (draw, images) in ways.items():
            start = time.perf_counter()
            draw()
            times[name].append(1e3 * (time.perf_counter() - start) / images)
    return {name: median(spent[1:]) for name, spent in times.items()}


def opengl_images(model: mujoco.MjModel, data: mujoco.MjData, renderer: mujoco.Renderer, poses: np.ndarray) -> None:
    """Depth of some poses by MuJoCo's renderer in its depth mode."""
    for pose in poses:
        data.qpos[:] = pose
        mujoco.mj_kinematics(model, data)
        mujoco.mj_camlight(model, data)
        for name in CAMERAS:
            renderer.update_scene(data, name)
            renderer.render()


def measure(states: int) -> dict[str, Any]:
    """All figures of this benchmark."""
    terrain = TerrainOptions()
    model = ballbot_model(terrain)
    heights = terrain.generate(0)
    model.hfield_data[:] = heights.ravel()
    poses = random_poses(model, terrain, heights, states)
    ours = np.zeros((states, len(CAMERAS), SIZE, SIZE), np.float32)
    cameras = DepthCameras(model, CAMERAS)
    data = mujoco.MjData(model)
    many, few = poses[:64], poses[:8]
    shared, robots = np.tile(heights, (len(many), 1, 1)), np.arange(len(many))
    ways: dict[str, tuple[Callable[[], object], int]] = {
        "poise": (lambda: cameras.render(many, shared, robots, ours[: len(many)]), 2 * len(many)),
        "mj_ray": (lambda: ray_images(model, data, few[0]), 2),
    }
    available, backend = opengl_available()
    if available:
        renderer = mujoco.Renderer(model, SIZE, SIZE)
        renderer.enable_depth_rendering()
        ways["opengl"] = (lambda: opengl_images(model, data, renderer, few), 2 * len(few))
    times = milliseconds_an_image(ways)
    for start in range(0, states, len(many)):
        part = poses[start : start + len(many)]
        cameras.render(part, shared, np.arange(len(part)), ours[start : start + len(many)])
    errors = np.array([np.abs(ray_images(model, data, pose) - image) for pose, image in zip(poses, ours, strict=True)])
    return {
        "milliseconds_an_image": times,
        "times_as_fast_as": {name: spent / times["poise"] for name, spent in times.items() if name != "poise"},
        "opengl": backend,
        "states": states,
        "pixels": errors.size,
        "within_tolerance": float((errors < TOLERANCE).mean()),
        "largest_error_m": float(errors.max()),
    }


def rows(figures: dict[str, Any]) -> list[list[str]]:
    """A line for each way to draw."""
    names = {
        "poise": "poise",
        "mj_ray": "mj_ray, a call per pixel",
        "opengl": f"mujoco.Renderer, depth mode ({figures['opengl']})",
    }
    ratios = figures["times_as_fast_as"]
    return [
        [names[name], f"{spent:.3f}", f"{ratios[name]:.0f}x" if name in ratios else ""]
        for name, spent in figures["milliseconds_an_image"].items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--states", type=int, default=200, help="random states to compare with mj_ray")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    arguments = parser.parse_args()
    available, backend = opengl_available()
    if available and "MUJOCO_GL" not in os.environ:  # which MuJoCo reads once, when it is imported
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {"MUJOCO_GL": backend})
    figures = measure(arguments.states)
    title = f"{SIZE}x{SIZE} depth image, one thread"
    report(title, ("", "ms an image", "poise is faster by"), rows(figures), figures, arguments.json)
    if "opengl" not in figures["milliseconds_an_image"]:
        print(f"MuJoCo's renderer was not measured: {figures['opengl']}")
    print(
        f"{figures['states']} random states, {figures['pixels']} pixels against mj_ray: "
        f"{figures['within_tolerance']:.4%} within {TOLERANCE:g} m, largest error {figures['largest_error_m']:.1e} m"
    )


if __name__ == "__main__":
    main()
