"""Numbers begin anew on each page; a bibliography leads back; a cell of a table knows its heading."""

import pytest

FIGURE = "\n:::{{figure}} p.svg\n:name: {0}\n:alt: a picture\n\nA caption of {0}.\n:::\n"


@pytest.fixture
def render(fresh, sphinx):
    """What renders the fixture book with figures on two pages, in the book's own settings."""
    (fresh.root / "book/p.svg").write_text('<svg viewBox="0 0 300 150"></svg>')
    (fresh.root / "refs.bib").write_text(
        "@book{one2001, author={Ann One}, title={A book}, publisher={P}, year={2001}}\n"
    )
    bib = '"myst_nb", "sphinxcontrib.bibtex",'
    fresh.edit("conf.py", '"myst_nb",', bib)
    more = '\nnumfig = True\nbibtex_bibfiles = ["refs.bib"]\nbibtex_reference_style = "author_year"\n'
    fresh.edit(
        "conf.py", "nitpicky = True", f'myst_enable_extensions += ["colon_fence"]{more}nitpicky = True'
    )
    fresh.edit(
        "book/gamma.md", "# Page gamma\n", f"# Page gamma\n{FIGURE.format('one')}{FIGURE.format('two')}"
    )
    named = "\n:::{table} A caption of a table.\n:name: kinds\n\n| a |\n|---|\n| b |\n:::\n"
    table = f"{named}\n| head | more |\n|---|---|\n| cell | |\n\n| | kind |\n|---|---|\n| row | one |\n"
    end = (
        f"{FIGURE.format('three')}\n{{numref}}`two` {{cite:t}}`one2001`\n{table}\n```{{bibliography}}\n```\n"
    )
    fresh.edit("book/alpha.md", "# Page alpha\n", f"# Page alpha\n{end}")
    fresh.edit("book/gamma.md", "# Page gamma\n", "# Page gamma\n\nBy {cite:t}`one2001`.\n")
    outputs = {"beta": [[], [sphinx.claimed("seven-is-at-least-five", 7.0)]]}
    return lambda **how: sphinx.render(sphinx.executed(fresh.root, outputs), **how)


def test_a_page_has_its_own_numbers_and_the_bibliography_leads_back(render):
    built = render()
    assert built.status == 0, built.output
    alpha, gamma = built.page("alpha"), built.page("gamma")
    assert alpha.count("Fig. 1 ") == 1 and "Fig. 3" not in alpha + gamma
    assert alpha.count("Table 1 ") == 1
    assert 'href="gamma.html#two"' in alpha and "Fig. 2" in alpha
    assert 'Cited in <a class="reference internal" href="gamma.html">Page gamma</a>.' in alpha
    assert '<span class="fn-bracket">' not in alpha
    assert '<td data-head="head">' in alpha and '<td data-head="more">' in alpha
    assert '<td role="rowheader" data-head="">' in alpha and alpha.count('role="rowheader"') == 1
    assert (
        '<td class="head"><p></p></td>' in alpha and '<th scope="col" class="head"><p>kind</p></th>' in alpha
    )
    assert render(fresh=False).output == ""
