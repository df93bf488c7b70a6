"""Agendas: minutes that add up, and a table that leads on."""

import copy
import re
from pathlib import Path

import pytest

from showcase import agendas

ROOT = Path(__file__).parents[2]
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
