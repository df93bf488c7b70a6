"""The title page: what it takes from the build, and that its CartPole is Gymnasium's."""

import json
import re

import pytest

from showcase import landing

POLICIES = [{"steps": n, "return": 9.5, "layers": [[[[1, 0, 0, 0], [0, 0, 1, 0]], [0, 0.1]]]} for n in (5, 9)]
PLAYS = "```{playground} beta policies\nIt learned in `</script>`\n```\n\nOf {fact}`claims` claims\n\n"


@pytest.fixture
def shown(fresh, sphinx):
    """The title page of the fixture book with this text, where a page has glued this."""
    fresh.edit("conf.py", '"bookbuild.site.extension"', '"bookbuild.site.extension", "showcase"')

    def render(prose: str, glued: object = None, **facts):
        fresh.edit("book/index.md", "```{toctree}", f"{prose}\n\n```{{toctree}}")
        glue = [sphinx.glued("policies", repr(glued))] if glued else []
        outputs = {"beta": [glue, [sphinx.claimed("seven-is-at-least-five", 7.0)]]}
        made = sphinx.render(sphinx.executed(fresh.root, outputs, **facts))
        return made, made.page("index")

    return render


def test_what_a_page_has_glued_is_found(sphinx, fresh):
    book = sphinx.executed(fresh.root, {"beta": [[sphinx.glued("x", repr("it's")), sphinx.glued("y", "2")]]})
    assert landing.kept(book, "beta", "x") == "it's" and landing.kept(book, "beta", "y") == 2
    assert landing.kept(book, "beta", "z") is None and landing.kept(book, "nowhere", "x") is None


def test_the_title_page_plays_what_a_page_has_trained(shown):
    made, page = shown(PLAYS, json.dumps([*POLICIES, {"odd": "</script>"}]))
    assert (made.status, made.output) == (0, "")
    assert json.loads(re.search(r'<script type="application/json">(.*?)</script>', page)[1])[:2] == POLICIES
    assert 'max="2"' in page and "It learned in" in page and "Of 1 claims" in page
    assert "<title>A small book</title>" in re.sub(r"\s*(</?title>)\s*", r"\1", page)
    assert "A small book" in made.page("beta").split("</title>")[0]


def test_without_policies_there_is_a_drawing_and_the_build_is_red(shown):
    made, page = shown(PLAYS)
    assert made.status == 1 and "beta has glued no 'policies' in this build" in made.output
    assert "build-failed" in page


def test_a_title_page_that_is_built_alone_shows_the_drawing(shown):
    made, page = shown(PLAYS, only="index")
    assert made.status == 0, made.output
    assert "<svg" in page and '<script type="application/json' not in page and 'type="range"' not in page


def test_facts_are_those_of_the_build(shown):
    prose = " ".join(f"{{fact}}`{name}`" for name in ("claims", "pages", "exercises", "minutes"))
    made, page = shown(f"It has {prose}.", exercises={name: {"page": "x"} for name in "ab"}, only="index")
    assert made.status == 0 and "It has 1 3 2 0." in page
    made, page = shown("And {fact}`wonders`.")
    assert made.status == 1 and "there is no 'wonders', but claims, pages" in made.output
