"""The reading paths: whole, over pages that there are, and no page before those that it needs."""

import re
from pathlib import Path

import pytest

from showcase import paths

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "book"
PAGE = (BOOK / "start/paths.md").read_text(encoding="utf-8")
DOC = re.compile(r"\{doc\}`(?:[^`<]*<)?([^`<>]+)>?`")
NEEDED = re.compile(r"^\*\*You need\*\*(.*?)(?:\*\*Time\*\*|\n\n)", re.S | re.M)
# what a page names beside "You need" and says that one can do without
SPARED = {
    ("foundations/evaluating_agents", "algorithms/dqn_family"),
    ("foundations/evaluating_agents", "algorithms/pixels"),
    ("foundations/policy_gradients", "algorithms/vpg"),
    ("practice/use_it_in_your_project", "algorithms/ppo"),
    ("safety/robustness", "algorithms/trpo"),
    ("algorithms/dqn", "algorithms/writing_dqn_together"),
}


@pytest.fixture(scope="module")
def routes():
    return paths.read(BOOK / paths.DATA)


def leads_to(text: str, part: str) -> set[str]:
    """The pages that a text of this part of the book links to, those of the reference apart."""
    names = (name[1:] if name[0] == "/" else f"{part}/{name}" for name in DOC.findall(text))
    return {name for name in names if not name.startswith("reference/")}


def needs(page: str) -> set[str]:
    """The pages that one should know before this one, as it says itself."""
    found = NEEDED.search((BOOK / f"{page}.md").read_text(encoding="utf-8"))
    named = leads_to(found[1], page.split("/")[0]) if found else set()
    return {name for name in named if (page, name) not in SPARED}


def missing(routes: dict[str, paths.Route]) -> list[str]:
    """Pages that are read before one that they need, which the reader of the path need not know either."""
    found = []
    for name, route in routes.items():
        known = leads_to(route.need, "start")
        for page, _ in route.steps:
            found += [f"{name}: {page} needs {lacks}" for lacks in sorted(needs(page) - known)]
            known.add(page)
    return found


def test_five_readers_have_a_path_and_each_path_its_place(routes):
    assert re.findall(r"^```\{reading-path\} (\w+)$", PAGE, re.M) == [*routes]
    assert [*routes] == ["newcomer", "engineer", "researcher", "roboticist", "safety"]


def test_every_page_is_there_and_says_how_long_it_takes(routes):
    pages = {page for route in routes.values() for page, _ in route.steps}
    gone = sorted(page for page in pages if not (BOOK / f"{page}.md").exists())
    assert gone == [], "a path reads pages that there are not"
    silent = [page for page in sorted(pages) if not paths.minutes((BOOK / f"{page}.md").read_text("utf-8"))]
    assert silent == []
    for route in routes.values():
        assert (
            6
            <= sum(paths.minutes((BOOK / f"{page}.md").read_text("utf-8")) for page, _ in route.steps) / 60
            <= 20
        )


def test_no_page_is_read_before_those_that_it_needs(routes):
    assert missing(routes) == []


def test_a_page_that_comes_too_early_is_seen(routes):
    newcomer = routes["newcomer"]
    turned = {"newcomer": paths.Route(**{**vars(newcomer), "steps": newcomer.steps[::-1]})}
    assert "newcomer: algorithms/dqn needs foundations/learning_from_samples" in missing(turned)


def test_each_step_has_a_reason_of_its_own(routes):
    for name, route in routes.items():
        reasons = [why for _, why in route.steps]
        assert len({*reasons}) == len(reasons), name
        assert all(why.endswith((".", "?")) and len(why.split()) >= 6 for why in reasons), name


def test_every_part_of_the_book_is_on_some_path(routes):
    read = {page.split("/")[0] for route in routes.values() for page, _ in route.steps}
    assert read == {"start", "foundations", "algorithms", "robotics", "safety", "practice"}


def test_what_the_paths_link_to_is_there(routes):
    for route in routes.values():
        text = " ".join([route.need, route.stop, route.can, route.project])
        assert [page for page in leads_to(text, "start") if not (BOOK / f"{page}.md").exists()] == []
