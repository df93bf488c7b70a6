"""The key papers: whole, in their topics, each with a sentence of its own and a page that it goes with."""

import re
from collections import Counter
from pathlib import Path

import pytest
from pybtex.database import parse_file

from showcase import papers

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "book"
BIB = BOOK / "reference/references.bib"
PAGE = (BOOK / "practice/key_papers.md").read_text(encoding="utf-8")
CITED = re.compile(r"\{cite:\w+\}`([^`]+)`")
ADDRESS = re.compile(r"https?://[\w.~-]+(/[\w.~%()/?=&:+-]*)?")
ARXIV = re.compile(r"https://arxiv\.org/abs/(\d{2})(\d{2})\.(\d{4,5})(v\d+)?")
LATE = {"taiga2020bonus"}  # put there after the conference
DOI = re.compile(r"10\.\d{4,9}/\S+")


@pytest.fixture(scope="module")
def listed():
    return papers.read(BOOK / papers.DATA)


@pytest.fixture(scope="module")
def entries():
    return parse_file(BIB).entries


def test_no_work_is_in_the_bibliography_twice():
    keys = re.findall(r"^@\w+\{([^,\s]+)", BIB.read_text(encoding="utf-8"), re.M)
    assert [key for key, times in Counter(keys).items() if times > 1] == [], "delete one of each"
    titles = Counter(
        re.sub(r"\W", "", entry.fields["title"].lower()) for entry in parse_file(BIB).entries.values()
    )
    assert [title for title, times in titles.items() if times > 1] == []


def test_there_are_many_and_each_topic_has_some_and_its_place(listed):
    topics = re.findall(r"^```\{papers\} (\w+)$", PAGE, re.M)
    assert len(listed) >= 150
    assert len(topics) == len({*topics}) == 19
    assert {topic for paper in listed for topic in paper.topics} == {*topics}
    first = Counter(paper.topics[0] for paper in listed)
    assert [topic for topic in topics if first[topic] < 5] == []
    assert [paper.key for paper in listed if len({*paper.topics}) < len(paper.topics)] == []


def test_each_has_an_entry_with_authors_a_year_and_an_address(listed, entries):
    assert [paper.key for paper in listed if paper.key not in entries] == []
    for paper in listed:
        entry = entries[paper.key]
        assert entry.persons["author"] and papers.title(entry), paper.key
        assert 1900 < int(entry.fields["year"]) <= 2026, paper.key
        assert ADDRESS.fullmatch(papers.address(entry)), paper.key
        if "doi" in entry.fields:
            assert DOI.fullmatch(entry.fields["doi"]), paper.key


def test_a_number_of_arxiv_is_one_and_not_from_after_the_work_appeared(listed, entries):
    seen = 0
    for paper in listed:
        if (address := papers.address(entries[paper.key])).startswith("https://arxiv.org"):
            found = ARXIV.fullmatch(address)
            assert found, address
            year, month = 2000 + int(found[1]), int(found[2])
            assert 1 <= month <= 12 and len(found[3]) == (4 if year < 2015 else 5), address
            assert year <= int(entries[paper.key].fields["year"]) or paper.key in LATE, address
            seen += 1
    assert seen > 150


def test_each_says_in_a_sentence_of_its_own_what_one_learns(listed):
    for paper in listed:
        assert len(re.findall(r"[\w'’-]+", paper.why)) >= 8, paper.key
        assert paper.why[0].isupper() or paper.why[0] == "$", paper.key
        assert re.search(r"[.?]$", paper.why), paper.key
    said = Counter(paper.why for paper in listed)
    assert max(said.values()) == 1


def test_each_goes_with_a_page_that_there_is(listed):
    pages = {
        page: page.read_text(encoding="utf-8") for page in BOOK.glob("*/*.md") if page.stem != "key_papers"
    }
    cited = {
        key.strip() for text in pages.values() for keys in CITED.findall(text) for key in keys.split(",")
    }
    names = {page.relative_to(BOOK).with_suffix("").as_posix() for page in pages}
    assert [paper.key for paper in listed if not {*paper.pages} <= names] == []
    assert [paper.key for paper in listed if paper.key not in cited and not paper.pages] == []


def test_they_reach_up_to_this_year_and_back_to_before_computers(listed, entries):
    years = Counter(int(entries[paper.key].fields["year"]) for paper in listed)
    assert min(years) < 1940 and years[2026] >= 3 and years[2025] >= 10
