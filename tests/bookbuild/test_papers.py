"""The papers of a topic: titles that lead to them, who and when, what one learns, where they are used."""

import re

import pytest
from pybtex.database import parse_string

from showcase import papers

BIB = r"""
@article{old1990, author={Ann {\"U}ber and Bob van de Panne}, title={A $\pi_0$ of {AI} [sic]}, year={1990},
  journal={J}, doi={10.1016/S0004-3702(99)00052-1}}
@misc{new2020, author={One, A and Two, B and Three, C and Four, D and Five, E and Six, F and Seven, G},
  title={\#{N}ew {things}}, year={2020}, url={https://arxiv.org/abs/2001.00001}}
@misc{team2021, author={{Some Team}}, title={Three_d}, year={2021}}
@misc{many2022, author={One, A and others}, title={Four}, year={2022}, url={https://arxiv.org/abs/2201.00001}}
"""
DATA = """
[new2020]
topics = ["deep", "wide"]
why = "It shows *that* $x$ grows."
pages = ["gamma"]

[old1990]
topics = ["deep"]
why = "It began."
pages = ["alpha"]

[many2022]
topics = ["wide"]
why = "It goes on."
"""
PAGE = """# Papers

```{paper-filter}
```

## Deep

Begin with {cite:t}`old1990`.

```{papers} deep
```

## Wide

```{papers} wide
```
"""


@pytest.fixture(scope="module")
def entries():
    return parse_string(BIB, "bibtex").entries


@pytest.mark.parametrize(
    ("key", "said"),
    [("old1990", r"A $\pi_0$ of AI \[sic\]"), ("new2020", r"\#New things"), ("team2021", r"Three\_d")],
)
def test_a_title_is_markdown_and_its_formulas_are_kept(entries, key, said):
    assert papers.title(entries[key]) == said


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("old1990", "Über and van de Panne"),
        ("new2020", "One, Two, Three, Four, Five and others"),
        ("team2021", "Some Team"),
        ("many2022", "One and others"),
    ],
)
def test_authors_are_named_by_surname_and_not_all_of_many(entries, key, said):
    assert papers.authors(entries[key]) == said


def test_six_are_not_yet_many():
    entry = parse_string("@misc{a, author={A and B and C and D and E and F}, title={T}, year={1}}", "bibtex")
    assert papers.authors(entry.entries["a"]) == "A, B, C, D, E and F"


def test_an_address_is_its_own_or_that_of_its_doi(entries):
    assert papers.address(entries["new2020"]) == "https://arxiv.org/abs/2001.00001"
    assert papers.address(entries["old1990"]) == "https://doi.org/10.1016/S0004-3702(99)00052-1"
    assert papers.address(entries["team2021"]) == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[a]\ntopics = ["x"]\n', "a: why"),
        ('[a]\ntopics = ["x"]\nwhy = "y"\npage = ["z"]\n', "a: page"),
        ("[a]\n[a]\n", "Cannot declare"),
    ],
)
def test_a_line_that_is_wrong_or_twice_is_said(tmp_path, text, said):
    (tmp_path / "papers.toml").write_text(text)
    with pytest.raises(ValueError, match=said):
        papers.read(tmp_path / "papers.toml")


@pytest.fixture
def shown(fresh, sphinx):
    """The fixture book with a page of papers, one of which another page cites."""
    fresh.edit("conf.py", '"myst_nb",', '"myst_nb", "sphinxcontrib.bibtex",')
    fresh.edit("conf.py", '"bookbuild.site.extension"', '"bookbuild.site.extension", "showcase"')
    fresh.edit("conf.py", "nitpicky = True", 'nitpicky = True\nbibtex_bibfiles = ["refs.bib"]')
    fresh.write("refs.bib", BIB)
    fresh.write("book/start/list.md", PAGE)
    fresh.edit("book/index.md", "report\n", "report\nstart/list\n")
    fresh.edit(
        "book/alpha.md", "# Page alpha\n", "# Page alpha\n\nBy {cite:t}`new2020`.\n\n```{bibliography}\n```\n"
    )
    outputs = {"beta": [[], [sphinx.claimed("seven-is-at-least-five", 7.0)]]}

    def render(data: str = DATA, **how):
        fresh.write("book/reference/papers.toml", data)
        made = sphinx.render(
            sphinx.executed(fresh.root, outputs), myst_enable_extensions=["dollarmath"], **how
        )
        return made, made.page("start/list")

    return render


def test_a_topic_has_its_papers_the_oldest_first(shown):
    made, page = shown()
    assert (made.status, made.output) == (0, "")
    deep = re.search(r'<section id="deep">.*?(<ul class="papers">.*?)</section>', page, re.S)[1]
    items = re.findall(r'<li class="(.*?)" id="(.*?)">', deep)
    assert items == [
        ("paper year-1990 topic-deep", "paper-old1990"),
        ("paper year-2020 topic-deep topic-wide", "paper-new2020"),
    ]
    assert 'href="https://doi.org/10.1016/S0004-3702(99)00052-1"' in deep
    assert "Über and van de Panne, 1990" in deep and "It shows <em>that</em>" in deep
    assert deep.count('class="katex"') == 2 and "$" not in re.sub("<annotation.*?</annotation>", "", deep)
    assert '<form class="paper-filter"' in page and "hidden>" in page


def test_where_a_paper_is_used_is_known_from_citations_and_else_from_the_data(shown):
    _, page = shown()
    uses = re.findall(r'<p class="paper-use">(.*?)</p>', page)
    link = '<a class="reference internal" href="../alpha.html">Page alpha</a>.'
    assert uses == [f"Goes with {link}", f"Used in {link}"], "one cited elsewhere, one not, one with no page"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[many2022]", "[gone2022]", "gone2022 is not in the bibliography"),
        ('"alpha"', '"nowhere"', "old1990 goes with nowhere, which is no page"),
        ('["wide"]', '["deep"]', "has no paper on 'wide'"),
        ("why", "because", "papers.toml: new2020: because, why"),
    ],
)
def test_what_is_wrong_with_the_data_turns_the_build_red(shown, old, new, said):
    made, page = shown(DATA.replace(old, new))
    assert made.status == 1 and said in made.output and "build-failed" in page
