"""The tables of the verification page, as Markdown."""

import math
import platform
from importlib.metadata import version
from types import SimpleNamespace

import pytest

from bookbuild.engine.project import Project
from bookbuild.site import report


def claim(name="c", held=True, value=7.0, seeds=None, text="a claim"):
    bounds = {"at_least": 5.0, "at_most": None}
    return {"name": name, "text": text, "held": held, "value": value, "seeds": seeds, **bounds}


def outcome(name, *claims, chapter=False, **more):
    page = SimpleNamespace(name=name, is_chapter=chapter, budget=20.0)
    facts = {"seconds": 1.25, "cost": 2.04, "peak_mib": 99.6, "when": "2026-01-02 03:04", "failures": []}
    return SimpleNamespace(page=page, claims=list(claims), **{**facts, **more})


@pytest.fixture
def project(fresh) -> Project:
    return Project.at(fresh.root)


def cells(text: str) -> list[list[str]]:
    return [line[2:-2].split(" | ") for line in text.splitlines() if line.startswith("| ")]


def test_a_table_keeps_its_columns_whatever_a_cell_says():
    text = report.table(["a", "b"], [["x|y", "z"]])
    assert text.splitlines() == ["| a | b |", "| --- | --- |", r"| x\|y | z |"]


def test_claims_stand_under_their_pages_in_order(project):
    outcomes = [outcome("a", claim("one"), claim("uno")), outcome("b", claim("two"))]
    text = report.claims_table(project, outcomes)
    places = [text.index(what) for what in ("{doc}`/a`", "{claim}`a#one`", "{claim}`a#uno`", "{doc}`/b`")]
    assert places == sorted(places)


def test_a_claim_shows_value_bound_seeds_and_calibration(project, fresh):
    fresh.write("benchmarks/claims/algorithms-x.json", '{"claims": {"c": {"values": [6, 7, 8]}}}')
    text = report.claims_table(project, [outcome("algorithms/x", claim(seeds=3), claim("d", held=False))])
    head, _, first, second = cells(text)
    assert head[2:5] == ["measured", "bound", "seeds"]
    measured = "{claim}`algorithms/x#c`"
    assert first[:8] == ["a claim", "holds", measured, "at least 5", "3", "3 of 3", "7 ± 1", "2.0 s.d."]
    assert first[8:] == ["–", "–"]
    assert second[1] == "**fails**" and second[4] == "exact"


def test_the_claims_of_a_page_are_folded_unless_one_fails(project, fresh):
    fresh.write(
        "benchmarks/claims/a.json", '{"claims": {"c": {"values": [6, 7, 8]}, "d": {"values": [5, 7]}}}'
    )
    good, bad = [claim(seeds=3), claim("d", seeds=3)], [claim(), claim("d", held=False)]
    text = report.claims_table(project, [outcome("a", *good), outcome("b", *bad)])
    first, second = text.split("</details>")[:2]
    assert first.startswith(
        '<details class="claims"><summary>a: 2 of 2 hold, least margin 0.7 s.d.</summary>\n\n{doc}`/a`'
    )
    assert second.strip().startswith('<details class="claims" open><summary>b: 1 of 2 hold</summary>\n')


def test_a_chapter_without_a_claim_is_named_and_another_page_is_not(project):
    text = report.claims_table(project, [outcome("algorithms/x", chapter=True), outcome("start/y")])
    assert text == "**{doc}`/algorithms/x` makes no claim.**"
    assert report.claims_table(project, [outcome("start/y")]) == "No page makes a claim."


def test_every_page_shows_its_run(project):
    bad = outcome("b", failures=["x"], peak_mib=math.nan)
    rows = cells(report.pages_table(project, [outcome("a"), bad]))[2:]
    assert rows[0] == ["{doc}`/a`", "1.2 s", "2.0 s", "20 s", "100 MiB", "2026-01-02 03:04", "ran"]
    assert rows[1][-1] == "failed"


def test_the_machine_shows_versions_processor_and_commit(project):
    rows = dict(cells(report.machine_table(project, [])))
    assert rows["commit"] == "not under version control"
    assert rows["Python"] == f"CPython {platform.python_version()}"
    assert rows["numpy"] == version("numpy")
    assert rows["processor"].endswith(" cores") and report.processor()
