"""The reference pages know what the other pages use."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENT = re.compile(r"""["`]([A-Z]\w*-v\d+)["`]""")
OWN = re.compile(r"""register\(\s*["']([A-Z]\w*-v\d+)["']""")


def environments_without_an_entry(book: Path) -> list[str]:
    """Environments that a page names in code and does not make itself, but that are not in the reference."""
    known = set(ENVIRONMENT.findall((book / "reference/environments.md").read_text(encoding="utf-8")))
    texts = {page: page.read_text(encoding="utf-8") for page in sorted(book.glob("**/*.md"))}
    return [
        f"{page.relative_to(book).as_posix()}: {name}"
        for page, text in texts.items()
        for name in sorted(set(ENVIRONMENT.findall(text)) - set(OWN.findall(text)) - known)
    ]


def terms_twice_or_without_a_meaning(book: Path) -> list[str]:
    """Glossary terms that are there twice, or that no indented definition follows."""
    text = (book / "reference/glossary.md").read_text(encoding="utf-8")
    block = re.search(r"^```\{glossary\}\n(.*?)^```", text, re.S | re.M)[1]
    entries = re.sub(r"^:.*\n", "", block, flags=re.M).strip().split("\n\n")
    terms = [line for entry in entries for line in entry.splitlines() if not line.startswith(" ")]
    empty = [entry for entry in entries if not re.search(r"^  \S", entry, re.M)]
    return sorted({term for term in terms if terms.count(term) > 1}) + empty


GOOD = {
    "reference/environments.md": '`A-v1` and "B-v0"',
    "reference/glossary.md": "```{glossary}\n:sorted:\n\na\nalso a\n  What it is.\n\nb\n  Another.\n```\n",
    "part/page.md": 'make("A-v1")\nregister("Own-v0", x)\nmake("Own-v0")',
}


@pytest.mark.parametrize(
    "rule, name, text, found",
    [
        (environments_without_an_entry, "part/page.md", 'make("C-v2")', "part/page.md: C-v2"),
        (terms_twice_or_without_a_meaning, "reference/glossary.md",
         "```{glossary}\na\n  1.\n\na\n  2.\n```\n", "a"),
        (terms_twice_or_without_a_meaning, "reference/glossary.md",
         "```{glossary}\na\n\nb\n  2.\n```\n", "a"),
    ],
)  # fmt: skip
def test_the_rule_sees_what_breaks_it(tmp_path, rule, name, text, found):
    for file, content in GOOD.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(content)
    assert rule(tmp_path) == []
    (tmp_path / name).write_text(text)
    assert rule(tmp_path) == [found]


@pytest.mark.parametrize("rule", [environments_without_an_entry, terms_twice_or_without_a_meaning])
def test_the_book_keeps_the_rule(rule):
    assert rule(ROOT / "book") == []
