"""The field's words lead to the glossary where a section first uses them."""

from types import SimpleNamespace

import pytest
from docutils import nodes
from sphinx import addnodes

from bookbuild.site import terms

GLOSSARY = """# Glossary

```{glossary}
:sorted:

value
  What it is worth. A state has one.

value function
  A **map**.

MDP
  A process.
```
"""


@pytest.fixture
def linked(tmp_path):
    """The links made in paragraphs with these texts: what is shown, and the term."""

    def links(*parts, page="foundations/x") -> list[tuple[str, str]]:
        (tmp_path / "glossary.md").write_text(GLOSSARY)
        document = nodes.container("", *parts)
        env = SimpleNamespace(
            docname=page, doc2path=lambda name: tmp_path / "glossary.md", note_dependency=print
        )
        before = document.astext()
        terms.link_terms(SimpleNamespace(env=env), document)
        assert document.astext() == before
        found = document.findall(addnodes.pending_xref)
        return [(link.astext(), link["reftarget"]) for link in found]

    return links


def p(text):
    return nodes.paragraph("", text)


def test_the_first_use_of_each_term_is_linked_and_the_longer_term_wins(linked):
    found = linked(p("A value function has values. An MDP has a value."), p("More values, MDPs."))
    assert found == [("value function", "value function"), ("values", "value"), ("MDP", "MDP")]


@pytest.mark.parametrize("verb", ["It values", "Who values", "What each values", "this\nvalues"])
def test_what_somebody_does_is_no_term(linked, verb):
    assert linked(p(f"{verb} much, and has values."), p("More value.")) == [("values", "value")]
    assert linked(p(f"{verb} much."), p("More value.")) == [("value", "value")]


def test_each_section_links_anew_and_its_subsections_do_not(linked):
    inner = nodes.section("", p("A value and an MDP."))
    page = nodes.section(
        "", p("A value."), nodes.section("", p("A value."), inner), nodes.section("", p("An MDP."))
    )
    assert [term for _, term in linked(page)] == ["value", "value", "MDP", "MDP"]


def test_a_term_is_found_with_a_capital_and_in_bold_but_not_inside_a_word(linked):
    assert linked(p("Devalued mdp evaluation, value-based.")) == []
    bold = nodes.paragraph("", "", nodes.strong("", "Values"))
    assert linked(bold) == [("Values", "value")]


def test_code_headings_links_and_listings_stay_as_they_are(linked):
    quiet = [
        nodes.title("", "Value"),
        nodes.paragraph("", "", nodes.literal("", "value")),
        nodes.paragraph("", "", nodes.reference("", "value", refuri="x")),
        nodes.container("", p("value"), classes=["cell_output"]),
    ]
    assert linked(*quiet) == []


def test_what_the_author_has_linked_is_not_linked_twice(linked):
    own = addnodes.pending_xref("", nodes.inline("", "worth"), reftype="term", reftarget="value")
    assert linked(nodes.paragraph("", "", own), p("The value.")) == [("worth", "value")]


@pytest.mark.parametrize("page", ["reference/glossary", "index"])
def test_the_glossary_and_the_front_page_have_no_such_links(linked, page):
    assert linked(p("The value."), page=page) == []
