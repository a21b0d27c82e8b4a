"""Whether a policy does what it is told in words that it has never heard.

    python benchmarks/instructions.py runs/vision_language_action --episodes 400 [--split held_out] [--seed 12000000]

An episode is told one sentence, of the split's own wordings, and lasts 8 s unless the robot falls. It counts as having
followed when its net displacement is at least 0.1 m long and within 30° of the commanded direction, one of eight, 45°
apart; episodes that end in a fall are judged by where it fell. `wrong sentences` are the same episodes, each told the
sentence of another, drawn at random, and judged by its own: who follows what it hears is right in an eighth of them,
12.5 %; who goes just anywhere in 60° of 360°, 16.7 %. Half as many episodes again are told to stand still, where a
policy has ever been told to. What a sentence commands, if the observation has it for the critic, is blanked: the policy
has the words alone. `understood`
is what a linear reading of the sentences' embeddings, fitted to the training sentences, makes of the same sentences.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _table import report
from numpy.typing import NDArray

from poise.envs.instructions import COMMAND, INSTRUCTION
from poise.envs.options import InstructionOptions
from poise.language import DIRECTIONS, SPEEDS, embed, meaning, read
from poise.training.comparison import contender
from poise.training.environments import control_step, make_vector_env, within_bounds
from poise.training.statistics import wilson_interval

WITHIN = 30.0
"""Degrees."""
BLANKED = (COMMAND, "goal")
LEAST = 0.1
"""Displacement that counts as having moved, m."""
SIDE_BY_SIDE = 100
Array = NDArray[Any]


class Episodes(NamedTuple):
    """What came of E episodes."""

    texts: list[str]
    commands: Array
    """(E, 2) m/s, world frame."""
    displacements: Array
    """(E, 2) m."""
    seconds: Array
    """(E,) until the end or the fall."""
    moving: Array
    """(E,) mean horizontal speed, m/s, whichever way."""
    fell: Array
    """(E,) bool."""

    @property
    def followed(self) -> Array:
        """(E,) bool."""
        lengths = np.linalg.norm(self.displacements, axis=1) * np.linalg.norm(self.commands, axis=1)
        cosines = (self.displacements * self.commands).sum(axis=1) / np.maximum(lengths, 1e-12)
        far = np.linalg.norm(self.displacements, axis=1) >= LEAST
        return far & (cosines >= np.cos(np.radians(WITHIN)))

    @property
    def progress(self) -> Array:
        """(E,) mean speed along the command, m/s."""
        unit = self.commands / np.maximum(np.linalg.norm(self.commands, axis=1, keepdims=True), 1e-12)
        return (self.displacements * unit).sum(axis=1) / self.seconds


def run(policy: Path, changes: Mapping[str, str], episodes: int, seed: int, wrong: bool = False) -> Episodes:
    """Episode i on seed + i; with `wrong`, each is told what a random other one is to do."""
    parts = [
        _run(policy, changes, min(SIDE_BY_SIDE, episodes - first), seed + first, wrong)
        for first in range(0, episodes, SIDE_BY_SIDE)
    ]
    texts = [text for part in parts for text in part.texts]
    return Episodes(texts, *(np.concatenate(values) for values in list(zip(*parts, strict=True))[1:]))


def _run(policy: Path, changes: Mapping[str, str], count: int, seed: int, wrong: bool) -> Episodes:
    rival = contender(str(policy), changes=changes)
    env: Any = make_vector_env(rival.config.env.id, count, rival.measured_options)
    agent, (observation, _) = rival.agent_for(env), env.reset(seed=seed)
    texts = list(env.unwrapped.instructions())
    heard = embed(texts)[np.random.default_rng(seed).permutation(count)] if wrong else None
    running, fell = np.ones(count, bool), np.zeros(count, bool)
    begun: Array | None = None
    ended, commands = np.zeros((count, 2)), np.zeros((count, 2))
    steps, moved = np.zeros(count), np.zeros(count)
    while running.any():
        told = {**observation, **({} if heard is None else {INSTRUCTION: heard})}
        told |= {name: np.zeros_like(told[name]) for name in BLANKED if name in told}
        observation, _, terminated, truncated, info = env.step(within_bounds(agent.act(told), env))
        position = info["position"][:, :2]  # of the old episode, where one has just ended
        if begun is None:
            begun, commands = position.copy(), info["command"].copy()
        ended[running] = position[running]
        steps += running
        speed = np.linalg.norm(observation["vel"][:, :2], axis=1)
        done = terminated | truncated
        moved += np.where(running & ~done, speed, 0.0)
        fell |= running & terminated
        running &= ~done
        agent.reset(done)
    seconds = steps * control_step(env)
    env.close()
    assert begun is not None
    return Episodes(texts, commands, ended - begun, seconds, moved / steps, fell)


def share(hits: Array) -> dict[str, float]:
    """In percent, with a 95 % interval (Wilson)."""
    low, high = wilson_interval(int(hits.sum()), len(hits))
    return {"mean": 100.0 * float(hits.mean()), "low": 100.0 * low, "high": 100.0 * high, "episodes": len(hits)}


def understood(texts: list[str]) -> Array:
    """Whether a linear reading of each sentence finds its direction."""
    return np.array(
        [
            known is not None and known.direction == found.direction
            for known, found in zip(map(meaning, texts), read(embed(texts)), strict=True)
        ]
    )


def direction_of(commands: Array) -> Array:
    """(E,) indices of `DIRECTIONS`."""
    return np.rint(np.degrees(np.arctan2(commands[:, 1], commands[:, 0])) / 45.0).astype(int) % len(DIRECTIONS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="of a policy that takes instructions")
    parser.add_argument("--episodes", type=int, default=400)
    parser.add_argument("--seed", type=int, default=12_000_000, help="of the first episode")
    parser.add_argument("--split", choices=("train", "validation", "held_out"), default="held_out")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    told = {"env.options.instruction.split": options.split, "env.options.instruction.noise": "0"}
    going, still = ({**told, "env.options.instruction.stop": share} for share in ("0", "1"))
    right = run(options.run, going, options.episodes, options.seed)
    wrong = run(options.run, going, options.episodes, options.seed, wrong=True)
    learned = contender(str(options.run)).config.env.options.get("instruction", {})
    stands = learned.get("stop", InstructionOptions().stop) > 0
    stopped = run(options.run, still, (options.episodes + 1) // 2, options.seed) if stands else None
    towards, paces = direction_of(right.commands), np.linalg.norm(right.commands, axis=1)
    rows: list[list[str]] = []
    results: dict[str, Any] = {}

    def add(name: str, episodes: Episodes, chosen: Array, hits: Array | None) -> None:
        if not chosen.any():  # of few episodes none may have been told this
            return
        result: dict[str, Any] = {} if hits is None else {"followed": share(hits[chosen])}
        result |= {
            "along": float(episodes.progress[chosen].mean()),
            "drift": float((np.linalg.norm(episodes.displacements, axis=1) / episodes.seconds)[chosen].mean()),
            "moving": float(episodes.moving[chosen].mean()),
            "fell": share(episodes.fell[chosen]),
        }
        results[name] = result
        followed = "–"
        if hits is not None:
            told = result["followed"]
            followed = f"{told['mean']:.1f} ({told['low']:.1f} to {told['high']:.1f})"
        along = "–" if hits is None else f"{result['along']:.3f}"
        numbers = (f"{result['drift']:.3f}", f"{result['moving']:.3f}", f"{result['fell']['mean']:.1f}")
        rows.append([name, str(int(chosen.sum())), followed, along, *numbers])

    everyone = np.ones(options.episodes, bool)
    add("all directions", right, everyone, right.followed)
    add("wrong sentences", wrong, everyone, wrong.followed)
    for index, direction in enumerate(DIRECTIONS):
        add(direction, right, towards == index, right.followed)
    for pace, speed in SPEEDS.items():
        add(f"{pace}, {speed} m/s", right, np.isclose(paces, speed), right.followed)
    if stopped is not None:
        add("standing still", stopped, np.ones(len(stopped.texts), bool), None)
    results["understood"] = share(understood(right.texts))
    columns = ("told", "episodes", "within 30°, %", "along it, m/s", "net, m/s", "moving, m/s", "fell, %")
    title = f"{options.run.name} told {options.split} sentences, from seed {options.seed}"
    report(title, columns, rows, results, options.json, ("poise", "mujoco", "torch"))
    line = results["understood"]
    print(f"understood by a linear reading: {line['mean']:.1f} % ({line['low']:.1f} to {line['high']:.1f})")


if __name__ == "__main__":
    main()
