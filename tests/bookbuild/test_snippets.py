"""A snippet on a page: source, file, test, and what can be copied."""

import json
import re
from html import unescape
from types import SimpleNamespace

import pytest
from docutils import nodes

from bookbuild.engine.project import Project
from bookbuild.site import snippets
from standalone import export as standalone

from .conftest import THINGS


@pytest.fixture
def project(fresh) -> Project:
    fresh.write("code/tiny/things.py", THINGS)
    fresh.write("code/tiny/sub/__init__.py", "def here():\n    return 1\n")
    fresh.write("code/tiny/sub/leaf.py", "def there():\n    return 2\n")
    return Project.at(fresh.root)


class Domain:
    """What the domain of the pages is told."""

    def __init__(self):
        self.warnings, self.implemented = [], []

    def warn(self, *warning):
        self.warnings.append(warning)

    def note(self, kind, page, what):
        if kind == "implemented":
            self.implemented.append(what)


def page_of(project, docname="alpha", **tests):
    """What a directive on a page stands on."""
    book = SimpleNamespace(project=project, tests=SimpleNamespace(log="tested.log", **tests))
    domain = Domain()
    return SimpleNamespace(
        docname=docname, temp_data={}, note_dependency=lambda file: None, get_domain=lambda name: domain,
        config=SimpleNamespace(book=book),
    )  # fmt: skip


def run(kind, env, dotted, **options):
    """The first node that a directive makes in its place."""
    made = kind.__new__(kind)
    made.state = SimpleNamespace(document=SimpleNamespace(settings=SimpleNamespace(env=env)))
    made.arguments, made.options, made.lineno = [dotted], options, 7
    return made.run()[0]


def directive(project, dotted, region=None, tests=("x.py::test_a", "x.py::test_b"), page=None, **more):
    """The nodes that the directive makes, and the warnings that it gave. ``page``: where it stands."""
    page = page or page_of(project)
    page.config.book.tests.entering = page.config.book.tests.naming = lambda *asked: list(tests)
    options = {"region": region, **more} if region else more
    return run(snippets.SnippetDirective, page, dotted, **options), page.get_domain("book").warnings


def test_a_function_is_tested_by_what_enters_its_lines_and_a_dataclass_by_what_names_it(project):
    asked = []

    def answer(*question):
        asked.append(question)
        return ["t"]

    page = page_of(project, entering=answer, naming=answer)
    run(snippets.SnippetDirective, page, "tiny.things.plain", region="work")
    run(snippets.SnippetDirective, page, "tiny.things.Config")
    first = THINGS.splitlines().index("    y = x + 1") + 1
    file = project.code / "tiny/things.py"
    assert asked == [(file, {first, first + 1, first + 2}, "plain"), ("Config",)]
    assert page.get_domain("book").warnings == []


def test_the_page_shows_source_file_and_test(project, monkeypatch):
    monkeypatch.delenv("BOOK_REPOSITORY_URL", raising=False)
    node, warnings = directive(project, "tiny.things.plain", "work")
    assert warnings == []
    assert node.children[0].astext() == "y = x + 1\nif y:\n    y += 1"
    assert node.children[1].astext() == "code/tiny/things.py · tested by test_a and 1 more"
    assert node["ids"] == ["code-tiny-things-plain-work"]


def test_the_file_is_linked_where_the_book_is_hosted(project, monkeypatch):
    monkeypatch.setenv("BOOK_REPOSITORY_URL", "https://example.org/b")
    node, _ = directive(project, "tiny.things.decorated", tests=("x.py::test_a",))
    first = THINGS.splitlines().index("@cache") + 1
    (link,) = node.children[1].findall(nodes.reference)
    assert link["refuri"] == f"https://example.org/b/blob/main/code/tiny/things.py#L{first}-L{first + 3}"
    assert node.children[1].astext().endswith("tested by test_a")


def buttons(node) -> tuple[dict[str, str], dict[str, str]]:
    """The buttons of a snippet (label to what they copy), and the texts kept (by id)."""
    markup = node.children[2].astext()
    found = re.findall(r'<button type="button" data-copy="([^"]+)" aria-label="([^"]+)"', markup)
    kept = re.findall(r'<script type="application/json" id="([^"]+)">(.*?)</script>', markup, re.DOTALL)
    return {unescape(label): what for what, label in found}, {key: json.loads(text) for key, text in kept}


def test_a_snippet_carries_its_standalone_text_once_a_page(project):
    page = page_of(project)
    node, _ = directive(project, "tiny.things.plain", "work", page=page)
    labels, kept = buttons(node)
    key = labels["Copy standalone: plain"]
    assert labels == {"Copy plain": "shown", "Copy standalone: plain": key}
    assert kept == {key: standalone.standalone(project, "tiny.things.plain")}
    again, _ = directive(project, "tiny.things.plain", page=page)
    assert buttons(again) == (labels, {})  # the same text serves all regions
    other, _ = directive(project, "tiny.things.decorated", page=page)
    assert list(buttons(other)[1]) != [key] and len(buttons(other)[1]) == 1


OLD = "def old(x):\n" + "".join(f"    a{i} = x\n" for i in range(12)) + "    return x  # (eq-old)\n"
NEW = OLD.replace("def old", "def new").replace("x  # (eq-old)", "a0  # (eq-new)")


def test_a_difference_shows_what_goes_what_comes_and_where_lines_are_left_out(project, fresh):
    fresh.write("code/tiny/neighbours.py", OLD + "\n\n" + NEW)
    node, warnings = directive(project, "tiny.neighbours.new", diff="tiny.neighbours.old")
    assert warnings == [] and node.children[0]["language"] == "diff"
    shown = node.children[0].astext().splitlines()
    assert shown[:3] == ["-def old(x):", "+def new(x):", "     a0 = x"]
    assert shown[5] == " ⋮" and shown[6] == "     a9 = x"
    assert shown[-2:] == ["-    return x  # (eq-old)", "+    return a0  # (eq-new)"]
    assert "code/tiny/neighbours.py · changed from tiny.neighbours.old · " in node.children[1].astext()
    assert list(buttons(node)[0]) == ["Copy standalone: new"]  # a difference is no code to be copied
    page = page_of(project)
    directive(project, "tiny.neighbours.new", diff="tiny.neighbours.old", page=page)
    anchor = "code-tiny-neighbours-new-diff"
    assert page.get_domain("book").implemented == [("eq-new", anchor)]


def test_modules_are_compared_whole(project, fresh):
    fresh.write("code/tiny/before.py", OLD)
    fresh.write("code/tiny/after.py", OLD + "\n\ndef more():\n    return 1\n")
    node, warnings = directive(project, "tiny.after", diff="tiny.before")
    assert warnings == []
    assert node.children[0].astext().splitlines()[0] == " ⋮"
    assert node.children[0].astext().endswith("+def more():\n+    return 1")


@pytest.mark.parametrize(
    ("other", "words"), [("tiny.things.plain", "the two are the same"), ("tiny.things.gone", "method 'gone'")]
)
def test_a_difference_that_cannot_be_shown_warns(project, other, words):
    node, ((message, *_),) = directive(project, "tiny.things.plain", diff=other)
    assert words in message and words in node.astext()


def test_no_text_can_end_its_script(project, fresh):
    text = 'def tag():\n    return "</script><!-- <b>\\n"\n'
    fresh.write("code/tiny/markup.py", text)
    node, _ = directive(project, "tiny.markup.tag")
    ((kept,),) = [buttons(node)[1].values()]
    assert kept.endswith(text) and node.children[2].astext().count("</script>") == 1


def test_a_snippet_that_cannot_be_taken_away_warns(project, fresh):
    fresh.write("code/tiny/stuck.py", "from tiny import things\n\n\ndef f():\n    return vars(things)\n")
    node, ((message, page, line),) = directive(project, "tiny.stuck.f")
    assert message.startswith("snippet: code/tiny/stuck.py:5: the module tiny.things is used as a value")
    assert (page, line) == ("alpha", 7) and "used as a value" in node.astext()


def download(project, dotted, docname="part/alpha"):
    """The markup that ``{download-module}`` makes, and the warnings that it gave."""
    page = page_of(project, docname)
    return run(snippets.DownloadModuleDirective, page, dotted).astext(), page.get_domain("book").warnings


def test_a_module_can_be_downloaded(project):
    markup, warnings = download(project, "tiny.things")
    text = standalone.standalone(project, "tiny.things")
    assert warnings == []
    assert '<a class="download-module" href="../_downloads/things.py" download>things.py</a>' in markup
    assert f"({round(len(text) / 1000)} kB, {len(text.splitlines())} lines)" in markup
    assert 'href="_downloads/things.py"' in download(project, "tiny.things", "alpha")[0]


@pytest.mark.parametrize(
    ("dotted", "words"),
    [
        ("tiny.things.plain", "tiny.things.plain is no module"),
        ("no.such", "no module of code/ holds 'no.such'"),
    ],
)
def test_what_cannot_be_downloaded_warns(project, dotted, words):
    markup, ((message, page, line),) = download(project, dotted)
    assert words in message and words in markup and (page, line) == ("part/alpha", 7)


@pytest.mark.parametrize(
    ("dotted", "region", "tests", "words"),
    [
        ("tiny.things.gone", None, ("x",), "no function, class or method 'gone'"),
        ("tiny.things.plain", None, (), "no passing test enters tiny.things.plain: write one, or see tested"),
        ("tiny.things.plain", "work", (), "no passing test enters tiny.things.plain, region work"),
    ],
)
def test_a_snippet_that_cannot_be_shown_warns_with_page_and_line(project, dotted, region, tests, words):
    node, ((message, page, line),) = directive(project, dotted, region, tests)
    assert words in message and words in node.astext()
    assert (page, line) == ("alpha", 7)
