"""The page: it needs nothing but itself, says what was found, and cannot be injected into."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from read_page import Page

from poise.errors import PoiseError
from poise.inspection import Findings, inspect_policy, write_findings
from poise.inspection.page import lede
from poise.inspection.strip import as_picture, overlaid, palette
from poise.inspection.tables import written
from poise.training.statistics import Interval

MakeTrained = Callable[..., Any]
ATTENDS = {"width": 8, "num_heads": 2, "images": {"channels": [4, 4], "kernel_sizes": [3, 3], "strides": [2, 2]}}


@pytest.fixture
def findings(make_trained: MakeTrained) -> Findings:
    fusion = ATTENDS | {"name": "hierarchical_attention", "dropout": {"prob": 0.2}}
    return inspect_policy(make_trained(fusion=fusion), {}, 40, 3)


def test_the_page_needs_nothing_but_itself(findings: Findings, tmp_path: Path) -> None:
    write_findings(findings, tmp_path / "run", tmp_path / "a.html", tmp_path / "a.json", "poise inspect <run>")
    page = Page(tmp_path / "a.html")
    assert "http" not in page.source
    assert page.all("script") == []
    addresses = [item[key] for _, item in page.elements for key in ("src", "href") if key in item]
    assert all(address and address.startswith(("data:", "#")) for address in addresses)
    assert len(page.all("img")) == 3 * 8  # what is seen, drawn again, and where it is looked
    assert all(image["alt"] for image in page.all("img"))
    identities = [item["id"] for _, item in page.elements if "id" in item]
    assert len(identities) == len(set(identities))
    assert len(page.all("svg")) == 2


def test_what_is_written_is_what_was_found(findings: Findings, tmp_path: Path) -> None:
    write_findings(findings, tmp_path / "run", tmp_path / "a.html", tmp_path / "a.json", "poise inspect <run>")
    page, numbers = Page(tmp_path / "a.html"), json.loads((tmp_path / "a.json").read_text())
    assert numbers["policy"] == str(tmp_path / "run")
    assert numbers["gradient_share"] == pytest.approx(findings.gradient)
    assert f"{100 * findings.gradient['eye']:.0f} %" in page.text
    assert f"{100 * findings.attention['eye']:.0f} %" in page.text
    assert lede(findings) in page.text
    assert "poise inspect <run>" in page.text
    assert "what the last pooling takes of each modality" in page.text
    assert "eye is withheld" in page.text
    for each in findings.silences:
        assert written(each.lost) in page.text
    assert f"{findings.reconstructions['eye'].images:,} images of the other episodes" in page.text
    assert np.array(numbers["attention_by_token"]["eye"]).sum() == pytest.approx(findings.attention["eye"])
    assert len(numbers["attention_by_token"]["eye"]) == 9
    assert findings.grids == {"eye": (3, 3)}


def test_where_nothing_attends_it_says_so(make_trained: MakeTrained, tmp_path: Path) -> None:
    findings = inspect_policy(make_trained(), {}, 2, 3)
    write_findings(findings, tmp_path / "run", tmp_path / "a.html", None, "again")
    page = Page(tmp_path / "a.html")
    assert "Nothing attends in this policy" in page.text
    assert "share of the attention" not in page.text
    assert len(page.all("svg")) == 1
    assert not (tmp_path / "a.json").exists()


def test_nothing_can_be_injected(findings: Findings, tmp_path: Path) -> None:
    hostile = "<script>alert('x')</script>$title"
    write_findings(findings, tmp_path, tmp_path / "a.html", None, hostile, title=hostile)
    page = Page(tmp_path / "a.html")
    assert page.all("script") == []
    assert hostile in page.text


def test_modalities_that_are_dwarfed_are_named(make_trained: MakeTrained, tmp_path: Path) -> None:
    def shrinks(policy: Any) -> None:
        policy.extractor.normalizer.var[policy.segments["actor"].slice("eye")] = 1e6

    findings = inspect_policy(make_trained(shrinks), {}, 2, 3)
    [found] = findings.dwarfed
    assert (found.large, found.small) == ("body", "eye")
    write_findings(findings, tmp_path, tmp_path / "a.html", None, "again")
    assert f"Warning: the features of 'body' are {found.ratio:.3g} times as large" in Page(tmp_path / "a.html").text


def test_the_first_sentence(findings: Findings) -> None:
    worst = max(findings.silences, key=lambda each: each.lost)
    assert findings.intact.seed == 3
    assert lede(findings).startswith("Over 40 episodes it returns ")
    sure = worst._replace(lost=9.0, interval=Interval(8.0, 10.0), name="eye", instead="mean")
    unsure = worst._replace(lost=9.0, interval=Interval(-8.0, 26.0))
    for each, said in (
        (sure, "most, 9.0, when eye always says its mean."),
        (unsure, "Nothing that was silenced"),
    ):
        findings.silences[:] = [each]
        assert said in lede(findings)


def test_a_page_of_another_name_is_refused(findings: Findings, tmp_path: Path) -> None:
    with pytest.raises(PoiseError, match=r"must end in \.html"):
        write_findings(findings, tmp_path, tmp_path / "a.pdf", None, "again")


def test_pictures() -> None:
    image = np.random.default_rng(0).random((4, 6, 5)).astype(np.float32)
    assert as_picture(image).shape == (6, 5, 3)
    assert as_picture(image[:1]).shape == (6, 5)
    np.testing.assert_array_equal(as_picture(np.moveaxis(image[:3], 0, -1)), as_picture(image[:3]))
    look = np.array([[0.0, 0.0], [0.0, 1.0]], np.float32)
    shown = overlaid(np.zeros((4, 4), np.float32), look)
    np.testing.assert_allclose(shown[0, 0], [1.0, 1.0, 1.0])
    np.testing.assert_allclose(shown[3, 3], 0.25 + 0.75 * np.array([1.0, 0.45, 0.0]), rtol=1e-6)
    np.testing.assert_allclose(overlaid(np.zeros((2, 2), np.float32), np.ones((2, 2), np.float32)), 1.0)


def test_colours_are_few_and_the_rest_shares_one() -> None:
    assert palette({"a": 0.1, "b": 0.9}) == {"a": 0, "b": 1}
    many = palette({f"g{i}": float(i) for i in range(9)})
    assert [many[f"g{i}"] for i in range(9)] == [6, 6, 6, 0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (-0.0, "0"), (123.4, "123"), (-12.34, "-12.3"), (0.005, "0.00500"), (12345.6, "12,346")],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert written(value) == text
