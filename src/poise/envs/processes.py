"""Environments side by side in several processes, for those whose simulation or renderer keeps a core busy."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array, iterate
from numpy.typing import NDArray

from poise.cores import available_cores
from poise.errors import PoiseError

MakeEnv = Callable[[], gym.Env[Any, Any]]


class ProcessVectorEnv(VectorEnv[Any, Any, Any]):
    """`num_envs` environments shared out among processes, each of which resets in the step that ends an episode.

    Everything is that of gymnasium's `SyncVectorEnv` with `AutoresetMode.SAME_STEP`, whatever the number of processes.
    Environments that nobody watches any more can be retired until the next reset: their steps cost nothing.

    Args:
        make: makes one environment.
        num_envs: how many.
        threads: processes, 0 for as many as there are cores; with 1 everything happens in this one.
    """

    def __init__(self, make: MakeEnv, num_envs: int, threads: int = 0) -> None:
        count = min(threads or available_cores(), num_envs)
        self.num_envs = num_envs
        self._shares = [len(part) for part in np.array_split(np.arange(num_envs), count)]
        self._ends = np.cumsum(self._shares)
        self._crews: list[Crew | RemoteCrew] = (
            [Crew(make, num_envs)] if count == 1 else [RemoteCrew(make, share) for share in self._shares]
        )
        first = self._crews[0]
        self.metadata = first.metadata | {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space, self.single_action_space = first.spaces
        self._spaces = [batch_space(self.single_observation_space, share) for share in self._shares]
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """New episodes; a seed is the first one's, and the others' follow it. Nobody is retired any more."""
        seeds = [None] * self.num_envs if seed is None else seed
        if isinstance(seeds, int):
            seeds = [seeds + number for number in range(self.num_envs)]
        results = self._all("reset", [(list(part), options) for part in self._parted(seeds)])
        return self._joined([result[0] for result in results]), self._told([result[1] for result in results])

    def step(self, actions: Any) -> tuple[Any, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """One decision each."""
        each = list(iterate(self.action_space, actions))
        results = self._all("step", [(part,) for part in self._parted(each)])
        reward, terminated, truncated = (np.concatenate([result[i] for result in results]) for i in (1, 2, 3))
        observation = self._joined([result[0] for result in results])
        return observation, reward, terminated, truncated, self._told([result[4] for result in results])

    def retire(self, which: NDArray[np.bool_]) -> None:
        """Let these (N,) stand still until the next reset: their observations stay, their rewards are 0."""
        self._all("retire", [(part,) for part in self._parted(which)])

    def render(self) -> tuple[Any, ...] | None:
        """What each draws of itself; None without a render mode."""
        drawn = [picture for part in self._all("render", [()] * len(self._crews)) for picture in part]
        return None if drawn[0] is None else tuple(drawn)

    def close_extras(self, **kwargs: Any) -> None:
        """Free the environments and end the processes."""
        for crew in self._crews:
            crew.close()

    def _parted(self, values: Any) -> list[Any]:
        """One part for each process."""
        return [values[end - share : end] for share, end in zip(self._shares, self._ends, strict=True)]

    def _all(self, what: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """What all answer, who work at the same time."""
        for crew, argument in zip(self._crews, arguments, strict=True):
            crew.ask(what, argument)
        return [crew.answer() for crew in self._crews]

    def _joined(self, observations: Sequence[Any]) -> Any:
        """The observation of all."""
        rows = [row for space, part in zip(self._spaces, observations, strict=True) for row in iterate(space, part)]
        return _stacked(self.single_observation_space, rows)

    def _told(self, infos: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The information of all, as one vector environment would give it."""
        known = {name: info[name] for info in infos for name in info}
        return {name: self._of_all(name, like, infos) for name, like in known.items()}

    def _of_all(self, name: str, like: Any, infos: Sequence[Mapping[str, Any]]) -> Any:
        if isinstance(like, dict):
            return self._told([info.get(name, {}) for info in infos])
        missing = [
            np.full((share, *like.shape[1:]), None if like.dtype == object else 0, like.dtype) for share in self._shares
        ]
        return np.concatenate([info.get(name, empty) for info, empty in zip(infos, missing, strict=True)])


def _stacked(space: gym.Space[Any], values: Sequence[Any]) -> Any:
    """Values of a space as one of many."""
    out: Any = create_empty_array(space, len(values))
    return concatenate(space, values, out)


class Retirable(gym.Wrapper[Any, Any, Any, Any]):
    """An environment that stands still once nobody watches it."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.retired = False
        self._last: Any = None

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        """A new episode."""
        self.retired = False
        self._last, info = self.env.reset(**options)
        return self._last, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """One decision, unless it is retired."""
        if self.retired:
            return self._last, 0.0, False, False, {}
        self._last, *rest = self.env.step(action)
        return self._last, *rest


class Crew:
    """Some of the environments, in this process."""

    def __init__(self, make: MakeEnv, count: int) -> None:
        makers = [lambda: Retirable(make())] * count
        self._env = SyncVectorEnv(makers, copy=False, autoreset_mode=AutoresetMode.SAME_STEP)
        self._answer: Any = None

    @property
    def metadata(self) -> dict[str, Any]:
        return dict(self._env.metadata)

    @property
    def spaces(self) -> tuple[gym.Space[Any], gym.Space[Any]]:
        """Of one observation and one action."""
        return self._env.single_observation_space, self._env.single_action_space

    def ask(self, what: str, arguments: tuple[Any, ...]) -> None:
        """Have something done."""
        self._answer = getattr(self, f"_{what}")(*arguments)

    def answer(self) -> Any:
        """What came of it."""
        return self._answer

    def close(self) -> None:
        """Free the environments."""
        self._env.close()

    def _reset(self, seeds: list[int | None], options: dict[str, Any] | None) -> Any:
        return self._env.reset(seed=seeds, options=options)

    def _step(self, actions: Sequence[Any]) -> Any:
        return self._env.step(_stacked(self._env.single_action_space, actions))

    def _render(self) -> list[Any]:
        return [env.render() for env in self._env.envs]

    def _retire(self, which: NDArray[np.bool_]) -> None:
        for env, retired in zip(self._env.envs, which, strict=True):
            env.retired = env.retired or bool(retired)  # type: ignore[attr-defined]


class RemoteCrew:
    """The same in a process of its own."""

    def __init__(self, make: MakeEnv, count: int) -> None:
        methods = multiprocessing.get_all_start_methods()
        context: Any = multiprocessing.get_context("fork" if "fork" in methods else "spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, make, count), daemon=True)
        self._process.start()
        theirs.close()
        self.metadata, self.spaces = self.answer()

    def ask(self, what: str, arguments: tuple[Any, ...]) -> None:
        """Have something done, and go on."""
        self._pipe.send((what, arguments))

    def answer(self) -> Any:
        """What came of it, when it is done.

        Raises:
            Exception: whatever was raised there.
        """
        try:
            fine, result = self._pipe.recv()
        except (EOFError, ConnectionError) as error:
            raise PoiseError(
                f"a process of environments died (exit code {self._process.exitcode}), perhaps for want of memory; "
                "try fewer environments or threads"
            ) from error
        if not fine:
            raise result
        return result

    def close(self) -> None:
        """End the process."""
        if self._process.is_alive():
            with suppress(ConnectionError):
                self._pipe.send(("close", ()))
            self._process.join(timeout=5.0)
        if self._process.is_alive():
            self._process.terminate()
        self._pipe.close()


def _work(pipe: Connection, make: MakeEnv, count: int) -> None:
    """The other process: does what it is asked until it is told to stop, or nobody is left to ask."""
    try:
        crew = Crew(make, count)
        pipe.send((True, (crew.metadata, crew.spaces)))
        while True:
            what, arguments = pipe.recv()
            if what == "close":
                crew.close()
                return
            crew.ask(what, arguments)
            pipe.send((True, crew.answer()))
    except (EOFError, KeyboardInterrupt):
        return
    except Exception as error:
        pipe.send((False, error))
