"""Names in code lead to where they are defined."""

import ast
import io
import re
from types import SimpleNamespace

import pytest
from docutils import nodes
from pygments.lexers import PythonLexer

from bookbuild.engine.project import Project
from bookbuild.site import markup, names
from bookbuild.site.reading import Evidence

CODE = {
    "pkg/__init__.py": "from pkg.ground import tool\n",
    "pkg/ground.py": "def tool():\n    return 1\n",
    "pkg/algorithms/__init__.py": "",
    "pkg/algorithms/one.py": (
        "from pkg import ground\n\nSIZE = 3\n\n\n"
        "def helper():\n    return ground.tool()\n\n\n"
        "def train(size=SIZE):\n    # region: middle\n    x = helper()\n    # endregion\n    return x\n"
    ),
}


@pytest.fixture
def project(fresh) -> Project:
    for file, text in CODE.items():
        fresh.write(f"code/{file}", text)
    return Project.at(fresh.root)


def found(project, text):
    tree = ast.parse(text)
    return [place[2:] for place in names.places(tree, names.imports(tree), project)]


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("from pkg.algorithms import one\none.train()", [("train", "pkg.algorithms.one.train")]),
        ("from pkg.algorithms.one import train as go\ngo()", [("go", "pkg.algorithms.one.train")]),
        ("import pkg.algorithms.one\npkg.algorithms.one.helper", [("helper", "pkg.algorithms.one.helper")]),
        ("import pkg\npkg.tool()", [("tool", "pkg.ground.tool")]),  # where it is defined
        ("from pkg.algorithms import one\none.SIZE, one.nothing", []),  # no functions
        ("import numpy as np\nnp.zeros(3)", []),
        ("from pkg.algorithms.one import train\n\ndef f(train):\n    return train", []),  # its own
    ],
)
def test_a_name_is_what_the_imports_say(project, text, places):
    assert found(project, text) == places


def listing(text, **more):
    block = nodes.literal_block(text, text, language="python")
    box = nodes.container("", block, **more)
    return box, block


def page(project, *boxes):
    """A page with these listings, its names noted."""
    document = nodes.container("", *boxes)
    app = SimpleNamespace(config=SimpleNamespace(book=SimpleNamespace(project=project)))
    names.note_names(app, document)
    return document


def test_what_a_page_uses_and_does_not_show_is_folded_at_its_end(project):
    cell, block = listing("from pkg.algorithms import one\nx = one.train()", nb_element="cell_code_source")
    document = page(project, cell)
    appendix = document.children[-1]
    assert isinstance(appendix, Evidence)
    assert appendix["line"] == "Code that this page uses and does not show (2)"
    assert [box["dotted"] for box in appendix] == ["pkg.algorithms.one.train", "pkg.algorithms.one.helper"]
    assert "region" not in appendix.astext() and "def train(size=SIZE):" in appendix.astext()
    assert block["meanings"] == [(2, 8, "train", "pkg.algorithms.one.train", appendix[0]["ids"][0])]


def test_a_name_leads_to_its_listing_on_the_page_and_a_region_to_the_whole(project):
    cell, block = listing("from pkg.algorithms.one import helper\nhelper()", nb_element="cell_code_source")
    whole, _ = listing(CODE["pkg/algorithms/one.py"].split("\n\n\n")[1], ids=["here"])
    whole["dotted"], whole["region"] = "pkg.algorithms.one.helper", None
    part, inner = listing("x = helper()", ids=["part"])
    part["dotted"], part["region"] = "pkg.algorithms.one.train", "middle"
    document = page(project, cell, whole, part)
    assert block["meanings"] == [(2, 0, "helper", "pkg.algorithms.one.helper", "here")]
    assert inner["meanings"] == [(1, 4, "helper", "pkg.algorithms.one.helper", "here")]
    assert [box["dotted"] for box in document.children[-1]] == ["pkg.algorithms.one.train"]


def test_a_page_that_shows_all_has_no_appendix(project):
    cell, _ = listing("import math\nmath.pi", nb_element="cell_code_source")
    assert page(project, cell).children == [cell]


def test_a_link_stands_at_the_name_and_the_text_stays_what_it_is():
    code = 'é = "é"; f(é)\ng(1)  # (eq-x) and (eq-y)\n"""a\nb""" + f(2)\n'
    at = {(1, 11): "#f", (2, 0): "g.html", (4, 7): "#f"}
    made = markup.LinkingFormatter(names=at, links={"eq-x": "#e"})
    lexer = PythonLexer(stripnl=False)
    out = io.StringIO()
    made.format(lexer.get_tokens(code), out)
    page = out.getvalue()
    links = re.findall(r'<a class="([\w-]+)" href="([^"]+)">(?:<[^>]+>)*([^<]+)', page)
    assert links == [
        ("to-name", "#f", "f"),
        ("to-name", "g.html", "g"),
        ("to-equation", "#e", "eq-x"),
        ("to-name", "#f", "f"),
    ]
    plain = re.sub("<[^>]+>", "", page).replace("&quot;", '"')
    assert plain.strip() == code.strip()
