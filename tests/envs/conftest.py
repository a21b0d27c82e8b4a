"""Ballbots that are closed when a test is over."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from poise.envs import BallbotEnv, BallbotVectorEnv

BLIND = {"cameras": {"enabled": False}}


@pytest.fixture
def make_robots() -> Iterator[Callable[..., BallbotVectorEnv]]:
    """`make_robots(num_envs, **options)`: without cameras unless the options say otherwise."""
    made: list[BallbotVectorEnv] = []

    def make(num_envs: int, **options: Any) -> BallbotVectorEnv:
        made.append(BallbotVectorEnv(num_envs, **(BLIND | options)))
        return made[-1]

    yield make
    for env in made:
        env.close()


@pytest.fixture
def make_robot() -> Iterator[Callable[..., BallbotEnv]]:
    """`make_robot(**options)`: one robot, without cameras unless the options say otherwise."""
    made: list[BallbotEnv] = []

    def make(**options: Any) -> BallbotEnv:
        made.append(BallbotEnv(**(BLIND | options)))
        return made[-1]

    yield make
    for env in made:
        env.close()
