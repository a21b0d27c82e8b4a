"""Specialists that take turns against one policy for everything, on a course of marked fields.

    python benchmarks/course.py configs/ballbot/course_mutex.yaml runs/single [--episodes 300] [--json FILE]

An episode succeeds if the robot arrives in time (`goal.distance`). Of the mutex it tells, too, how often another policy
took over, and how many robots fell within half a second of it. Falls on the course may be the ground's fault, so the
same policies then travel over level ground, where chance has another take over every half second: every fall there is
a switch's.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from _table import report
from numpy.typing import NDArray
from torch import Tensor

from poise.policies.look import TensorObservation
from poise.training.comparison import Contender, contender, measure
from poise.training.environments import make_vector_env, within_bounds
from poise.training.seeds import EVALUATION_SEED

SOON = 25
"""Decisions in which a fall is counted as a switch's: half a second."""
LEVEL_STEPS = 4000
"""Of the physics: 8 s."""
Choose = Callable[[TensorObservation], Tensor]


class Step(NamedTuple):
    """What happened to N robots in a decision; (N,) each."""

    acting: NDArray[np.int64]
    fell: NDArray[np.bool_]
    over: NDArray[np.bool_]


class Watched:
    """Who is to act, as the mutex has it, kept to be looked at."""

    def __init__(self, choose: Choose) -> None:
        self._choose = choose
        self.selection = torch.zeros(0, 0)

    def __call__(self, observation: TensorObservation) -> Tensor:
        """(N, P) one-hot."""
        self.selection = self._choose(observation)
        return self.selection


class AtRandom:
    """Who is to act, drawn at random, another for each robot every half second, whatever the field."""

    def __init__(self, policies: int, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._policies, self._count = policies, 0
        self._drawn = torch.zeros(0, 0)

    def __call__(self, observation: TensorObservation) -> Tensor:
        """(N, P) one-hot."""
        if self._count % SOON == 0:
            robots = len(next(iter(observation.values())))
            drawn = torch.randint(self._policies, (robots,), generator=self._generator)
            self._drawn = torch.nn.functional.one_hot(drawn, self._policies).float()
        self._count += 1
        return self._drawn


def steps_on_the_course(rival: Contender, robots: int, seed: int) -> Iterator[Step]:
    """Of whole episodes, one for each robot."""
    return _steps(rival, rival.measured_options, robots, seed)


def steps_on_the_level(rival: Contender, robots: int, seed: int) -> Iterator[Step]:
    """Of robots that travel over level ground for 8 s, while whoever chance has it takes over."""
    options = rival.measured_options
    goal = {name: value for name, value in options.get("goal", {}).items() if name != "distance"}
    terrain = {"kind": "course", "height": 0.1, "course": {"fields": ["flat"]}}
    level = options | {"terrain": terrain, "goal": goal, "max_steps": LEVEL_STEPS}
    return _steps(rival, level, robots, seed, AtRandom(len(_runs(rival)), seed))


def _steps(
    rival: Contender, options: dict[str, Any], robots: int, seed: int, choose: Choose | None = None
) -> Iterator[Step]:
    """Of one episode for each robot, with others to choose who acts than the mutex itself."""
    env = make_vector_env(rival.config.env.id, robots, options)
    agent, (observation, _) = rival.agent_for(env), env.reset(seed=seed)
    mutex: Any = agent.policy  # type: ignore[attr-defined]
    mutex.get_policy_selection = watched = Watched(choose or mutex.get_policy_selection)
    runs = _runs(rival)
    numbers = np.array([runs.index(run) for run in runs])  # two fields may share a run
    over = np.zeros(robots, np.bool_)
    while not over.all():
        observation, _, terminated, truncated, _ = env.step(within_bounds(agent.act(observation), env))
        agent.reset(terminated | truncated)
        yield Step(numbers[watched.selection.argmax(dim=1).numpy()], terminated & ~over, over)
        over = over | terminated | truncated
    env.close()


def _runs(rival: Contender) -> list[str]:
    """Of a mutex, in the order of its selector."""
    mutex = rival.config.policy.mutex
    assert mutex is not None
    return list(mutex.sub_policies.values())


def switches_and_falls(steps: Iterator[Step]) -> tuple[int, int]:
    """How often another policy took over, and after how many of these a robot fell soon."""
    switches, falls = 0, 0
    before: NDArray[np.int64] | None = None
    for step in steps:
        if before is None:
            before, since = step.acting, np.full(len(step.acting), SOON)
        switched = (step.acting != before) & ~step.over
        since = np.where(switched, 0, since + 1)
        switches += int(switched.sum())
        falls += int((step.fell & (since < SOON)).sum())
        before = step.acting
    return switches, falls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policies", nargs="+", help="runs, and configurations with policy.mutex")
    parser.add_argument("--episodes", type=int, default=300)
    parser.add_argument("--seed", type=int, default=EVALUATION_SEED, help="of the first episode")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    rows, results = [], {}
    for name in options.policies:
        rival = contender(name)
        result: dict[str, Any] = measure(rival, options.episodes, options.seed).summary()
        if rival.config.policy.mutex is not None:
            for place, steps in (("course", steps_on_the_course), ("level", steps_on_the_level)):
                switches, falls = switches_and_falls(steps(rival, options.episodes, options.seed))
                result[place] = {"switches": switches, "falls": falls}
        results[rival.name] = result
        rows.append([rival.name, *_shown(result)])
    title = f"{options.episodes} episodes from seed {options.seed}"
    columns = ("policy", "success, %", "speed, m/s", "switches, falls soon after", "the same on level ground")
    report(title, columns, rows, results, options.json, ("poise", "mujoco", "torch"))


def _shown(result: dict[str, Any]) -> list[str]:
    rate = {key: 100.0 * value for key, value in result["success_rate"].items()}
    counted = [
        f"{result[place]['switches']}, {result[place]['falls']}" if place in result else "–"
        for place in ("course", "level")
    ]
    return [f"{rate['mean']:.1f} ({rate['low']:.1f} to {rate['high']:.1f})", f"{result['speed']['mean']:.3f}", *counted]


if __name__ == "__main__":
    main()
