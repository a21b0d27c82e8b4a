"""How close policies move to a reference motion, and what they return: the energy distance of pairs of moments.

    python benchmarks/style.py runs/style runs/task --motion runs/motion.safetensors [--episodes 100] [--json FILE]

A moment is what the robot senses of its motion (orientation, angular_vel and vel, in the run's frame), a pair two of
them that follow each other; every number is divided by its standard deviation in the reference. The energy distance of
two samples, 2 E|X - Y| - E|X - X'| - E|Y - Y'| (Székely and Rizzo, 2013), is 0 for samples of the same distribution. A
policy travels on the terrain that it was trained for, from seeds it never saw; `two halves` is what chance makes of the
reference's episodes, one half against the other.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from _table import report
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from poise.algorithms import ReferenceMotion
from poise.training.comparison import contender, measure
from poise.training.environments import make_vector_env, within_bounds
from poise.training.seeds import EVALUATION_SEED

COMPONENTS = ("orientation", "angular_vel", "vel")
SAMPLES = 3000
Pairs = NDArray[np.float64]


def energy_distance(one: Pairs, other: Pairs) -> float:
    """Of two samples (N, D) and (M, D)."""
    return float(2.0 * cdist(one, other).mean() - cdist(one, one).mean() - cdist(other, other).mean())


def some(pairs: Pairs, seed: int = 0) -> Pairs:
    """As many as are compared, drawn without replacement."""
    return np.random.default_rng(seed).permutation(pairs)[:SAMPLES]


def reference_pairs(motion: ReferenceMotion) -> tuple[Pairs, Pairs]:
    """Pairs of the first half of the reference's episodes, and of the second."""
    joined = np.concatenate([motion.states[name] for name in COMPONENTS], axis=1).astype(np.float64)
    first = np.flatnonzero(~motion.starts[1:])
    pairs = np.concatenate([joined[first], joined[first + 1]], axis=1)
    half = np.flatnonzero(motion.starts)[motion.starts.sum() // 2]
    return pairs[first < half], pairs[first >= half]


def policy_pairs(run: Path, robots: int, seed: int) -> Pairs:
    """Pairs of moments of a policy's episodes."""
    rival = contender(str(run))
    env = make_vector_env(rival.config.env.id, robots, rival.measured_options)
    agent, (observation, _) = rival.agent_for(env), env.reset(seed=seed)
    pairs, before, began = [], None, np.ones(robots, bool)
    for _ in range(400):
        moment = np.concatenate([observation[name] for name in COMPONENTS], axis=1).astype(np.float64)
        if before is not None:
            pairs.append(np.concatenate([before, moment], axis=1)[~began])
        before = moment
        observation, _, terminated, truncated, _ = env.step(within_bounds(agent.act(observation), env))
        began = terminated | truncated
        agent.reset(began)
    env.close()
    return np.concatenate(pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="policies")
    parser.add_argument("--motion", type=Path, required=True, help="the reference, as 'poise motion' wrote it")
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=EVALUATION_SEED, help="of the first episode")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    first, second = reference_pairs(ReferenceMotion.load(options.motion))
    scale = np.concatenate([first, second]).std(axis=0)
    results: dict[str, Any] = {"two halves": {"distance": energy_distance(some(first / scale), some(second / scale))}}
    reference = some(np.concatenate([first, second]) / scale)
    for run in options.runs:
        distance = energy_distance(some(policy_pairs(run, options.episodes, options.seed) / scale), reference)
        evaluation = measure(contender(str(run)), options.episodes, options.seed)
        results[run.name] = {"distance": distance, **evaluation.summary()}
    rows = [[name, f"{result['distance']:.3f}", *_outcome(result)] for name, result in results.items()]
    title = f"Distance from {options.motion.name}; {options.episodes} episodes from seed {options.seed}"
    columns = ("motion", "distance", "return", "survives", "speed, m/s")
    report(title, columns, rows, results, options.json, ("poise", "mujoco", "torch"))


def _outcome(result: dict[str, Any]) -> list[str]:
    if "return" not in result:
        return ["–"] * 3
    value = result["return"]
    shown = f"{value['mean']:.1f} ({value['low']:.1f} to {value['high']:.1f})"
    return [shown, f"{result['success_rate']['mean']:.2f}", f"{result['speed']['mean']:.3f}"]


if __name__ == "__main__":
    main()
