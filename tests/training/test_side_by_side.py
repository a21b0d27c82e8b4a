"""Several episodes in one video."""

from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import imageio.v3 as iio
import numpy as np
import pytest
from gymnasium.envs.registration import register

from poise.errors import InvalidValueError, PoiseError
from poise.policies.baselines import do_nothing
from poise.training.side_by_side import FAILURE, SUCCESS, record_side_by_side


class Lamp(gym.Env[Any, Any]):
    """White pictures; succeeds after as many steps as its seed tells if that is even, and fails if it is odd."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 10}
    observation_space = gym.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self._steps, self._last = 0, 3 if seed is None else seed
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> Any:
        self._steps += 1
        over = self._steps == self._last
        return np.zeros(1, np.float32), 0.0, over, False, {"success": over and self._last % 2 == 0}

    def render(self) -> Any:
        return np.full((60, 40, 3), 255, np.uint8)


register("Lamp-v0", Lamp)


def test_each_episode_is_framed_by_how_it_ended(tmp_path: Path) -> None:
    """Seeds 2, 3 and 4 in two rows of two; the last ends after 4 steps, then 1.5 s pass."""
    told: list[tuple[int, int]] = []
    made = record_side_by_side(
        do_nothing, "Lamp-v0", {}, tmp_path / "a.mp4", 3, 8.0, 2, side=60, on_frame=lambda *at: told.append(at)
    )
    assert made.successes.tolist() == [True, False, True]
    assert str(made) == "2 of 3 succeeded"
    assert told == [*((step, 80) for step in (1, 2, 3, 4)), (4, 4)]  # there are no more to come
    frames = iio.imread(tmp_path / "a.mp4")
    assert frames.shape == (4 + 15, 2 * (60 + 12), 2 * (40 + 12), 3)
    last = frames[-1].astype(int)
    for row, column, colour in ((0, 0, SUCCESS), (0, 1, FAILURE), (1, 0, SUCCESS)):
        top, left = row * 72, column * 52
        assert np.abs(last[top + 2, left + 26] - colour).max() < 40
        assert last[top + 36, left + 26].min() > 230
    assert last[110, 80].max() < 25, "nothing is where there is no fourth"
    np.testing.assert_array_less(np.abs(frames[0].astype(int)[2, 26] - frames[0].astype(int)[2, 78]), 12)


def test_no_more_pictures_are_expected_than_an_episode_can_have(tmp_path: Path) -> None:
    register("ShortLamp-v0", Lamp, max_episode_steps=5)
    told: list[tuple[int, int]] = []
    record_side_by_side(
        do_nothing, "ShortLamp-v0", {}, tmp_path / "a.mp4", 2, 8.0, 6, side=60, on_frame=lambda *at: told.append(at)
    )
    assert told == [(step, 5) for step in (1, 2, 3, 4, 5)]


def test_what_cannot_be_shown(tmp_path: Path) -> None:
    def show(env_id: str, name: str = "a.mp4") -> None:
        record_side_by_side(do_nothing, env_id, {}, tmp_path / name, 2, 1.0, 0)

    with pytest.raises(InvalidValueError, match=r"must end in \.mp4"):
        show("Lamp-v0", "a.gif")
    with pytest.raises(InvalidValueError, match="shown one at a time"):
        show("poise/Ballbot-v0")
    with pytest.raises(PoiseError, match="unknown environment 'Lomp-v0'"):
        show("Lomp-v0")
    assert not list(tmp_path.iterdir())
