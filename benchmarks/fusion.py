"""What each way of fusing modalities costs: microseconds a robot to act, and a sample to learn from.

    python benchmarks/fusion.py [--robots 64] [--repeats 20] [--images] [--json FILE]

The modalities are those of navigate.yaml: what the robot feels, and what its frozen encoder makes of two cameras; with
`--images` the cameras' 64x64 pixels themselves. Timed are `act` of 64 robots, and the loss and its gradient of a
minibatch of 256 samples. All take their turn in every round, on one thread of torch; figures are medians of the rounds.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from _table import report
from gymnasium import spaces

from poise.config import parse
from poise.fusion import FUSIONS
from poise.policies import ActorCritic, PolicyConfig, build_policy

FELT = {"orientation": (3,), "angular_vel": (3,), "vel": (3,), "motor_state": (3,), "actions": (3,), "goal": (2,)}
CODES = {"rgbd_0": (20,), "rgbd_1": (20,)}
IMAGES = {"rgbd_0": (1, 64, 64), "rgbd_1": (1, 64, 64)}
NETWORK = {"hidden_sizes": [128, 128], "activation": "elu"}
SAMPLES = 256
TOLD = {"goal": ["goal"], "body": [name for name in FELT if name != "goal"], "rgbd_0": ["rgbd_0"], "rgbd_1": ["rgbd_1"]}
"""With the goal for an instruction."""
SETTINGS: dict[str, dict[str, Any]] = {
    "concat": {"hidden_sizes": [32]},
    "vision_language_action": {"language": "goal", "modalities": TOLD},
}
KINDS: dict[str, dict[str, Any]] = {
    "none (side by side)": {},
    **{name: {"fusion": {"name": name} | SETTINGS.get(name, {})} for name in FUSIONS},
}
Shapes = dict[str, tuple[int, ...]]


def policy(shapes: Shapes, config: dict[str, Any]) -> ActorCritic:
    """A new one."""
    whole = parse(PolicyConfig, {"actor": NETWORK, "critic": NETWORK, **config})
    return build_policy(shapes, spaces.Box(-1.0, 1.0, (3,)), whole)


def learn(made: ActorCritic, seen: dict[str, torch.Tensor], actions: torch.Tensor) -> None:
    """The gradient of something that all of the policy takes part in."""
    judged = made.judge(seen, actions)
    made.zero_grad()
    (judged.log_probs.mean() + judged.values.square().mean()).backward()


def seconds(call: Callable[[], object], calls: int) -> float:
    """Of one call."""
    began = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - began) / calls


def measure(shapes: Shapes, robots: int, repeats: int) -> dict[str, tuple[float, float]]:
    """Median seconds to act for all robots, and to learn from a minibatch, by kind."""
    torch.set_num_threads(1)
    made = {name: policy(shapes, config) for name, config in KINDS.items()}
    felt, batch = ({name: torch.randn(n, *shape) for name, shape in shapes.items()} for n in (robots, SAMPLES))
    actions = torch.randn(SAMPLES, 3)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in made}
    for _ in range(repeats + 1):
        for name, one in made.items():
            with torch.no_grad():
                acting = seconds(lambda one=one: one.act(felt), 5)  # type: ignore[misc]
            times[name].append((acting, seconds(lambda one=one: learn(one, batch, actions), 2)))  # type: ignore[misc]
    return {name: tuple(map(median, zip(*rows[1:], strict=True))) for name, rows in times.items()}  # type: ignore[misc]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--robots", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--images", action="store_true", help="encode the cameras' images, too")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    found = measure(FELT | (IMAGES if options.images else CODES), options.robots, options.repeats)
    rows = [
        (name, f"{1e6 * acting / options.robots:.1f}", f"{1e6 * learning / SAMPLES:.1f}")
        for name, (acting, learning) in found.items()
    ]
    what = "images" if options.images else "codes"
    title = f"Fusing {what} of two cameras, {options.robots} robots"
    report(title, ("fusion", "act, µs/robot", "update, µs/sample"), rows, found, options.json, ("torch",))


if __name__ == "__main__":
    main()
