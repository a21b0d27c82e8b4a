"""What each part of a policy costs when it acts for 64 ballbots: microseconds, and relative to the plain policy.

    python benchmarks/mixins.py [--robots 64] [--repeats 40] [--json FILE]

Timed is `act`, which draws actions. Every kind has the same actor of 2x128 and reads what robots of navigate.yaml
sense, and the ground heights. All take their turn in every round, on one thread of torch; a figure is the median of the
rounds.
"""

import argparse
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from _table import report
from gymnasium import spaces

from poise.config import parse
from poise.policies import (
    ActorCritic,
    ActorCriticClimbMutex,
    ActorCriticFieldMutex,
    ActorCriticMutex,
    MutexConfig,
    PolicyConfig,
    build_policy,
)

FELT = {"orientation": (3,), "angular_vel": (3,), "vel": (3,), "motor_state": (3,), "actions": (3,), "goal": (2,)}
SEEN = {"rgbd_0": (20,), "rgbd_1": (20,)}
TOLD = {"heights": (7, 7)}
AHEAD = {"engaging_block": (2,)}
NETWORK = {"hidden_sizes": [128, 128], "activation": "elu"}
ESTIMATE = {"observations": ["orientation", "actions"], "targets": ["vel"]}
KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "plain": ({}, ""),
    "acts by the mean": ({"mixins": ["poise.policies:DeterministicPolicyMixin"]}, ""),
    "critic sees other components": ({"critic_observations": [*FELT, *TOLD]}, ""),
    "motion prior": ({"amp_discriminator": {"observations": ["orientation", "vel"]}}, ""),
    "encoder of heights": ({"encoders": {"heights": {}}}, "network"),
    "encoder of heights, linear": (
        {"encoders": {"heights": {"linear": True}}, "mixins": ["poise.policies:VisualActorCriticMixin"]},
        "network",
    ),
    "estimator": ({"estimator": ESTIMATE}, "network"),
    "estimator that replaces": ({"estimator": ESTIMATE | {"replace_prob": 1.0}}, "network"),
    "adaptor that replaces": (
        {"adaptor": {"observations": ["motor_state"], "targets": ["heights"], "replace_prob": 1.0}},
        "network",
    ),
    "estimator and adaptor": (
        {"estimator": ESTIMATE, "adaptor": {"observations": ["motor_state"], "targets": ["heights"]}},
        "two networks",
    ),
    "memory (GRU)": ({"memory": {"type": "gru"}}, "network"),
    "memory (LSTM)": ({"memory": {}}, "network"),
    "memory (GRU) of changes": ({"memory": {"type": "gru", "changes": True}}, "network"),
    "estimator on the memory (GRU)": (
        {"memory": {"type": "gru"}, "estimator": {"targets": ["vel"], "use_actor_rnn": True}},
        "two networks",
    ),
    "memory (GRU) of the heights": ({"memories": {"heights": {"type": "gru"}}}, "network"),
}
MUTEXES: dict[str, type[ActorCriticMutex]] = {
    "mutex of two, by field": ActorCriticFieldMutex,
    "mutex of two, climbing": ActorCriticClimbMutex,
}
"""Each runs a second policy beside the plain one."""


def policy(config: dict[str, Any]) -> ActorCritic:
    """A new one."""
    whole = parse(PolicyConfig, {"actor": NETWORK, "critic": NETWORK, **config})
    return build_policy(FELT | SEEN | TOLD, spaces.Box(-1.0, 1.0, (3,)), whole).eval()


def mutex(kind: type[ActorCriticMutex]) -> ActorCriticMutex:
    """Of two plain policies, each of which has some of the robots."""
    names = ("one", "other")
    config = parse(MutexConfig, {"kind": kind.kind, "sub_policies": {name: f"runs/{name}" for name in names}})
    return kind({name: policy({}) for name in names}, FELT | SEEN | TOLD | AHEAD, config)


def measure(robots: int, repeats: int, calls: int = 20) -> dict[str, float]:
    """Median seconds of a call of `act`, by kind."""
    torch.set_num_threads(1)
    made: dict[str, Any] = {name: policy(config) for name, (config, _) in KINDS.items()}
    made |= {name: mutex(kind) for name, kind in MUTEXES.items()}
    observation = {name: torch.randn(robots, *shape) for name, shape in (FELT | SEEN | TOLD).items()}
    ahead = torch.tensor([[1.0, 0.0], [1.0, -1.0], [0.0, 1.0]])  # to both kinds: the one, either, and the other
    observation |= {name: ahead.repeat(robots, 1)[:robots] for name in AHEAD}
    times: dict[str, list[float]] = {name: [] for name in made}
    with torch.no_grad():
        for _ in range(repeats + 1):
            for name, one in made.items():
                began = time.perf_counter()
                for _ in range(calls):
                    one.act(observation)
                times[name].append((time.perf_counter() - began) / calls)
    return {name: median(seconds[1:]) for name, seconds in times.items()}


def _added(name: str) -> str:
    return "a policy" if name in MUTEXES else KINDS[name][1] or "none"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--robots", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    seconds = measure(options.robots, options.repeats)
    rows = [
        (name, f"{1e6 * taken:.0f}", f"{taken / seconds['plain']:.2f}", _added(name)) for name, taken in seconds.items()
    ]
    title = f"Acting, {options.robots} robots"
    report(title, ("policy", "µs", "relative", "networks added"), rows, seconds, options.json, ("torch",))


if __name__ == "__main__":
    main()
