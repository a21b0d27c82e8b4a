"""Demonstrations in LeRobot's format: what is written, read again, and damaged."""

import inspect
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import pyarrow
import pyarrow.parquet as parquet
import pytest

from poise.errors import InvalidValueError, MissingFileError, PoiseError
from poise.imitation import Demonstration, Demonstrations, DemonstrationWriter

COMPONENTS = {"image": (3, 12, 16), "state": (3,), "load": (1,)}
DATA, EPISODES = "data/chunk-000/file-{:03d}.parquet", "meta/episodes/chunk-000/file-{:03d}.parquet"


def demonstration(number: int) -> Demonstration:
    """Of 4 decisions and one more for each number."""
    generator, length = np.random.default_rng(number), 4 + number
    observation = {
        "image": generator.integers(0, 256, (length, 3, 12, 16)).astype(np.uint8),
        "state": generator.normal(size=(length, 3)).astype(np.float32),
        "load": generator.normal(size=(length, 1)).astype(np.float32),
    }
    return Demonstration(observation, generator.uniform(-1, 1, (length, 2)).astype(np.float32), {"seed": number})


MADE = [demonstration(number) for number in range(5)]


def writer(folder: Path, **changes: Any) -> DemonstrationWriter:
    given: dict[str, Any] = {"components": COMPONENTS, "action_width": 2, "fps": 25, "task": "push"}
    return DemonstrationWriter(folder, **(given | changes))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five, in three files."""
    first = writer(tmp_path / "demos")
    first.write(MADE[:2])
    first.write(MADE[2:4])
    writer(tmp_path / "demos").write(MADE[4:])
    return tmp_path / "demos"


def check(loaded: Sequence[Any], numbers: Sequence[int]) -> None:
    assert [one.number for one in loaded] == list(numbers)
    for one in loaded:
        made = MADE[one.number]
        assert (one.actions == made.actions).all()
        assert all((one.observation[name] == made.observation[name]).all() for name in COMPONENTS)


def test_what_is_written_is_read_again(folder: Path) -> None:
    demonstrations = Demonstrations(folder)
    assert demonstrations.components == COMPONENTS
    assert len(demonstrations) == 5
    check(demonstrations.load(), range(5))
    check(demonstrations.load([3, 1]), [1, 3])
    (one,) = Demonstrations(folder, ["state"]).load([2])
    assert list(one.observation) == ["state"]
    assert [note["seed"] for note in writer(folder).notes] == list(range(5))


def test_the_layout_is_lerobots(folder: Path) -> None:
    info = json.loads((folder / "meta/info.json").read_text())
    frames = sum(len(one) for one in MADE)
    assert (info["codebase_version"], info["fps"], info["total_episodes"], info["total_frames"]) == (
        "v3.0",
        25,
        5,
        frames,
    )
    assert info["splits"] == {"train": "0:5"}
    assert info["features"]["observation.image"] == {
        "dtype": "image",
        "shape": [12, 16, 3],
        "names": ["height", "width", "channels"],
    }
    table = parquet.read_table(folder / DATA.format(1))
    assert table.column_names == list(info["features"])
    assert table["episode_index"].to_pylist() == [2] * 6 + [3] * 7
    assert table["index"].to_pylist() == list(range(9, 22))
    assert table["timestamp"].to_pylist()[:3] == pytest.approx([0.0, 0.04, 0.08])
    assert table["observation.load"].to_pylist() == pytest.approx(
        np.concatenate([MADE[2].observation["load"], MADE[3].observation["load"]])[:, 0]
    )
    assert set(table["observation.image"][0].as_py()) == {"bytes", "path"}
    rows = parquet.read_table(folder / EPISODES.format(2)).to_pylist()
    assert [(row["episode_index"], row["length"], row["data/file_index"], row["tasks"]) for row in rows] == [
        (4, 8, 2, ["push"])
    ]
    assert (rows[0]["dataset_from_index"], rows[0]["dataset_to_index"]) == (22, 30)
    tasks = parquet.read_table(folder / "meta/tasks.parquet")
    assert json.loads(tasks.schema.metadata[b"pandas"])["index_columns"] == ["task"]
    assert tasks.to_pydict() == {"task_index": [0], "task": ["push"]}


def test_statistics_are_those_of_all_frames_together(folder: Path) -> None:
    told = json.loads((folder / "meta/stats.json").read_text())
    states = np.concatenate([one.observation["state"] for one in MADE])
    images = np.concatenate([one.observation["image"] for one in MADE]) / 255.0
    for name in ("min", "max", "mean", "std"):
        assert told["observation.state"][name] == pytest.approx(getattr(states, name)(axis=0), abs=1e-6)
        expected = getattr(images, name)(axis=(0, 2, 3)).reshape(3, 1, 1)
        assert np.asarray(told["observation.image"][name]) == pytest.approx(expected, abs=1e-6)
    assert told["action"]["count"] == [30]


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_a_crash_left_behind_is_written_over_by_who_goes_on(folder: Path) -> None:
    whole = contents(folder)
    info = folder / "meta/info.json"
    before = json.loads(info.read_text())
    info.write_text(json.dumps(before | {"total_episodes": 4, "total_frames": 22}))  # the last was not told of yet
    check(Demonstrations(folder).load(), range(4))
    crashed = contents(folder)
    again = writer(folder)
    assert contents(folder) == crashed
    again.write(MADE[4:])
    assert contents(folder) == whole


def test_data_that_others_laid_out_are_not_gone_on_with(folder: Path) -> None:
    """One file may describe the frames of several."""
    described = [folder / EPISODES.format(number) for number in range(3)]
    merged = pyarrow.concat_tables([parquet.read_table(path) for path in described])
    for path in described:
        path.unlink()
    parquet.write_table(merged, described[0])
    before = contents(folder)
    with pytest.raises(InvalidValueError, match="others wrote it, or it is damaged, and nothing can be added"):
        writer(folder)
    assert contents(folder) == before
    check(Demonstrations(folder).load(), range(5))


def test_demonstrations_of_another_task_are_not_added(folder: Path) -> None:
    before = contents(folder)
    with pytest.raises(InvalidValueError, match="holds demonstrations of the task '.*', not of 'something else'"):
        writer(folder, task="something else")
    assert contents(folder) == before


def test_data_that_lie_elsewhere_are_not_gone_on_with(folder: Path) -> None:
    (folder / DATA.format(0)).rename(folder / "data/all.parquet")
    _tell(folder, data_path="data/all.parquet")
    before = contents(folder)
    with pytest.raises(InvalidValueError, match="nothing can be added"):
        writer(folder)
    assert contents(folder) == before


def test_files_of_others_stay_where_they_are(folder: Path) -> None:
    others = [folder / kind / "chunk-000/backup.parquet" for kind in ("data", "meta/episodes")]
    for path in others:
        shutil.copy(path.with_name("file-000.parquet"), path)
    writer(folder).write([demonstration(5)])
    assert all(path.read_bytes() == path.with_name("file-000.parquet").read_bytes() for path in others)
    check(Demonstrations(folder).load(range(5)), range(5))
    assert len(Demonstrations(folder).load()) == 6


def _tell(folder: Path, **changes: Any) -> None:
    path = folder / "meta/info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _tell_of_image(folder: Path, **changes: Any) -> None:
    features = json.loads((folder / "meta/info.json").read_text())["features"]
    features["observation.image"] |= changes
    _tell(folder, features=features)


def _rewrite(path: Path, **columns: Any) -> None:
    table = parquet.read_table(path)
    rows = table.to_pylist()
    for name, change in columns.items():
        for number, row in enumerate(rows):
            row[name.replace("__", ".")] = change(number, row[name.replace("__", ".")])
    parquet.write_table(pyarrow.Table.from_pylist(rows, table.schema), path)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def _without_rows(path: Path) -> None:
    parquet.write_table(parquet.read_table(path).slice(0, 8), path)


def _without_column(path: Path) -> None:
    parquet.write_table(parquet.read_table(path).drop(["action"]), path)


def _ragged(path: Path) -> None:
    table = parquet.read_table(path)
    actions = table["action"].to_pylist()
    actions[3] = actions[3][:1]
    parquet.write_table(table.set_column(table.column_names.index("action"), "action", pyarrow.array(actions)), path)


def _with_pictures(path: Path, change: Any) -> None:
    """Stored as `change` makes them of their bytes."""
    table = parquet.read_table(path)
    stored = pyarrow.array([change(row["bytes"]) for row in table["observation.image"].to_pylist()])
    parquet.write_table(table.set_column(0, "observation.image", stored), path)


DAMAGES: dict[str, tuple[Any, list[int], str]] = {
    "a file cut short": (_truncate, [0, 1, 4], "is damaged"),
    "a file that is gone": (Path.unlink, [0, 1, 4], "no such file"),
    "frames that are missing": (_without_rows, [0, 1, 2, 4], "it has 2 frames, expected 7"),
    "a column that is missing": (_without_column, [0, 1, 4], "no column 'action'"),
    "a picture that is none": (
        lambda path: _rewrite(path, observation__image=lambda n, old: {"bytes": b"x", "path": None} if n == 9 else old),
        [0, 1, 2, 4],
        "a picture of observation.image is damaged (it is of no known format)",
    ),
    "a picture that is missing": (
        lambda path: _rewrite(path, observation__image=lambda n, old: None if n == 9 else old),
        [0, 1, 2, 4],
        "a picture of observation.image is missing",
    ),
    "a picture that is nowhere": (
        lambda path: _rewrite(path, observation__image=lambda n, old: dict.fromkeys(old) if n == 9 else old),
        [0, 1, 2, 4],
        "a picture of observation.image is missing",
    ),
    "pictures that are bare bytes": (
        lambda path: _with_pictures(path, lambda content: content),
        [0, 1, 4],
        "a picture of observation.image is bytes, expected a struct of bytes and path",
    ),
    "pictures that are text": (
        lambda path: _with_pictures(path, lambda content: {"bytes": "picture", "path": None}),
        [0, 1, 4],
        "a picture of observation.image is str, expected a struct of bytes and path",
    ),
    "actions that are no numbers": (
        lambda path: _rewrite(path, action=lambda n, old: [float("nan"), 0.0] if n == 0 else old),
        [0, 1, 3, 4],
        "action holds numbers that are not finite",
    ),
    "an action that is missing": (
        lambda path: _rewrite(path, action=lambda n, old: None if n == 7 else old),
        [0, 1, 2, 4],
        "action must be 2 numbers in each frame",
    ),
    "an action that is too short": (_ragged, [0, 1, 3, 4], "action must be 2 numbers in each frame"),
    "frames that are doubled": (
        lambda path: _rewrite(path, frame_index=lambda n, old: 4 if n == 5 else old),
        [0, 1, 3, 4],
        "its frames are not numbered 0 to 5, each once",
    ),
    "a frame that has no number": (
        lambda path: _rewrite(path, frame_index=lambda n, old: None if n == 6 else old),
        [0, 1, 2, 4],
        "its frames are not numbered 0 to 6, each once",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_costs_the_episodes_it_is_in(folder: Path, damage: str) -> None:
    harm, left, said = DAMAGES[damage]
    harm(folder / DATA.format(1))
    before = contents(folder)
    demonstrations = Demonstrations(folder)
    with pytest.warns(UserWarning, match="are left out"):
        check(demonstrations.load(), left)
    assert sorted(demonstrations.damaged) == sorted(set(range(5)) - set(left))
    assert all(said in why for why in demonstrations.damaged.values())
    assert contents(folder) == before


def test_a_description_that_is_damaged_costs_its_episodes(folder: Path) -> None:
    _truncate(folder / EPISODES.format(0))
    said = "episodes 0-1: nothing describes it; .*chunk-000/file-000.parquet is damaged"
    with pytest.warns(UserWarning, match=said):
        check(Demonstrations(folder).load(), [2, 3, 4])


def test_every_episode_that_is_left_out_is_named_with_the_reason(folder: Path) -> None:
    writer(folder).write([demonstration(number) for number in range(5, 12)])
    for number, of in ((0, {0: None}), (2, {0: None}), (3, {0: 0, 2: None, 3: None, 4: None, 6: None})):
        path = folder / EPISODES.format(number)
        rows = parquet.read_table(path).to_pylist()
        for row, length in of.items():
            rows[row]["length"] = length
        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    with pytest.warns(UserWarning, match="are left out") as told:
        Demonstrations(folder, ["state"]).load()
    assert str(told[0].message) == (
        f"7 of the demonstrations in {folder} are left out (episodes 0, 4, 7-9, 11: its description tells no length; "
        "episode 5: it has 0 frames, expected 1 or more)"
    )
    with pytest.raises(PoiseError, match=r"can be used: episodes 8-9: its description tells no length$"):
        Demonstrations(folder).load([8, 9])


def test_damage_that_nobody_asked_for_is_not_warned_of(folder: Path, recwarn: pytest.WarningsRecorder) -> None:
    _truncate(folder / EPISODES.format(2))
    check(Demonstrations(folder).load(range(4)), range(4))
    path = folder / EPISODES.format(1)
    _rewrite(path, length=lambda n, old: 0)
    demonstrations = Demonstrations(folder)
    check(demonstrations.load(range(2)), range(2))
    assert sorted(demonstrations.damaged) == [2, 3, 4]
    assert not recwarn.list


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"length": 0}, "it has 0 frames, expected 1 or more"),
        ({"length": None}, "its description tells no length"),
        ({"data/file_index": None}, "its description tells no data/file_index"),
    ],
)
def test_a_description_of_no_use_costs_its_episode(folder: Path, told: dict[str, Any], said: str) -> None:
    path = folder / EPISODES.format(1)
    first, second = parquet.read_table(path).to_pylist()
    parquet.write_table(pyarrow.Table.from_pylist([first, second | told]), path)
    data = parquet.read_table(folder / DATA.format(1))
    parquet.write_table(data.slice(0, first["length"]), folder / DATA.format(1))
    demonstrations = Demonstrations(folder)
    with pytest.warns(UserWarning, match="are left out"):
        check(demonstrations.load(), [0, 1, 2, 4])
    assert demonstrations.damaged == {3: said}


def test_whole_numbers_may_be_floating_point_ones(folder: Path) -> None:
    """As pandas writes them beside one that is missing."""
    path = folder / EPISODES.format(1)
    table = parquet.read_table(path)
    for name in ("episode_index", "length", "data/file_index"):
        values = table[name].cast(pyarrow.float64())
        table = table.set_column(table.column_names.index(name), name, values)
    parquet.write_table(table, path)
    check(Demonstrations(folder).load(), range(5))


def test_descriptions_need_not_tell_where_in_the_whole_an_episode_is(folder: Path) -> None:
    for number in range(3):
        path = folder / EPISODES.format(number)
        parquet.write_table(parquet.read_table(path).drop(["dataset_from_index", "dataset_to_index"]), path)
    check(Demonstrations(folder).load(), range(5))


def test_frames_are_put_in_order(folder: Path) -> None:
    table = parquet.read_table(folder / DATA.format(1))
    parquet.write_table(table.take(list(range(12, -1, -1))), folder / DATA.format(1))
    check(Demonstrations(folder).load(), range(5))


def test_what_is_not_asked_for_is_not_read(folder: Path) -> None:
    path = folder / DATA.format(0)
    content, row_group = bytearray(path.read_bytes()), parquet.read_metadata(path).row_group(0)
    pictures = row_group.column(0)
    assert pictures.path_in_schema == "observation.image.bytes"
    start = pictures.dictionary_page_offset or pictures.data_page_offset
    content[start : start + pictures.total_compressed_size] = bytes(pictures.total_compressed_size)
    path.write_bytes(content)
    loaded = Demonstrations(folder, ["state"]).load()
    assert [one.number for one in loaded] == list(range(5))
    with pytest.warns(UserWarning, match="are left out"):
        check(Demonstrations(folder).load(), [2, 3, 4])


@pytest.mark.parametrize("channels", ["channel", "channels"])
def test_features_may_tell_of_channels_first(folder: Path, channels: str) -> None:
    _tell_of_image(folder, shape=[3, 12, 16], names=[channels, "height", "width"])
    demonstrations = Demonstrations(folder)
    assert demonstrations.components == COMPONENTS
    check(demonstrations.load(), range(5))
    assert Demonstrations(folder, size=(6, 8)).load([0])[0].observation["image"].shape == (4, 3, 6, 8)


@pytest.mark.parametrize(
    ("changes", "known"),
    [
        ({"data_path": "data/chunk-{episode_chunk:03d}/{episode_index:06d}.parquet"}, "{chunk_index}, {file_index}"),
        ({"data_path": "data/{video_key}.parquet"}, "{chunk_index}, {file_index}"),
        ({"data_path": "data/{}.parquet"}, "{chunk_index}, {file_index}"),
        ({"data_path": "data/{file_index:s}.parquet"}, "{chunk_index}, {file_index}"),
        ({"video_path": "{video_key}/{episode_index}.mp4"}, "{chunk_index}, {file_index}, {video_key}"),
        ({"video_path": "{video_key:03d}.mp4"}, "{chunk_index}, {file_index}, {video_key}"),
    ],
)
def test_patterns_of_paths_that_cannot_be_filled_in(folder: Path, changes: dict[str, str], known: str) -> None:
    _tell(folder, **changes)
    ((name, pattern),) = changes.items()
    with pytest.raises(InvalidValueError) as refused:
        Demonstrations(folder)
    said = f"{folder}/meta/info.json: {name} must have no placeholders but {known}, got '{pattern}'"
    assert str(refused.value) == said


@pytest.mark.parametrize("shape", [(2, 12, 16), (4, 12, 16), (12, 16, 4)])
def test_pictures_of_other_channels_are_neither_written_nor_read(folder: Path, shape: tuple[int, ...]) -> None:
    said = rf"the picture 'image' must have one channel or three to be kept, got {shape[0]} of shape \({shape[0]}, "
    with pytest.raises(InvalidValueError, match=said):
        writer(folder / "more", components=COMPONENTS | {"image": shape})
    assert not (folder / "more").exists()
    _tell_of_image(folder, shape=[*shape[1:], shape[0]])
    with pytest.raises(InvalidValueError, match=said):
        Demonstrations(folder)
    assert len(Demonstrations(folder, ["state"]).load()) == 5


def test_grey_pictures_are_read_as_written(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (4, 1, 12, 16)).astype(np.uint8)
    writer(tmp_path, components={"image": (1, 12, 16)}).write([Demonstration({"image": image}, np.zeros((4, 2)))])
    assert (Demonstrations(tmp_path).load()[0].observation["image"] == image).all()


def test_a_picture_of_two_dimensions_is_refused(folder: Path) -> None:
    _tell_of_image(folder, shape=[12, 16])
    with pytest.raises(InvalidValueError, match=r"must be \(height, width, channels\), got \(12, 16\)"):
        Demonstrations(folder)


def test_nothing_that_can_be_used_is_an_error(folder: Path) -> None:
    shutil.rmtree(folder / "data")
    with pytest.raises(PoiseError, match="holds no demonstration that can be used"):
        Demonstrations(folder).load()


def test_pictures_are_brought_to_a_size(folder: Path) -> None:
    demonstrations = Demonstrations(folder, size=(6, 8))
    assert demonstrations.components["image"] == (3, 6, 8)
    (one,) = demonstrations.load([0])
    blocks = MADE[0].observation["image"].reshape(4, 3, 6, 2, 8, 2).mean(axis=(3, 5))
    assert np.corrcoef(one.observation["image"].ravel(), blocks.ravel())[0, 1] > 0.8


VIDEO = "videos/observation.{}/chunk-000/file-000.mp4"
RAMPS = [np.stack([np.full((16, 16, 3), 30 * step, np.uint8) for step in range(len(one))]) for one in MADE]


def _film(path: Path, frames: Sequence[Any]) -> None:
    path.parent.mkdir(parents=True)
    film = imageio_ffmpeg.write_frames(str(path), (16, 16), fps=25, output_params=["-crf", "1"])
    film.send(None)
    for frame in frames:
        film.send(np.ascontiguousarray(frame))
    film.close()


def _with_videos(folder: Path, cameras: Sequence[str], **feature: Any) -> None:
    """As others write them: the frames of all episodes one after another in one file."""
    info = json.loads((folder / "meta/info.json").read_text())
    told = info["features"].pop("observation.image") | {"dtype": "video", "shape": [16, 16, 3]} | feature
    for shift, name in enumerate(cameras):
        _film(folder / VIDEO.format(name), np.concatenate(RAMPS) + np.uint8(10 * shift))
        info["features"][f"observation.{name}"] = told
    pattern = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
    _tell(folder, features=info["features"], video_path=pattern)
    start = 0
    for number in range(3):
        rows = parquet.read_table(folder / EPISODES.format(number)).to_pylist()
        for row in rows:
            where = {"chunk_index": 0, "file_index": 0, "from_timestamp": start / 25}
            row |= {f"videos/observation.{name}/{key}": value for name in cameras for key, value in where.items()}
            start += row["length"]
        parquet.write_table(pyarrow.Table.from_pylist(rows), folder / EPISODES.format(number))


@pytest.mark.parametrize(
    "feature", [{}, {"shape": [3, 16, 16], "names": ["channels", "height", "width"]}], ids=["last", "first"]
)
def test_videos_are_read_as_pictures_are(folder: Path, feature: dict[str, Any]) -> None:
    _with_videos(folder, ["image"], **feature)
    loaded = Demonstrations(folder, ["image"]).load()
    for one, ramp in zip(loaded, RAMPS, strict=True):
        assert one.observation["image"].shape == (len(ramp), 3, 16, 16)
        assert np.abs(one.observation["image"].astype(int) - ramp.transpose(0, 3, 1, 2)).max() <= 6
    path = folder / VIDEO.format("image")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(PoiseError, match=r"file-000.mp4 is damaged"):
        Demonstrations(folder).load()


def test_a_grey_video_has_one_channel(folder: Path) -> None:
    _with_videos(folder, ["image"], shape=[16, 16, 1])
    demonstrations = Demonstrations(folder, ["image"])
    assert demonstrations.components == {"image": (1, 16, 16)}
    for one, ramp in zip(demonstrations.load(), RAMPS, strict=True):
        assert one.observation["image"].shape == (len(ramp), 1, 16, 16)
        assert np.abs(one.observation["image"].astype(int) - ramp.transpose(0, 3, 1, 2)[:, :1]).max() <= 6


def test_a_video_of_another_size_costs_its_episodes(folder: Path) -> None:
    _with_videos(folder, ["image"], shape=[24, 24, 3])
    with pytest.raises(PoiseError, match=r"episodes 0-4: .*file-000.mp4 has frames of 16x16 pixels, expected 24x24$"):
        Demonstrations(folder, ["image"], size=(8, 8)).load()


def test_each_of_many_videos_is_decoded_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing of it is held but the frames of episodes that were asked for."""
    names = ["front", "left", "right"]
    _with_videos(folder, names)
    opened: list[Any] = []
    read_frames = imageio_ffmpeg.read_frames

    def counted(*args: Any, **kwargs: Any) -> Any:
        opened.append(read_frames(*args, **kwargs))
        return opened[-1]

    monkeypatch.setattr(imageio_ffmpeg, "read_frames", counted)
    loaded = Demonstrations(folder, names).load()
    assert len(opened) == 3
    assert all(inspect.getgeneratorstate(decoder) == inspect.GEN_CLOSED for decoder in opened)
    for name in names:
        whole = list(read_frames(str(folder / VIDEO.format(name))))[1:]
        expected = np.stack([np.frombuffer(frame, np.uint8).reshape(16, 16, 3) for frame in whole])
        found = [one.observation[name] for one in loaded]
        assert (np.concatenate(found).transpose(0, 2, 3, 1) == expected).all()
        assert [pictures.base.nbytes for pictures in found] == [pictures.nbytes for pictures in found]
    (last,) = Demonstrations(folder, names).load([4])
    assert all((last.observation[name] == loaded[4].observation[name]).all() for name in names)


def test_a_video_that_is_too_short_costs_the_episodes_after_its_end(folder: Path) -> None:
    _with_videos(folder, ["image"])
    path = folder / VIDEO.format("image")
    shutil.rmtree(path.parent)
    _film(path, np.concatenate(RAMPS)[:20])
    demonstrations = Demonstrations(folder, ["image"])
    with pytest.warns(UserWarning, match="are left out"):
        assert [one.number for one in demonstrations.load()] == [0, 1, 2]
    assert "has 20 frames, expected 22 or more" in demonstrations.damaged[3]
    assert "has 20 frames, expected 30 or more" in demonstrations.damaged[4]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fps": 50}, "at 50 a second"),
        ({"action_width": 3}, "actions of 3"),
        ({"components": {"state": (3,)}}, "not of"),
    ],
)
def test_demonstrations_of_something_else_are_not_mixed_in(folder: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidValueError, match=said):
        writer(folder, **changes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda one: Demonstration({**one.observation, "state": one.observation["state"][:2]}, one.actions),
            "4 actions and 2 observations 'state', expected one of each",
        ),
        (
            lambda one: Demonstration(one.observation, one.actions[:-1]),
            "3 actions and 4 observations 'image', expected one of each",
        ),
        (lambda one: one.beginning(0), "has no steps, expected one or more"),
        (
            lambda one: _with_image(one, one.observation["image"] / 255),
            "the picture 'image' must be of uint8 from 0 to 255, got float64",
        ),
        (lambda one: _with_image(one, one.observation["image"].astype(np.uint16)), "uint8 from 0 to 255, got uint16"),
        (lambda one: _with_image(one, -one.observation["image"].astype(np.int64)), "uint8 from 0 to 255, got int64"),
        (lambda one: Demonstration({"state": one.observation["state"]}, one.actions), "observations"),
        (lambda one: Demonstration(one.observation, one.actions[:, :1]), r"actions must be \(4, 2\), got \(4, 1\)"),
        (lambda one: Demonstration(one.observation, one.actions * np.nan), "finite numbers, action is not"),
    ],
)
def test_demonstrations_that_cannot_be(folder: Path, change: Any, said: str) -> None:
    with pytest.raises(InvalidValueError, match=said):
        writer(folder).write([MADE[1], change(MADE[0])])
    check(Demonstrations(folder).load(), range(5))


def _with_image(one: Demonstration, image: Any) -> Demonstration:
    return Demonstration({**one.observation, "image": image}, one.actions)


def test_one_that_is_in_no_list(folder: Path) -> None:
    with pytest.raises(InvalidValueError, match=r"expected a sequence of demonstrations, got one"):
        writer(folder).write(MADE[0])  # type: ignore[arg-type]


def test_folders_that_hold_none(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="holds no demonstrations"):
        Demonstrations(tmp_path / "nothing")
    with pytest.raises(InvalidValueError, match="no component 'stat'; did you mean 'state'"):
        Demonstrations(folder, ["stat"])
    info = folder / "meta/info.json"
    content = json.loads(info.read_text())
    info.write_text(json.dumps(content | {"codebase_version": "v2.1"}))
    with pytest.raises(InvalidValueError, match=r"format v2.1, expected v3.0"):
        Demonstrations(folder)
    info.write_text(json.dumps(content)[:-9])
    with pytest.raises(PoiseError, match="is damaged"):
        Demonstrations(folder)


def test_depth_is_kept_in_16_bits(tmp_path: Path) -> None:
    """To half a step of 1/65535; statistics are of the same numbers."""
    generator = np.random.default_rng(0)
    depth = generator.uniform(0.0, 1.0, (6, 1, 8, 10)).astype(np.float32)
    made = DemonstrationWriter(tmp_path, {"depth": (1, 8, 10)}, 1, 10, "look", depths=("depth",))
    made.write([Demonstration({"depth": depth}, np.zeros((6, 1)))])
    (read,) = Demonstrations(tmp_path).load()
    found = read.observation["depth"]
    assert (found.dtype, found.shape) == (np.float32, depth.shape)
    np.testing.assert_allclose(found, depth, atol=0.51 / 65535)
    stats = json.loads((tmp_path / "meta/stats.json").read_text())["observation.depth"]
    assert stats["mean"] == [[[pytest.approx(depth.mean(), abs=1e-5)]]]
    assert json.loads((tmp_path / "meta/info.json").read_text())["features"]["observation.depth"]["info"] == {
        "is_depth_map": True
    }
    with pytest.raises(InvalidValueError, match="the depth image 'depth' must be of floats in .0, 1., got uint8"):
        made.write([Demonstration({"depth": depth.astype(np.uint8)}, np.zeros((6, 1)))])
    half = Demonstrations(tmp_path, size=(4, 5)).load()[0].observation["depth"]
    assert half.shape == (6, 1, 4, 5)
    assert abs(half.mean() - found.mean()) < 0.05
    with pytest.raises(InvalidValueError, match="must have one channel to be kept, got 3"):
        DemonstrationWriter(tmp_path / "more", {"depth": (3, 8, 10)}, 1, 10, "look", depths=("depth",))


@pytest.mark.parametrize(("lowest", "highest"), [(0.0, 4.0), (-1.0, 1.0)])
def test_depth_beyond_its_range_is_refused(tmp_path: Path, lowest: float, highest: float) -> None:
    depth = np.linspace(lowest, highest, 160, dtype=np.float32).reshape(2, 1, 8, 10)
    made = DemonstrationWriter(tmp_path, {"depth": (1, 8, 10)}, 1, 10, "look", depths=("depth",))
    with pytest.raises(InvalidValueError, match=f"must be of floats in .0, 1., got {lowest:g} to {highest:g}"):
        made.write([Demonstration({"depth": depth}, np.zeros((2, 1)))])
    assert made.info.total_episodes == 0
