"""Agendas: minutes that add up, on a made-up day and on the real ones, and a table that leads on."""

import copy
import re
from pathlib import Path

import pytest

from showcase import agendas

ROOT = Path(__file__).parents[2]
WORKSHOP = ROOT / "book" / "workshop"
DAYS = agendas.read(ROOT / "book")
BLOCKS = [(name, block) for name, day in DAYS.items() for block in day["blocks"]]
DAY = {
    "title": "A day", "starts": "09:00", "ends": "10:15",
    "blocks": [
        {"start": "09:00", "minutes": 45, "kind": "talk", "title": "One", "guide": "g",
         "pages": ["a/b"], "slides": "s"},
        {"start": "09:45", "minutes": 30, "kind": "rest", "title": "Two", "guide": "h", "pages": []},
    ],
}  # fmt: skip


def test_a_day_that_adds_up_has_no_faults():
    assert agendas.faults(DAY) == []
    assert agendas.totals(DAY) == {"talk": 45, "hands": 0, "people": 0, "rest": 30}


@pytest.mark.parametrize(
    ("change", "words"),
    [({"minutes": 44}, "Two begins at 09:45, what is before it ends at 09:44"),
     ({"minutes": 46}, "Two begins at 09:45, what is before it ends at 09:46"),
     ({"start": "09:01"}, "One begins at 09:01, what is before it ends at 09:00"),
     ({"kind": "nap"}, "One is of no known kind: nap")],
)  # fmt: skip
def test_what_does_not_add_up_is_said(change, words):
    day = copy.deepcopy(DAY)
    day["blocks"][0] |= change
    assert words in agendas.faults(day)


def test_a_day_that_ends_at_another_time_is_said():
    assert agendas.faults(DAY | {"ends": "10:00"}) == ["the last block does not end at 10:00"]


def test_the_table_leads_to_guides_and_pages():
    table = agendas.table(DAY)
    assert table[2] == "| 09:00 | 45 | {ref}`One <g>` | {doc}`/a/b` | `s` |"
    assert table[4] == "| 10:15 | 75 | *end* | | |"
    assert table[-1].startswith("*45 minutes of talks, 0 minutes at the keyboard, ")
    assert table[-1].endswith(", 30 minutes of rest.*")


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


TOML = """[small]
title = "A day"
starts = "09:00"
ends = "09:30"
blocks = [{ start = "09:00", minutes = 30, kind = "talk", title = "One", guide = "g-one", pages = ["beta"] }]
"""


@pytest.fixture
def page(fresh, sphinx):
    """The title page of the fixture book with an agenda: what Sphinx said, and the page."""

    def render(name: str, toml: str = TOML):
        fresh.edit("conf.py", '"bookbuild.site.extension"', '"bookbuild.site.extension", "showcase"')
        fresh.write("book/workshop/_agendas.toml", toml)
        shown = f"(g-one)=\n## Guide\n\n```{{agenda}} {name}\n```\n\n```{{toctree}}"
        fresh.edit("book/index.md", "```{toctree}", shown)
        outputs = {"beta": [[], [sphinx.claimed("seven-is-at-least-five", 7.0)]]}
        made = sphinx.render(sphinx.executed(fresh.root, outputs), exclude_patterns=["**/_*"])
        return made, made.page("index")

    return render


def test_an_agenda_stands_on_its_page_with_links(page):
    made, text = page("small")
    assert (made.status, made.output) == (0, "")
    table = re.search(r'<div class="agenda[^"]*">(.*?)</table>', text, re.S)[1]
    assert 'href="#g-one"' in table and 'href="beta.html"' in table and "09:30" in table
    assert "30 minutes of talks" in text


@pytest.mark.parametrize(
    ("name", "toml", "words"),
    [("large", TOML, "there is no day 'large' in _agendas.toml, but small"),
     ("small", TOML.replace("minutes = 30", "minutes = 20"), "small: the last block does not end at 09:30"),
     ("small", TOML.replace("beta", "none"), "none")],
)  # fmt: skip
def test_an_agenda_that_is_wrong_turns_the_build_red(page, name, toml, words):
    made, _ = page(name, toml)
    assert made.status == 1 and words in made.output
