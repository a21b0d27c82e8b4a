"""How good a policy is: whole episodes on given seeds, with intervals."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from poise.cores import torch_threads
from poise.errors import InvalidValueError, PoiseError
from poise.files import explained
from poise.policies import Agent
from poise.training.environments import retire, steps_per_action, successes_of_step, told_of_step, within_bounds
from poise.training.statistics import Interval, mean_interval, wilson_interval

EVALUATIONS = "evaluations.json"
"""What a run's evaluations said while it learned: a list of summaries, each with its step."""


@dataclass(frozen=True)
class Evaluation:
    """Outcomes of E episodes, one entry each; episode i ran on seed `seed + i`."""

    seed: int
    returns: list[float]
    lengths: list[int]
    """In time steps of the physics, whatever the policy's decimation."""
    successes: list[bool]
    """The episode reached its step limit, or what the environment calls a success."""
    speeds: list[float]
    """Mean speed along the goal, m/s; not a number for environments without one."""
    distances: list[float] = field(default_factory=list)
    """At the end, from where something is to be, m; empty for environments that do not tell."""

    def summary(self) -> dict[str, Any]:
        """Means with 95 % intervals: Student's for means, Wilson's for the success rate.

        `time_to_success` is the length of the episodes that succeeded, `distance` the one at the end of all.
        """
        succeeded = wilson_interval(sum(self.successes), len(self.successes))
        result: dict[str, Any] = {
            "episodes": len(self.returns),
            "seed": self.seed,
            "success_rate": _report(sum(self.successes) / len(self.successes), succeeded),
        }
        arrived = [length for length, success in zip(self.lengths, self.successes, strict=True) if success]
        result["time_to_success"] = _average(arrived)
        result["distance"] = _average(self.distances, least=0.0)
        for name, values in (("return", self.returns), ("length", self.lengths), ("speed", self.speeds)):
            result[name] = _average(values)
        return result

    def metric(self, name: str) -> float:
        """The mean of 'return', 'speed' or 'success_rate'.

        Raises:
            InvalidValueError: the environment does not report it.
        """
        mean = self.summary()[name]["mean"]
        if mean is None:
            raise InvalidValueError(f"the environment reports no {name}; set evaluation.metric to 'return'")
        return float(mean)

    def to_json(self) -> dict[str, Any]:
        """Summary and episodes, without values JSON does not know."""
        episodes = {key: [_finite(v) for v in value] for key, value in asdict(self).items() if key != "seed"}
        return {"summary": self.summary(), "episodes": episodes}


def evaluate(
    agent_for: Callable[[VectorEnv[Any, Any, Any]], Agent],
    make_env: Callable[[int], VectorEnv[Any, Any, Any]],
    episodes: int,
    seed: int,
    max_parallel: int = 100,
    on_step: Callable[[int], None] | None = None,
) -> Evaluation:
    """Run each of the seeds `seed ... seed + episodes - 1` for one episode, without exploration.

    Args:
        agent_for: makes the agent for an environment.
        make_env: makes a vector environment of the given number.
        episodes: how many.
        seed: of the first.
        max_parallel: episodes side by side; the outcome does not depend on it, unless the agent draws at random (as
            `random` does, and a mutex that commands velocities from ranges), for it draws for all together.
        on_step: told after every step how many episodes are over.
    """
    parts = []
    env: VectorEnv[Any, Any, Any] | None = None
    try:
        for start in range(0, episodes, max_parallel):
            count = min(max_parallel, episodes - start)
            if env is None or env.num_envs != count:
                if env is not None:
                    env.close()
                env = make_env(count)
            with torch_threads(1):
                parts.append(_run(agent_for(env), env, seed + start, _counted(on_step, start)))
    finally:
        if env is not None:
            env.close()
    merged = {key: np.concatenate([part[key] for part in parts]).tolist() for key in parts[0]}
    if np.isnan(merged["distances"]).all():
        merged["distances"] = []
    return Evaluation(seed=seed, **merged)


def read_evaluations(run: Path) -> list[dict[str, Any]]:
    """The summaries in a run's folder, each with its step; none if it has not been evaluated.

    Raises:
        PoiseError: the file is damaged.
    """
    path = run / EVALUATIONS
    if not path.exists():
        return []
    with explained(f"read {path}"):
        content = path.read_bytes()
    try:
        history: list[dict[str, Any]] = json.loads(content)
        for entry in history:
            _ = int(entry["step"]), entry["return"]["mean"], entry["success_rate"]["mean"], entry["speed"]["mean"]
    except (ValueError, KeyError, TypeError) as error:
        raise PoiseError(f"{path} is damaged; remove it to do without the evaluations") from error
    return history


def _run(
    agent: Agent, env: VectorEnv[Any, Any, Any], seed: int, on_step: Callable[[int], None]
) -> dict[str, NDArray[Any]]:
    """One episode of each environment; those that are over go on unobserved until the last is, or are retired."""
    count = env.num_envs
    observation, _ = env.reset(seed=seed)  # environment i gets seed + i
    running = np.ones(count, np.bool_)
    returns, lengths, speeds = np.zeros(count), np.zeros(count, np.int64), np.zeros(count)
    successes, distances = np.zeros(count, np.bool_), np.full(count, np.nan)
    while running.any():
        actions = within_bounds(agent.act(observation), env)
        observation, reward, terminated, truncated, info = env.step(actions)
        returns += np.where(running, reward, 0.0)
        lengths += running
        speeds += np.where(running, told_of_step(info, "speed", np.full(count, np.nan)), 0.0)
        done = terminated | truncated
        successes |= running & done & successes_of_step(info, truncated)
        distance = told_of_step(info, "distance", np.full(count, np.nan))
        distances = np.where(running & done, distance, distances)
        running &= ~done
        agent.reset(done)
        retire(env, ~running)
        on_step(int(count - running.sum()))
    return {
        "returns": returns,
        "lengths": lengths * steps_per_action(env),
        "successes": successes,
        "speeds": speeds / lengths,
        "distances": distances,
    }


def _counted(on_step: Callable[[int], None] | None, before: int) -> Callable[[int], None]:
    """Adds the episodes that were over `before` these."""
    return lambda count: on_step(before + count) if on_step else None


def _average(values: Sequence[float], least: float = -np.inf) -> dict[str, float | None]:
    """A mean with its interval, none of it below the `least`; neither, where there is nothing to average."""
    if not values:
        return {"mean": None, "low": None, "high": None}
    low, high = mean_interval(values)
    return _report(sum(values) / len(values), Interval(max(low, least), high))


def _report(mean: float, interval: Interval) -> dict[str, float | None]:
    return {"mean": _finite(mean), "low": _finite(interval.low), "high": _finite(interval.high)}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value
