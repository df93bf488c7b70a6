"""The workshop's real days: minutes, guides, pages and slides that fit."""

import re
from pathlib import Path

import pytest

from showcase import agendas

ROOT = Path(__file__).parents[2]
WORKSHOP = ROOT / "book" / "workshop"
DAYS = agendas.read(ROOT / "book")
BLOCKS = [(name, block) for name, day in DAYS.items() for block in day["blocks"]]


@pytest.mark.parametrize("name", DAYS)
def test_the_real_days_add_up(name):
    assert agendas.faults(DAYS[name]) == []
    kinds = agendas.totals(DAYS[name])
    assert kinds["rest"] >= 90 and kinds["hands"] > kinds["talk"], "a workshop, with breaks"


def test_every_real_block_has_a_guide_pages_and_slides_that_fit():
    labels = re.findall(r"^\(([\w-]+)\)=$", (WORKSHOP / "facilitators_guide.md").read_text(), re.M)
    for name, block in BLOCKS:
        assert block["guide"] in labels, (name, block["title"])
        for page in block["pages"]:
            assert (ROOT / "book" / f"{page}.md").exists(), (name, page)
        if "slides" in block:
            talk = (WORKSHOP / "_slides" / f"{block['slides']}.md").read_text()
            minutes = int(re.search(r"^minutes: (\d+)$", talk, re.M)[1])
            assert minutes <= block["minutes"] <= minutes + 10, (name, block["title"])


def test_every_talk_has_its_place_in_some_day_and_every_guide_a_block():
    talks = {file.stem for file in (WORKSHOP / "_slides").glob("*.md")}
    assert talks == {block["slides"] for _, block in BLOCKS if "slides" in block}
    labels = re.findall(r"^\((guide-[\w-]+)\)=$", (WORKSHOP / "facilitators_guide.md").read_text(), re.M)
    assert set(labels) == {block["guide"] for _, block in BLOCKS} | {"guide-answers"}


def test_projects_and_dqn_have_the_time_that_was_missing():
    def minutes(day: str, guide: str) -> int:
        return sum(block["minutes"] for name, block in BLOCKS if name == day and block["guide"] == guide)

    assert minutes("one_day", "guide-dqn") >= 90 and minutes("one_day", "guide-projects") >= 100
    assert minutes("second_of_two", "guide-projects") >= 200
    for day in ("one_day", "first_of_two"):
        order = [block["guide"] for name, block in BLOCKS if name == day]
        assert order.index("guide-choosing") < len(order) - 1, "chosen before there is time to work"


def test_each_guide_has_its_five_lines():
    text = (WORKSHOP / "facilitators_guide.md").read_text()
    for label, part in re.findall(r"^\((guide-[\w-]+)\)=\n(.*?)(?=^\(guide|\Z)", text, re.M | re.S):
        if label != "guide-answers":
            parts = re.findall(r"^\*\*([\w ]+)\.\*\*(?: |$)", part, re.M)
            assert parts == ["Goal", "Clock", "What goes wrong", "Ask", "By level"], label
