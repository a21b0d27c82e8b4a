import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from poise.config import save_yaml
from poise.errors import InvalidValueError, MissingFileError, PoiseError
from poise.perception import PretrainConfig
from poise.training.config import RunConfig
from poise.training.curves import _medians, evaluated, find_runs, logged, read_runs, with_earlier
from poise.training.plots import PALETTE, learning_curves_svg, plot_runs


def test_runs_are_found_as_folders_collections_and_patterns(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    a, b, c = (write_run(tmp_path / name) for name in ("nav-0", "nav-1", "other"))
    (tmp_path / "notes").mkdir()
    assert find_runs([b]) == [b]
    assert find_runs([tmp_path]) == [a, b, c]
    assert find_runs([c, str(tmp_path / "nav-*"), a]) == [c, a, b]
    for nothing in (tmp_path / "notes", tmp_path / "nav-?7", tmp_path / "absent"):
        with pytest.raises(MissingFileError, match="holds no run; expected the folder of one"):
            find_runs([a, nothing])


def test_what_lies_beside_runs_is_passed_over(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    run = write_run(tmp_path / "demo" / "run")
    write_run(tmp_path / "demo" / "young", rows=0)
    save_yaml(tmp_path / "demo" / "encoder" / "config.yaml", PretrainConfig())
    assert find_runs([tmp_path / "demo"]) == [run]
    assert find_runs([tmp_path / "demo" / "*"]) == [run]
    with pytest.raises(MissingFileError, match=f"holds no run.*; did you mean '{run}'"):
        find_runs([tmp_path])
    with pytest.raises(InvalidValueError, match=r"encoder is no run folder: its config\.yaml is of something else"):
        read_runs(find_runs([tmp_path / "demo" / "encoder"]))


def test_names_tell_runs_apart(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    folders = [write_run(tmp_path / name) for name in ("x/run", "y/run", "z")]
    assert [run.name for run in read_runs(folders)] == ["x/run", "y/run", f"{tmp_path.name}/z"]
    assert [run.name for run in read_runs(folders[1:])] == ["run", "z"]


def test_curves_are_what_was_logged(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    [run] = read_runs([write_run(tmp_path / "run")])
    curve = evaluated("return")(run)
    assert curve is not None
    assert curve.low is not None
    assert curve.high is not None
    np.testing.assert_array_equal(curve.x, [2000, 4000, 6000])
    np.testing.assert_array_equal(curve.y, [10, 20, 30])
    np.testing.assert_array_equal(curve.low, [8, 18, 28])
    np.testing.assert_array_equal(curve.high, [13, 23, 33])
    by_time = evaluated("return", "hours")(run)
    assert by_time is not None
    np.testing.assert_allclose(by_time.x, [60 / 3600, 120 / 3600, 180 / 3600])  # 30 s for every 1000 steps
    assert evaluated("speed")(run) is None
    assert logged("no/such/metric")(run) is None
    returns = logged("episode/return")(run)
    assert returns is not None
    np.testing.assert_array_equal(returns.y, [10, 20, 30, 40, 50, 60])


def test_a_short_log_is_hardly_smoothed_and_its_ends_count_once(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    assert _medians(np.array([5.0, 1.0, 2.0]), 25).tolist() == [5.0, 1.0, 2.0]
    values = np.arange(16.0)
    values[0] = 100.0
    assert _medians(values, 25)[:3].tolist() == [2.0, 2.5, 3.0]  # of 100, 1, 2 | 100, 1, 2, 3 | 100, 1, 2, 3, 4


def test_smoothing_takes_medians_and_long_logs_are_thinned(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    [run] = read_runs([write_run(tmp_path / "run", rows=1200)])
    run.progress["episode/return"][:] = np.tile([1.0, 1.0, 90.0], 400)
    smooth = logged("episode/return", smooth=3)(run)
    assert smooth is not None
    assert len(smooth.x) == 500
    assert smooth.y[:-1].max() == 1.0
    assert smooth.x[0] > 1000
    assert (np.diff(smooth.x) > 0).all()


def test_seeds_of_one_recipe_share_a_colour_beside_another(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    for seed in range(3):
        write_run(tmp_path / f"near-seed{seed}", seed=seed, algorithm={"gamma": 0.9})
    write_run(tmp_path / "far", seed=0)
    text = plot_runs([tmp_path], tmp_path / "all.svg").read_text()
    assert text.count(">near (3 seeds)<") == 1
    assert text.count(">far<") == 1
    assert PALETTE[0].lower() in text
    assert PALETTE[1].lower() in text
    assert PALETTE[2].lower() not in text
    apart = plot_runs([tmp_path / "near-*"], tmp_path / "seeds.svg").read_text()
    assert all(f">near-seed{seed}<" in apart for seed in range(3))
    assert all(color.lower() in apart for color in PALETTE[:3])


def test_a_picture_has_the_panels_there_is_something_for(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    run = write_run(tmp_path / "run")
    text = plot_runs([run], tmp_path / "a.svg").read_text()
    assert ">Return, evaluated, by wall time<" in text
    assert ">wall time, minutes<" in text
    assert "Speed along the goal" not in text
    assert text == plot_runs([run], tmp_path / "b.svg").read_text()  # the same picture is the same file
    picture = iio.imread(plot_runs([run], tmp_path / "new" / "a.png"))
    assert picture.shape[0] > 700
    assert picture.shape[1] > 1500
    blue = (picture[..., :3] == [0x00, 0x72, 0xB2]).all(axis=-1)
    assert blue.sum() > 2000  # the lines
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.png"]


def test_what_cannot_be_plotted_is_refused(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    run = write_run(tmp_path / "run")
    with pytest.raises(InvalidValueError, match=r"a\.gif must end in \.png, \.svg, \.pdf"):
        plot_runs([run], tmp_path / "a.gif")
    with pytest.raises(PoiseError, match="young: nothing has been logged yet"):
        plot_runs([write_run(tmp_path / "young", rows=0, evaluations=0)], tmp_path / "a.png")
    for content in ("{", "[1]", '[{"step": 1}]', '{"a": 1}'):
        (run / "evaluations.json").write_text(content)
        with pytest.raises(PoiseError, match=r"evaluations\.json is damaged"):
            plot_runs([run], tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


def test_inline_drawings_share_a_page(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    drawings = learning_curves_svg(*read_runs([write_run(tmp_path / "run")]))
    assert [drawing.title for drawing in drawings] == [
        "Return, evaluated",
        "Success, evaluated",
        "Return by training's own weights",
        "Variance explained by the critic",
        "Environment steps per second",
    ]
    page = "".join(drawing.svg for drawing in drawings)
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(|href=")#([\w-]*)', page)) <= set(ids)
    assert "http" not in page
    assert "<?xml" not in page
    assert "font-family" not in page
    assert page.count("var(--series)") >= 5
    assert not re.search("#[0-9a-f]{6}", re.sub(r"#chart[\w-]*", "", page))  # every colour is the page's
    balance = _Balance()
    balance.feed(page)
    assert balance.open == []


class _Balance(HTMLParser):
    """Elements that are not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_run_goes_on_from_the_one_it_began_with(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    first = write_run(tmp_path / "first", rows=4, evaluations=1)
    second = write_run(tmp_path / "second", rows=2, evaluations=1, initial_policy=str(first))
    third = write_run(tmp_path / "third", rows=1, evaluations=0, initial_policy=str(second))
    whole = with_earlier(*read_runs([third]))
    assert whole.progress["step"].tolist() == [1000, 2000, 3000, 4000, 5000, 6000, 7000]
    assert whole.progress["time/seconds"].tolist() == [30.0 * i for i in range(1, 8)]
    assert whole.progress["episode/return"].tolist() == [10, 20, 30, 40, 10, 20, 10]
    assert [entry["step"] for entry in whole.evaluations] == [2000, 6000]
    assert (whole.folder, whole.config.initial_policy) == (third, str(second))
    save_yaml(first / "config.yaml", RunConfig(initial_policy=str(third)))  # where it came from has been trained anew
    assert len(with_earlier(*read_runs([third])).progress["step"]) == 7
    shutil.rmtree(first)
    assert with_earlier(*read_runs([third])).progress["step"].tolist() == [1000, 2000, 3000]
