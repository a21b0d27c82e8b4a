import time
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import imageio.v3 as iio
import imageio_ffmpeg
import numpy as np
import pytest

from poise.errors import InvalidValueError, PoiseError
from poise.training.mp4 import mp4_writer
from poise.training.overlay import SUCCESS, draw_alert, draw_readouts
from poise.training.video import record_video

BALLBOT = "poise/Ballbot-v0"
SMALL: dict[str, Any] = {"width": 128, "height": 96}


class Still:
    """Does nothing, which a ballbot survives for about half a second."""

    def __init__(self, env: Any) -> None:
        self._shape = env.action_space.shape

    def act(self, observation: Any) -> Any:
        return np.zeros(self._shape, np.float32)

    def reset(self, dones: Any) -> None:
        pass


class Painter(gym.Env[Any, Any]):
    """Shows the number of its step as a grey level; ends after 20 steps, or fails after 3."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 10}
    observation_space = gym.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, render_mode: str | None = None, fails: bool = False) -> None:
        self.render_mode = render_mode
        self._last = 3 if fails else 20
        self._fails = fails

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        self._step = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._step += 1
        over = self._step >= self._last
        return np.zeros(1, np.float32), 0.0, over and self._fails, over and not self._fails, {}

    def render(self) -> Any:
        return np.full((97, 131, 3), 10 * self._step, np.uint8)


@pytest.fixture
def painter() -> Any:
    gym.register("Painter-v0", Painter)
    yield "Painter-v0"
    del gym.registry["Painter-v0"]


def test_a_ballbots_video_has_the_pictures_asked_for_in_real_time(tmp_path: Path) -> None:
    options = {"decimation": 5, "cameras": {"enabled": False}, "max_steps": 10, "max_tilt": 90.0}
    told: list[tuple[int, int]] = []
    path = record_video(
        Still, BALLBOT, options, tmp_path / "new" / "a.mp4", 0.4, on_frame=lambda *it: told.append(it), **SMALL
    ).path
    assert iio.imread(path).shape == (10, 96, 128, 3)  # 0.4 s at 25 a second, though the step limit is 0.02 s
    facts = iio.immeta(path)
    assert facts["fps"] == pytest.approx(25.0)
    assert facts["codec"] == "h264"
    assert facts["pix_fmt"].startswith("yuv420p")
    assert told == [(i, 10) for i in range(1, 11)]
    assert list(path.parent.iterdir()) == [path]


def test_a_player_can_begin_before_the_whole_file_is_there(tmp_path: Path) -> None:
    with mp4_writer(tmp_path / "a.mp4", 25) as write:
        write(np.zeros((64, 64, 3), np.uint8))
    content = (tmp_path / "a.mp4").read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")


def test_a_fall_ends_the_video_with_its_last_picture_held(tmp_path: Path) -> None:
    options = {"decimation": 10, "cameras": {"enabled": False}}
    told: list[tuple[int, int]] = []
    filmed = record_video(
        Still, BALLBOT, options, tmp_path / "a.mp4", 8.0, on_frame=lambda *it: told.append(it), **SMALL
    )
    assert told[-2][1] == 200
    assert told[-1] == (len(told) - 1, len(told) - 1)  # there are no more to come
    assert 0.2 < filmed.seconds < 2.0
    assert filmed.end == f"fell after {filmed.seconds:.1f} s"
    assert str(filmed).startswith(f"return {filmed.total_return:.1f} in {filmed.seconds:.1f} s, ")
    pictures = iio.imread(filmed.path).astype(float)
    assert 26 < len(pictures) < 60  # a fall takes half a second, and the last picture stays for one
    moving = np.abs(np.diff(pictures, axis=0)).mean(axis=(1, 2, 3))
    assert moving[:5].min() > 10 * moving[-20:].mean()
    assert _redness(pictures[-1]) > _redness(pictures[0]) + 40  # the sentence at the lower left


def _redness(picture: Any) -> float:
    return float((picture[85:88, 6:12, 0] - picture[85:88, 6:12, 2]).mean())


def test_what_is_filmed_is_the_whole_time_asked_for(tmp_path: Path) -> None:
    """The last picture is that of the beginning of the last twenty-fifth of a second; the return is of all of it."""
    options = {"decimation": 5, "cameras": {"enabled": False}, "max_tilt": 90.0, "rewards": {"directional": 0.0}}
    filmed = record_video(Still, BALLBOT, options, tmp_path / "a.mp4", 0.4, **SMALL)
    assert filmed.seconds == pytest.approx(0.4)
    assert filmed.total_return == pytest.approx(200 * 0.02)
    assert filmed.end == "did not fall"
    assert filmed.travelled is not None
    assert filmed.travelled < 0.5


def test_the_seed_determines_the_video(tmp_path: Path) -> None:
    options = {"decimation": 10}
    first, again, other = (
        record_video(Still, BALLBOT, options, tmp_path / f"{i}.mp4", 0.2, seed=seed, **SMALL).path.read_bytes()
        for i, seed in enumerate((5, 5, 6))
    )
    assert first == again
    assert first != other


def test_other_environments_draw_themselves(tmp_path: Path, painter: str) -> None:
    path = record_video(Still, painter, {}, tmp_path / "a.mp4", 1.0).path
    pictures = iio.imread(path)
    assert pictures.shape == (10, 96, 130, 3)  # at the 10 a second it asks for; an odd line and column are left away
    np.testing.assert_allclose(pictures[:, 80, 100].mean(axis=-1), 10 * np.arange(10), atol=4)
    whole = record_video(Still, painter, {}, tmp_path / "b.mp4", 60.0).path
    assert len(iio.imread(whole)) == 20  # the episode's, and nothing of the next
    failed = iio.imread(record_video(Still, painter, {"fails": True}, tmp_path / "c.mp4", 60.0).path)
    assert len(failed) == 3 + 10
    assert failed[:, 20, 100].mean(axis=-1).max() < 25  # never the picture of an episode after the failure


class Judge(Painter):
    """Tells of success: of the steps when it ends by itself, of none when time ends it."""

    def __init__(self, render_mode: str | None = None, fails: bool = False, solved: bool = False) -> None:
        super().__init__(render_mode, fails)
        self._solved = solved

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        *rest, terminated, truncated, _ = super().step(action)
        return *rest, terminated, truncated, {"success": terminated and self._solved}


@pytest.fixture
def judge() -> Any:
    gym.register("Judge-v0", Judge, max_episode_steps=30)
    yield "Judge-v0"
    del gym.registry["Judge-v0"]


def test_who_tells_of_success_is_believed(tmp_path: Path, judge: str) -> None:
    def film(seconds: float = 60.0, **options: Any) -> Any:
        return record_video(Still, judge, options, tmp_path / "a.mp4", seconds)

    assert film().end == "did not succeed"  # though the next episode begins in the same step
    assert film(1.0).end == "did not succeed"
    for solved, end, strong in ((False, "ended after 0.3 s", 0), (True, "succeeded after 0.3 s", 1)):
        made = film(fails=True, solved=solved)
        assert made.end == end
        badge = iio.imread(made.path)[-1][92:94, 6:12].mean(axis=(0, 1))
        assert badge.argmax() == strong  # red is what has failed, green what has not


def test_who_tells_of_no_success_did_not_fail(tmp_path: Path, painter: str) -> None:
    assert record_video(Still, painter, {}, tmp_path / "a.mp4", 60.0).end == "did not fail"


def test_no_more_pictures_are_expected_than_an_episode_has(tmp_path: Path, judge: str) -> None:
    told: list[tuple[int, int]] = []
    record_video(Still, judge, {}, tmp_path / "a.mp4", 60.0, on_frame=lambda *it: told.append(it))
    assert told[0] == (1, 30)
    assert told[-1] == (20, 20)


def test_an_environment_without_pictures_is_refused(tmp_path: Path) -> None:
    gym.register("Blind-v0", lambda: gym.wrappers.TimeLimit(Blind(), 10))
    try:
        with pytest.raises(PoiseError, match=r"'Blind-v0' has no render mode 'rgb_array'"):
            record_video(Still, "Blind-v0", {}, tmp_path / "a.mp4")
    finally:
        del gym.registry["Blind-v0"]
    assert list(tmp_path.iterdir()) == []


class Unequipped(Painter):
    """Finds out what it lacks when it draws."""

    def render(self) -> Any:
        raise gym.error.DependencyNotInstalled(
            'pygame is not installed, run `pip install "gymnasium[classic-control]"`'
        )


def test_what_it_lacks_to_draw_is_named(tmp_path: Path) -> None:
    gym.register("Unequipped-v0", Unequipped)
    try:
        with pytest.raises(PoiseError, match=r"cannot draw itself: pygame is not installed, run `pip install"):
            record_video(Still, "Unequipped-v0", {}, tmp_path / "a.mp4")
    finally:
        del gym.registry["Unequipped-v0"]
    assert list(tmp_path.iterdir()) == []


class Blind(Painter):
    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["human"]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": "a.gif"}, "must end in .mp4"),
        ({"seconds": 0.0}, "expected up to 3600 seconds"),
        ({"seconds": float("nan")}, "expected up to 3600 seconds"),
        ({"fps": -5.0}, "expected up to 3600 seconds and up to 240 pictures a second, got 8.0 and -5.0"),
        ({"width": 641}, "must be even and from 64x64 to 3840x2160, got 641x480"),
        ({"height": 4000}, "must be even and from 64x64"),
    ],
)
def test_impossible_videos_are_refused(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        record_video(Still, BALLBOT, {}, **{"path": tmp_path / "a.mp4", **arguments})


def test_a_failure_leaves_the_old_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")

    with pytest.raises(KeyboardInterrupt):
        _write(path, interrupt=True)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/bin/false")
    with pytest.raises(PoiseError, match=r"cannot write .*a\.mp4"):
        _write(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def _write(path: Path, interrupt: bool = False) -> None:
    with mp4_writer(path, 25) as write:
        for _ in range(50):
            write(np.zeros((64, 64, 3), np.uint8))
            time.sleep(0.001)
            if interrupt:
                raise KeyboardInterrupt


def test_a_full_disk_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoder ends quietly; what it wrote is counted."""
    monkeypatch.setattr(imageio_ffmpeg, "count_frames_and_secs", lambda path: (1, 0.04))
    with pytest.raises(PoiseError, match="only part of the video was written"):
        _write(tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []


def test_what_is_drawn_stays_in_its_corner() -> None:
    picture = np.full((480, 640, 3), 100, np.uint8)
    told = draw_readouts(picture, {"time": "1.0 s", "tilt": "3.0°"})
    assert (told[:70, :220] != 100).any()
    assert (told[70:] == 100).all()
    assert (told[:, 240:] == 100).all()
    warned = draw_alert(picture, "fell after 1.0 s")
    assert (warned[:430] == 100).all()
    assert tuple(warned[450, 15]) > (150, 0, 0)
    assert draw_alert(picture, "succeeded after 1.0 s", SUCCESS)[450, 15].argmax() == 1
    assert (picture == 100).all()
