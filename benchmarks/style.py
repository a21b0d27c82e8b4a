"""How close policies move to a reference motion, and what they return: the energy distance of pairs of moments.

    python benchmarks/style.py runs/style runs/task --motion runs/motion.safetensors [--episodes 100] [--paths PNG]

A moment is what the robot senses of its motion (orientation, angular_vel and vel, seen from the goal: along it, to its
left, upward), a pair two of them that follow each other; each of the three is divided by its standard deviation in the
reference, of all its axes together: about an axis where the reference hardly moves, what nobody sees would count most.
The energy distance of two samples, 2 E|X - Y| - E|X - X'| - E|Y - Y'| (Székely and Rizzo, 2013), is 0 for samples of
the same distribution. For it a policy travels on level ground, as the reference did: on other ground the ground moves
the robot, too. What it returns is measured on the terrain that it was trained for, from seeds it never saw. `two
halves` is what chance makes of the reference's episodes, one half against the other; the speed to the left of the goal
is a mean over all moments. `--paths` draws the ways from above.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from _table import report
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from poise.algorithms import ReferenceMotion
from poise.training.comparison import contender, measure
from poise.training.environments import control_step, make_vector_env, within_bounds
from poise.training.seeds import EVALUATION_SEED

COMPONENTS = ("orientation", "angular_vel", "vel")
SAMPLES = 3000
DECISIONS = 400
Pairs = NDArray[np.float64]


def energy_distance(one: Pairs, other: Pairs) -> float:
    """Of two samples (N, D) and (M, D)."""
    return float(2.0 * cdist(one, other).mean() - cdist(one, one).mean() - cdist(other, other).mean())


def some(pairs: Pairs, seed: int = 0) -> Pairs:
    """As many as are compared, drawn without replacement."""
    return np.random.default_rng(seed).permutation(pairs)[:SAMPLES]


def pairs(motion: ReferenceMotion) -> Pairs:
    """(P, F) what was sensed of moments and of those that followed them, side by side."""
    joined = [seen_from_goal(moments, name) for moments in motion.pairs() for name in COMPONENTS]
    return np.concatenate(joined, axis=1)


def seen_from_goal(moments: Mapping[str, Any], name: str) -> Pairs:
    """(T, 3) a vector's parts along the goal, to its left and upward."""
    goal, vector = (np.asarray(moments[part], np.float64) for part in ("goal", name))
    along = (vector[:, :2] * goal).sum(axis=1)
    left = goal[:, 0] * vector[:, 1] - goal[:, 1] * vector[:, 0]
    return np.stack([along, left, vector[:, 2]], axis=1)


def policy_motion(run: Path, robots: int, seed: int) -> ReferenceMotion:
    """What a policy's robots sense of their motion on level ground, one robot after another."""
    rival = contender(str(run), changes={"env.options.terrain.kind": "flat"})
    env = make_vector_env(rival.config.env.id, robots, rival.measured_options)
    agent, (observation, _) = rival.agent_for(env), env.reset(seed=seed)
    moments, begins, begun = [], [], np.ones(robots, bool)
    for _ in range(DECISIONS):
        moments.append({name: observation[name] for name in (*COMPONENTS, "goal")})
        begins.append(begun)
        observation, _, terminated, truncated, _ = env.step(within_bounds(agent.act(observation), env))
        begun = terminated | truncated
        agent.reset(begun)
    env.close()
    states = {name: _one_after_another([moment[name] for moment in moments]) for name in moments[0]}
    return ReferenceMotion(states, _one_after_another(begins), control_step(env))


def draw_paths(motions: Mapping[str, ReferenceMotion], out: Path) -> None:
    """The way of each motion's first robot from above, metres to the same scale along the goal and aside."""
    figure, axes = plt.subplots(figsize=(8, 5))
    for name, motion in motions.items():
        speeds = seen_from_goal(motion.states, "vel")[:, :2]
        first = np.split(speeds, np.flatnonzero(motion.starts)[1:])[0]
        way = motion.control_step * np.cumsum(first, axis=0)
        axes.plot(*way.T, label=name, **({"color": "black", "linewidth": 3} if name == "reference" else {}))
    axes.set_aspect("equal")
    axes.set_xlabel("along the goal, m")
    axes.set_ylabel("to the left, m")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.tight_layout()
    figure.savefig(out, dpi=110)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="policies")
    parser.add_argument("--motion", type=Path, required=True, help="the reference, as 'poise motion' wrote it")
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=EVALUATION_SEED, help="of the first episode")
    parser.add_argument("--paths", type=Path, help="picture of the ways, PNG or SVG")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    motions = {"reference": ReferenceMotion.load(options.motion)}
    whole = pairs(motions["reference"])
    scale = np.repeat(np.sqrt(whole.var(axis=0).reshape(-1, 3).mean(axis=1)), 3)
    first, second = (some(half / scale) for half in np.array_split(whole, 2))
    results: dict[str, Any] = {"two halves": {"energy_distance": energy_distance(first, second)}}
    reference = some(whole / scale)
    for run in options.runs:
        motions[run.name] = policy_motion(run, options.episodes, options.seed)
        distance = energy_distance(some(pairs(motions[run.name]) / scale), reference)
        evaluation = measure(contender(str(run)), options.episodes, options.seed)
        results[run.name] = {"energy_distance": distance, **evaluation.summary()}
    for name, motion in motions.items():
        results.setdefault(name, {})["aside"] = float(seen_from_goal(motion.states, "vel")[:, 1].mean())
    rows = [[name, *_shown(result)] for name, result in results.items()]
    title = f"Distance from {options.motion.name}; {options.episodes} episodes from seed {options.seed}"
    columns = ("motion", "distance", "to the left, m/s", "along the goal, m/s", "return", "success")
    report(title, columns, rows, results, options.json, ("poise", "mujoco", "torch"))
    if options.paths is not None:
        draw_paths(motions, options.paths)


def _one_after_another(moments: list[NDArray[Any]]) -> NDArray[Any]:
    """(N T, ...) of T moments (N, ...)."""
    return np.concatenate(np.swapaxes(np.stack(moments), 0, 1))


def _shown(result: dict[str, Any]) -> list[str]:
    """A row of the table; a dash for what is not known of this motion."""
    told = [f"{result[name]:.3f}" if name in result else "–" for name in ("energy_distance", "aside")]
    if "return" not in result:
        return [*told, *["–"] * 3]
    value = result["return"]
    shown = f"{value['mean']:.1f} ({value['low']:.1f} to {value['high']:.1f})"
    return [*told, f"{result['speed']['mean']:.3f}", shown, f"{result['success_rate']['mean']:.2f}"]


if __name__ == "__main__":
    main()
