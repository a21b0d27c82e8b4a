import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from read_page import Page

from poise.config import save_yaml
from poise.errors import InvalidValueError, MissingFileError, PoiseError
from poise.training import report as report_module
from poise.training.cloning_config import parse_run
from poise.training.evaluation import Evaluation
from poise.training.logging import MetricsLogger
from poise.training.markup import Html, join, tag
from poise.training.report import write_report
from poise.training.report_missing import missing_parts

HOSTILE = "<script>alert('x')</script>&\"$title"
WriteRun = Callable[..., Path]


def _evaluation(successes: list[bool], returns: list[float], speed: float = 0.5) -> dict[str, Any]:
    lengths = [4000 if success else 1234 for success in successes]
    return Evaluation(900_000, returns, lengths, successes, [speed] * len(returns)).to_json()


def test_the_figures_are_those_of_the_evaluations(tmp_path: Path, write_run: WriteRun) -> None:
    policy = _evaluation([True, True, True, False], [90.0, 92.0, 94.0, 96.0])
    nothing = _evaluation([False] * 4, [4.0, 5.0, 6.0, 7.0], speed=-0.001)
    page = Page(
        write_report(write_run(tmp_path / "hills"), tmp_path / "a.html", {"the policy": policy, "do nothing": nothing})
    )
    assert "Trained for 6,000 environment steps in 3.0 minutes." in page.text
    assert "it lasts 3 of 4 episodes." in page.text
    assert "Means of 4 whole episodes on seeds 900000 to 900003" in page.text
    survival = policy["summary"]["success_rate"]
    assert f"75 % {100 * survival['low']:.0f} to {100 * survival['high']:.0f} %" in page.text
    assert "93.0 88.9 to 97.1" in page.text  # mean 93, t(3) = 3.182, standard deviation 2.58: 93 -+ 4.11
    assert "0.00 m/s" in page.text
    assert "-0.00" not in page.text
    rows = page.source.split("<tr>")
    assert "the policy" in rows[2]
    assert "do nothing" in rows[3]
    assert "5.5" in rows[3]


def _told(folder: Path, run: Path, *names: str) -> str:
    """The text of a report of a run's policy beside others."""
    measured = {name: _evaluation([True] * 2, [80.0, 90.0]) for name in ("it", *names)}
    return Page(write_report(run, folder / "a.html", measured)).text


@pytest.mark.parametrize(
    ("training", "evaluation", "is_usual"),
    [
        ({}, {}, True),
        ({"decimation": 10, "goal": {"observed": True}, "rewards": {"effort": 0.001}}, {"rewards": {}}, True),
        ({"max_steps": 2000}, {"max_steps": 4000}, True),
        ({"max_steps": 2000}, {}, False),
        ({"rewards": {"failure": 1.0}}, {}, False),
        ({"goal": {"kind": "sampled"}}, {}, False),
        ({}, {"timestep": 0.001}, False),
    ],
)
def test_what_a_return_means_is_told_where_it_is_the_data_sheets(
    tmp_path: Path, write_run: WriteRun, training: dict[str, Any], evaluation: dict[str, Any], is_usual: bool
) -> None:
    run = write_run(tmp_path / "run", env={"options": training}, evaluation={"options": evaluation})
    assert ("Standing still for all of it returns 80" in _told(tmp_path, run)) == is_usual
    other = write_run(tmp_path / "other", env={"id": "CartPole-v1"})
    assert "Standing still" not in _told(tmp_path, other)


def test_baselines_are_explained_where_they_are_shown(tmp_path: Path, write_run: WriteRun) -> None:
    run = write_run(tmp_path / "run")
    assert "lqr to stand still" in _told(tmp_path, run, "do-nothing", "pid", "lqr")
    assert "lqr" not in _told(tmp_path, run, "do-nothing")


def test_intervals_are_drawn_to_one_scale(tmp_path: Path, write_run: WriteRun) -> None:
    good, bad = _evaluation([True] * 2, [90.0, 110.0]), _evaluation([True] * 2, [50.0, 50.0])
    page = Page(write_report(write_run(tmp_path / "run"), tmp_path / "a.html", {"good": good, "bad": bad}))
    summary = good["summary"]["return"]
    low, high = min(0.0, summary["low"]), summary["high"]
    marks = [style["style"] for style in page.all("b") if style.get("style")]
    assert marks[1] == f"left:{100 * (100 - low) / (high - low):.1f}%"  # survival, return, speed, time steps, twice
    assert marks[5] == f"left:{100 * (50 - low) / (high - low):.1f}%"
    assert marks[0] == marks[4] == "left:100.0%"


def test_failed_seeds_are_listed(tmp_path: Path, write_run: WriteRun) -> None:
    run = write_run(tmp_path / "two words")
    page = Page(write_report(run, tmp_path / "a.html", {"it": _evaluation([True, False, True, False], [1.0] * 4)}))
    assert "2 of 4 episodes ended before their time" in page.text
    assert "seed 900001 after 1,234 time steps" in page.text
    assert "seed 900003 after 1,234 time steps" in page.text
    assert "seed 900002 after" not in page.text
    assert f"poise play '{run}' --seed 900001" in page.text
    squares = [item for item in page.all("li") if "title" in item]
    assert [item.get("class") for item in squares] == [None, "failed", None, "failed"]
    assert squares[0]["title"] == "seed 900000: lasted 4,000 time steps, return 1.0"
    perfect = Page(write_report(run, tmp_path / "b.html", {"it": _evaluation([True], [1.0])}))
    assert "Nowhere in these 1 episodes" in perfect.text
    many = Page(write_report(run, tmp_path / "c.html", {"it": _evaluation([False] * 80, [1.0] * 80)}))
    assert "and 20 more" in many.text


def test_the_page_needs_nothing_but_itself(tmp_path: Path, write_run: WriteRun) -> None:
    iio.imwrite(tmp_path / "kept.png", np.zeros((4, 4), np.uint8))
    (tmp_path / "v.mp4").write_bytes(b"film")
    page = Page(
        write_report(
            write_run(tmp_path / "run"),
            tmp_path / "a.html",
            {"it": _evaluation([True, False], [1.0, 2.0])},
            video=tmp_path / "v.mp4",
            reconstructions=tmp_path / "kept.png",
        )
    )
    assert page.source.startswith("<!doctype html>")
    assert "http" not in page.source
    assert "@import" not in page.source
    assert page.all("script") == []
    addresses = [item[key] for _, item in page.elements for key in ("src", "href") if key in item]
    assert len(addresses) >= 3
    assert all(address and address.startswith(("data:", "#")) for address in addresses)
    assert page.all("video")[0]["src"] == "data:video/mp4;base64,ZmlsbQ=="
    assert {"controls", "muted", "loop", "playsinline"} <= page.all("video")[0].keys()
    assert page.all("img")[0]["alt"]
    identities = [item["id"] for _, item in page.elements if "id" in item]
    assert len(identities) == len(set(identities))
    assert len(page.all("svg")) == 5


def test_a_large_video_stays_beside_the_page(
    tmp_path: Path, write_run: WriteRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_module, "LARGEST_EMBEDDED", 3)
    run = write_run(tmp_path / "run")
    video = run / "videos" / "step 2.mp4"
    video.parent.mkdir()
    video.write_bytes(b"film")
    (video.parent / "step 1.mp4").write_bytes(b"old")
    page = Page(write_report(run, tmp_path / "pages" / "a.html"))
    assert page.all("video")[0]["src"] == "../run/videos/step%202.mp4"  # the latest, found in the run


def test_nothing_can_be_injected(tmp_path: Path, write_run: WriteRun) -> None:
    run = write_run(tmp_path / HOSTILE.replace("/", ""), env={"options": {"note": HOSTILE}})
    clean = Page(write_report(write_run(tmp_path / "run"), tmp_path / "b.html", {"it": _evaluation([False], [1.0])}))
    page = Page(write_report(run, tmp_path / "a.html", {HOSTILE: _evaluation([False], [1.0])}, title=HOSTILE))
    assert [name for name, _ in page.elements] == [name for name, _ in clean.elements]
    assert page.all("script") == []
    assert HOSTILE in page.text
    named = Page(write_report(run, tmp_path / "c.html"))
    assert run.name in named.text


def test_a_run_without_anything_has_a_report(tmp_path: Path, write_run: WriteRun) -> None:
    page = Page(write_report(write_run(tmp_path / "model", rows=0, evaluations=0), tmp_path / "a.html"))
    assert "A trained policy." in page.text
    assert "written without curves (the log of its training did not come with the policy), an evaluation" in page.text
    assert "How it learned" not in page.text
    assert "poise train" in page.text
    assert f"poise play {tmp_path}/model --out model.mp4" in page.source
    assert f"poise report {tmp_path}/model --evaluation evaluation.json --video model.mp4" in page.source
    evaluated = Page(write_report(write_run(tmp_path / "run"), tmp_path / "b.html"))
    assert "Last evaluation: return 30.0, success 50%." in evaluated.text


def test_a_run_that_imitates_tells_epochs_losses_and_where_things_end(tmp_path: Path) -> None:
    run = tmp_path / "run"
    content = {"demonstrations": {"folder": "d"}, "env": {"id": "poise/Push-v0"}}
    save_yaml(run / "config.yaml", parse_run(content, "here"))
    logger = MetricsLogger(run, tensorboard=False)
    for epoch in range(1, 4):
        logger.log(epoch, {"update/loss": 1.0 / epoch, "validation/loss": 2.0 / epoch, "time/steps_per_second": 0.1})
    page = Page(write_report(run, tmp_path / "a.html"))
    assert "Trained for 3 epochs." in page.text
    assert "Loss on demonstrations it learns from" in page.text
    assert "Loss on demonstrations held out" in page.text
    assert "environment steps" not in page.source.lower()
    pushed = Evaluation(900_000, [-10.0, -50.0], [11, 50], [True, False], [math.nan] * 2, [0.031, 0.099]).to_json()
    page = Page(write_report(run, tmp_path / "a.html", {"it": pushed}))
    assert "it succeeds in 1 of 2 episodes." in page.text
    assert "1 of 2 episodes ended without success." in page.text
    assert "Final distance 0.065 m" in page.text  # (0.031 + 0.099) / 2
    titles = [item["title"] for item in page.all("li") if "title" in item]
    assert titles[0] == "seed 900000: succeeded after 11 time steps, return -10.0"


def test_who_names_no_environment_is_told_to_act_in_one_that_a_file_names(tmp_path: Path) -> None:
    run = tmp_path / "run"
    save_yaml(run / "config.yaml", parse_run({"demonstrations": {"folder": "d"}}, "here"))
    MetricsLogger(run, tensorboard=False).log(1, {"update/loss": 1.0})
    text = Page(write_report(run, tmp_path / "a.html")).text
    text += Page(write_report(run, tmp_path / "b.html", {"it": _evaluation([False], [1.0])})).text
    acting = re.findall(rf"poise (?:evaluate|play) {run}(.{{14}})", text)
    assert set(acting) == {" --config FILE"}
    assert len(acting) == 8


def test_the_push_tasks_versions_are_told_and_no_distance_is_less_than_none(
    tmp_path: Path, write_run: WriteRun
) -> None:
    pushed = Evaluation(0, [-1.0] * 3, [9] * 3, [True] * 3, [math.nan] * 3, [0.01, 0.01, 0.3]).to_json()
    run = write_run(tmp_path / "run", env={"id": "poise/Push-v0"})
    page = Page(write_report(run, tmp_path / "a.html", {"it": pushed}))
    assert "Final distance 0.107 m 0.000 to 0.523 m" in page.text
    assert {"panda-gym", "pybullet"} <= set(page.text.split())
    assert "pybullet" not in Page(write_report(write_run(tmp_path / "other"), tmp_path / "b.html")).text


def test_a_video_stays_until_another_is_given(tmp_path: Path, write_run: WriteRun) -> None:
    run = write_run(tmp_path / "run")
    (tmp_path / "v.mp4").write_bytes(b"film")
    (tmp_path / "w.mp4").write_bytes(b"other")
    out = run / "report.html"
    first = Page(write_report(run, out, video=tmp_path / "v.mp4", filmed="seed 3"))
    again = Page(write_report(run, out, {"it": _evaluation([True], [1.0])}))
    assert again.all("video") == first.all("video")
    assert "One episode in real time: seed 3" in again.text
    assert missing_parts(run, {"it": _evaluation([True], [1.0])}) == ([], [])
    assert "What is not here" not in again.text
    assert Page(write_report(run, out, video=tmp_path / "w.mp4")).all("video") != first.all("video")
    assert Page(write_report(run, tmp_path / "a.html")).all("video") == []


def test_a_whole_report_lacks_nothing(tmp_path: Path, write_run: WriteRun) -> None:
    run = write_run(tmp_path / "run")
    (tmp_path / "v.mp4").write_bytes(b"film")
    measured = {"it": _evaluation([True], [1.0])}
    assert missing_parts(run, measured, tmp_path / "v.mp4") == ([], [])
    page = Page(write_report(run, tmp_path / "a.html", measured, tmp_path / "v.mp4", filmed="the best, seed 3"))
    assert "What is not here" not in page.text
    assert "One episode in real time: the best, seed 3" in page.text
    assert missing_parts(run, measured).names == ["a video"]


def test_curves_are_explained(tmp_path: Path, write_run: WriteRun) -> None:
    """Each explanation belongs to a curve that is drawn; what a return is bounded by holds of the data sheet's only."""
    page = Page(write_report(write_run(tmp_path / "run"), tmp_path / "a.html"))
    assert "Dashed: standing still returns 80, and nothing can return more than 101." in page.text
    assert "Not to be compared with the evaluated return" in page.text
    assert "1 where the critic foretells every return" in page.text
    other = Page(write_report(write_run(tmp_path / "other", env={"id": "CartPole-v1"}), tmp_path / "b.html"))
    assert "standing still" not in other.text.lower()


def test_how_to_do_it_again(tmp_path: Path, write_run: WriteRun) -> None:
    run = write_run(tmp_path / "run", policy={"encoder": "gone"}, seed=7)
    page = Page(write_report(run, tmp_path / "a.html", {"it": _evaluation([True] * 2, [1.0, 2.0])}))
    assert f"poise train {run}/config.yaml --policy.encoder {run}/encoder --out {run}-again" in page.text
    assert f"poise evaluate {run} --episodes 2 --seed 900000" in page.text
    assert "seed: 7" in page.text
    failing = {name: _evaluation([True], [1.0]) for name in ("all well", "both dead")}
    assert "--seed 900000 --failures" in Page(write_report(run, tmp_path / "b.html", failing)).text
    assert "--seed 900000 --baselines" in _told(tmp_path, run, "random")
    assert "mujoco" in page.text


def test_what_cannot_be_reported_is_refused(tmp_path: Path, write_run: WriteRun) -> None:
    run, out = write_run(tmp_path / "run"), tmp_path / "a.html"
    with pytest.raises(InvalidValueError, match=r"must end in \.html"):
        write_report(run, tmp_path / "a.pdf")
    with pytest.raises(MissingFileError, match=r"no\.mp4 does not exist; leave it away"):
        write_report(run, out, video=tmp_path / "no.mp4")
    with pytest.raises(MissingFileError, match="is no run folder"):
        write_report(tmp_path / "nowhere", out)
    good = json.loads(json.dumps(_evaluation([True] * 2, [1.0, 2.0])))
    for broken in ({}, good["summary"], {**good, "episodes": {}}, {**good, "summary": {"return": 1}}):
        with pytest.raises(PoiseError, match="the evaluation of 'it' lacks"):
            write_report(run, out, {"it": broken})
    assert not out.exists()


def test_tags_escape_what_is_not_html() -> None:
    assert tag("p", "a<b", Html("<i>")) == "<p>a&lt;b<i></p>"
    assert tag("a", "x", href='"><b>', hidden=True, title=None, aria_label="l", class_="c") == (
        '<a href="&quot;&gt;&lt;b&gt;" hidden aria-label="l" class="c">x</a>'
    )
    assert tag("img", src="s") == '<img src="s">'
    assert join("&", tag("b", "'")) == "&amp;<b>&#x27;</b>"
    assert not re.search("[<>]", join("<>"))
