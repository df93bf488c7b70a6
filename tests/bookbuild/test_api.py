"""The page of docstrings: all that is public, nothing that is not, and red where a docstring is missing."""

import re
from html import unescape
from pathlib import Path

import pytest

from bookbuild.engine.project import Project
from bookbuild.site import api

ROOT = Path(__file__).parents[2]
CONF = """
nitpick_ignore_regex = [("py:.*", r"(?!sample).*")]
"""
GROUND = '''"""Things that all use.

Book: alpha
"""

from dataclasses import dataclass, field
from pathlib import Path

import no_such_package


@dataclass
class Config:
    """What there is to choose."""

    rate: float = 0.5
    """share kept: 0 keeps nothing"""
    more: list[Path] = field(default_factory=list)

    @property
    def rest(self) -> float:
        """What is left: one without ``rate``."""
        return 1 - self.rate

    def _hidden(self): ...

    @classmethod
    def make(cls, rate: float, many=1) -> Self:
        """Another."""


def load(path: Path, config: Config = None) -> "Config":
    """Read a file; (B, *shape) of *it*.

    Args:
        path: where it lies.

    Raises:
        ValueError: it is broken.

    Book: start/here, gamma#claim
    """

def _private(): ...
'''
FILES = {
    "__init__.py": '"""The package."""',
    "ground.py": GROUND,
    "_secret.py": '"""Not shown."""',
    "zebra/__init__.py": '"""Not a part of the book."""',
    "robotics/__init__.py": '"""Robots."""',
    "robotics/arm.py": '"""An arm."""\n\nasync def move():\n    """Move it."""\n',
    "algorithms/__init__.py": '"""Algorithms."""',
}


def outputs(sphinx) -> dict:
    return {"beta": [[], [sphinx.claimed("seven-is-at-least-five", 7.0)]]}


def add_sample(root: Path) -> None:
    for name, text in FILES.items():
        file = root / "code" / "sample" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


@pytest.fixture
def sample(fresh):
    """The fixture book with a package of its own, and the page that shows it."""
    add_sample(fresh.root)
    fresh.write("book/api.md", "# Names\n\n```{api} sample\n```\n")
    fresh.write("book/start/here.md", "# Start here\n")
    fresh.edit("book/index.md", "report\n", "report\napi\nstart/here\n")
    (fresh.root / "conf.py").write_text((fresh.root / "conf.py").read_text() + CONF)
    return fresh


def test_modules_come_in_the_order_of_the_book_and_private_ones_not_at_all(fresh):
    add_sample(fresh.root)
    names = list(api.public_modules(Project.at(fresh.root), "sample"))
    inner = ["ground", "zebra", "algorithms", "robotics", "robotics.arm"]
    assert names == ["sample", *(f"sample.{name}" for name in inner)]


@pytest.mark.parametrize(
    "docstring, gap",
    [
        ('"""Things that all use.\n\nBook: alpha\n"""', "m"),
        ('"""What there is to choose."""', "m.Config"),
        ('"""What is left: one without ``rate``."""', "m.Config.rest"),
    ],
)
def test_a_missing_docstring_is_named(tmp_path, docstring, gap):
    file = tmp_path / "m.py"

    def undocumented(text: str) -> list[str]:
        file.write_text(text)
        return [name for name, _, docstring, _ in api.described("m", file) if not docstring]

    assert undocumented(GROUND) == []
    assert docstring in GROUND
    assert undocumented(GROUND.replace(docstring, "")) == [gap]
    assert undocumented('"""M."""\nasync def f(): ...\n') == ["m.f"]


def test_the_page_shows_what_is_public_with_its_page_and_its_source(sample, sphinx, monkeypatch):
    monkeypatch.setenv("BOOK_REPOSITORY_URL", "https://example.org/book")
    built = sphinx.render(sphinx.executed(sample.root, outputs(sphinx)), nitpicky=True)
    assert built.status == 0, built.output
    page = built.page("api")
    ids = set(re.findall(r'id="(sample\.[\w.]+)"', page))
    shown = {"Config", "Config.rate", "Config.rest", "Config.make", "load"}
    assert ids == {*(f"sample.ground.{name}" for name in shown), "sample.robotics.arm.move"}
    text = " ".join(unescape(re.sub("<[^>]+>", " ", page)).split())
    assert "share kept: 0 keeps nothing" in text and "What is left: one without rate ." in text
    assert "Type :" not in text and "(B, *shape) of it ." in text
    assert "Config (rate: float = 0.5, more: list[Path] = ...)" in text
    assert "load (path: Path, config: Config = None) → 'Config'" in text and "rest : float [source]" in text
    assert "make (rate: float, many = 1) → Self" in text and "rate : float = 0.5" in text
    assert re.search(r"Parameters : path .{0,20} where it lies. Raises : ValueError – it is broken.", text)
    start = '<a class="reference internal" href="start/here.html"><span class="doc">Start here</span></a>'
    assert f"In the book: {start}, <a" in page and 'href="gamma.html"' in page
    line = GROUND.splitlines().index('def load(path: Path, config: Config = None) -> "Config":') + 1
    assert f"https://example.org/book/blob/main/code/sample/ground.py#L{line}-L" in page
    assert page.index('id="zebra"') < page.index('id="algorithms"') < page.index('id="robotics"')
    assert "_private" not in page and "_hidden" not in page and "Not shown" not in page


def test_a_public_name_without_a_docstring_and_a_page_that_is_not_there_are_failures(sample, sphinx):
    sample.edit("code/sample/robotics/arm.py", '"""Move it."""', "...")
    sample.edit("code/sample/ground.py", "Book: alpha", "Book: start/nowhere")
    built = sphinx.render(sphinx.executed(sample.root, outputs(sphinx)), nitpicky=True)
    assert built.status == 1
    assert "api: sample.robotics.arm.move has no docstring" in built.output
    assert "start/nowhere" in built.output
    assert "build-failed" in built.page("api")
    sample.write("code/sample/broken.py", "def f(:")
    assert "broken.py:1: Python cannot read this" in sphinx.render(sphinx.executed(sample.root, {})).output
    sample.edit("book/api.md", "{api} sample", "{api} simple")
    assert "api: code/ has no package 'simple'" in sphinx.render(sphinx.executed(sample.root, {})).output
    assert "example.org" not in built.page("api")


@pytest.mark.book
def test_every_public_function_and_class_of_the_package_stands_in_the_built_page():
    page = (ROOT / "_build" / "html" / "reference" / "api.html").read_text(encoding="utf-8")
    missing = []
    for name, file in api.public_modules(Project.at(ROOT), "rlworkshop").items():
        source = file.read_text(encoding="utf-8")
        public = re.findall(r"^(?:async )?(?:def|class) ([A-Za-z]\w*)", source, re.M)
        missing += [f"{name}.{one}" for one in public if f'id="{name}.{one}"' not in page]
    assert missing == []
