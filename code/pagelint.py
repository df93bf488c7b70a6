"""What a page owes its reader, as far as a machine can see it: ``make check`` says what is missing.

Pages that fall short stand in ``tests/lint.toml``, rule by rule. That list may only shrink: an exception that
is no longer needed is a fault as well.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bookbuild.engine import pages
from bookbuild.engine.project import Project
from bookbuild.site import api, reading
from bookbuild.site import terms as glossary
from standalone.source import SourceError, find, lines_of, locate

WORDS, FOLDED = 3_500, 800  # of prose on a chapter, and in what is folded on it
SPEED = 150  # words a minute, of somebody new to it
LINES_A_MINUTE, MINUTES_AN_EXERCISE, LATITUDE = 12, 5, 1.35  # of listings; how far the stated time may be off
EMPTY = set("introduction overview discussion results background details more notes summary".split())  # noqa: SIM905
SAYS_NOTHING = re.compile(r"(what there is|as (the|an?) .*'s\b|see |the same\b|helper)", re.I)
FENCE = re.compile(r"^(`{3,}|:{3,})(?:\{([\w:-]+)\})?[ \t]*(.*)$")
ROLE = re.compile(r"\{([\w:-]+)\}`([^`]+)`")
IDENTIFIER = re.compile(r"(?<!\})`([a-z]\w*(?:\.\w+)*(?:\(\))?)`")
SILENT = set("code-cell snippet math bibliography toctree verification download-module".split())  # noqa: SIM905
SILENT |= {"figure", "diagram"}


@dataclass
class Text:
    """A page taken apart."""

    prose: list[tuple[int, str]] = field(default_factory=list)  # lines that are read at once, from 1
    folded: list[str] = field(default_factory=list)
    headings: list[tuple[int, str]] = field(default_factory=list)
    snippets: list[tuple[str, str]] = field(default_factory=list)  # dotted name and region
    exercises: int = 0


def taken_apart(text: str) -> Text:
    """The parts of a page's Markdown."""
    page, inside, formula, front = Text(), [], False, text.startswith("---\n")
    for number, line in enumerate(text.split("\n"), 1):
        if front:
            front = number == 1 or line != "---"
            continue
        fence = FENCE.match(line)
        if inside and line.strip() == inside[-1][0]:
            inside.pop()
        elif fence and not (inside and inside[-1][1] in SILENT | {None}):
            mark, name, title = fence.groups()
            inside.append((mark, name))
            page.exercises += name == "exercise"
            page.snippets += [(title.strip(), "")] if name == "snippet" else []
            if name == "predict":
                page.prose.append((number, title))
        elif inside and inside[-1][1] == "snippet" and line.startswith(":region:"):
            page.snippets[-1] = (page.snippets[-1][0], line.split()[1])
        elif inside and (inside[-1][1] in SILENT | {None} or re.match(r":[\w-]+:", line)):
            continue
        elif line.startswith("$$"):
            formula = not formula and not re.fullmatch(r"\$\$.+\$\$.*", line)
        elif formula or re.match(r"(\([\w-]+\)=|<)", line):
            continue
        elif not inside and (heading := re.match(r"#+ +(.*)", line)):
            page.headings.append((number, heading[1]))
        elif any(name in ("predict", "dropdown") for _, name in inside):
            page.folded.append(line)
        else:
            page.prose.append((number, line))
    return page


def words(lines: list[str]) -> int:
    """How many words these lines have, as they are read."""
    text = ROLE.sub(lambda role: re.sub(r"<[^>]*>|[/_]", " ", role[2]), "\n".join(lines))
    return len(re.findall(r"[^\W_]+(?:[-'’.,][^\W_]+)*", re.sub(r"\$[^$\n]*\$", " x ", text)))


def lengths(page: Text) -> Iterator[str]:
    """A page is read in one sitting."""
    if (said := words([line for _, line in page.prose])) > WORDS:
        yield f"{said:,} words of prose: at most {WORDS:,}"
    if (said := words(page.folded)) > FOLDED:
        yield f"{said:,} words in what is folded: at most {FOLDED}"


def open_code(notebook: reading.nbformat.NotebookNode) -> Iterator[str]:
    """At most a dozen lines of code are open for one idea; imports are not counted, nor are definitions."""
    lines, first = 0, ""
    for cell in [*reading.arranged(notebook).cells, None]:
        if cell is not None and cell.cell_type == "code":
            tags = cell.metadata.get("tags", [])
            if not {"hide-input", "hide-cell", "evidence"} & {*tags}:
                shown = _statements(cell.source)
                lines, first = lines + len(shown), first or next(iter(shown), "")
        else:
            if lines > reading.OPEN_LINES:
                yield f"{lines} open lines of code from {first.strip()!r} on: at most {reading.OPEN_LINES}"
            lines, first = 0, ""


def _statements(source: str) -> list[str]:
    """The lines of a cell but imports, definitions, comments and empty ones."""
    source = source.partition("\n")[2] if source.startswith("%%writefile ") else source  # a file's own text
    try:
        tree = ast.parse(source).body
    except SyntaxError:
        return [line for line in source.split("\n") if line.strip()]
    apart = {
        number
        for node in tree
        if isinstance(node, reading.DEFINES | reading.IMPORTS)
        for number in range(node.lineno, node.end_lineno + 1)
    }
    lines = enumerate(source.split("\n"), 1)
    return [line for number, line in lines if number not in apart and line.strip() and line.strip()[0] != "#"]


def stated_time(page: Text, listed: int) -> Iterator[str]:
    """The time that a page states is that of a newcomer. ``listed``: lines of listings on it."""
    said = [(n, line) for n, line in page.prose if line.startswith("**Time**")]
    if not said:
        yield "no line '**Time**: 40 minutes …'"
        return
    number, line = said[0]
    found = re.search(r"(\d+) minutes", line)
    stated = int(found[1]) if found else 0
    total = words([text for _, text in page.prose] + page.folded) / SPEED
    total += listed / LINES_A_MINUTE + MINUTES_AN_EXERCISE * page.exercises
    if not stated / LATITUDE <= total <= stated * LATITUDE:
        yield f"line {number}: it states {stated} minutes, by count it takes {total:.0f}"


def headings(page: Text) -> Iterator[str]:
    """A heading names what is below it, once."""
    seen: set[str] = set()
    for number, title in page.headings:
        plain = title.strip().lower()
        if plain in EMPTY:
            yield f"line {number}: the heading {title!r} says nothing"
        if plain in seen:
            yield f"line {number}: the heading {title!r} stands here twice"
        seen.add(plain)


def figures(notebook: reading.nbformat.NotebookNode) -> Iterator[str]:
    """A figure has words for those who do not see it."""
    for cell in notebook.cells:
        drawn = cell.cell_type == "code" and re.search(r"^plt\.show\(\)", cell.source, re.M)
        if drawn and not cell.metadata.get("mystnb", {}).get("image", {}).get("alt"):
            line = cell.source.strip().split("\n")[0]
            yield f"the figure of the cell {line!r} has no alternative text"


def terms(texts: Mapping[str, Text], known: Sequence[str]) -> Iterator[str]:
    """A word that two pages set in bold, as terms are at their first use, stands in the glossary."""
    places: dict[str, list[str]] = {}
    for name, page in texts.items():
        bold = {b.lower() for _, line in page.prose for b in re.findall(r"\*\*([a-z][\w -]{2,40})\*\*", line)}
        for word in bold - {form for term in known for form in (term.lower(), f"{term.lower()}s")}:
            places.setdefault(word, []).append(name)
    for word, named in sorted(places.items()):
        if len(named) > 1:
            yield f"{word!r} is a term of {' and '.join(named)}, and not in it"


def identifiers(page: Text, code: str) -> Iterator[str]:
    """A name of code in the prose stands in code that the page shows. ``code``: all of it."""
    for number, line in page.prose:
        for name in IDENTIFIER.findall(line):
            last = name.removesuffix("()").rpartition(".")[2]
            if ("_" in last or name.endswith("()")) and not re.search(rf"\b{re.escape(last)}\b", code):
                yield f"line {number}: `{name}` stands in no code of this page"


def docstrings(project: Project, package: str) -> Iterator[tuple[str, str]]:
    """Public objects whose docstring does not begin with what they are."""
    for module, file in api.public_modules(project, package).items():
        for name, node, text, depth in api.described(module, file):
            first = text.split("\n")[0]
            if depth and isinstance(node, ast.FunctionDef | ast.ClassDef) and SAYS_NOTHING.match(first):
                yield name, f"its docstring begins with {first!r}: say what it is, in the field's noun"


def of_page(project: Project, page: pages.Page, text: Text) -> dict[str, list[str]]:
    """What is amiss on a page, by rule."""
    listings, files = [], set()
    for dotted, region in text.snippets:
        try:
            listings.append(find(project, dotted, region or None, whole=True).text)
            files.add(locate(project, dotted)[1])
        except SourceError:
            pass  # the build says so
    cells = [cell.source for cell in page.notebook.cells if cell.cell_type == "code"]
    code = "\n".join([*cells, *("\n".join(lines_of(file)) for file in files)])
    listed = sum(len(listing.split("\n")) for listing in listings)
    found = {
        "length": lengths(text),
        "open": open_code(page.notebook),
        "time": stated_time(text, listed) if page.is_chapter else (),
        "headings": headings(text),
        "figures": figures(page.notebook),
        "names": identifiers(text, code),
    }
    return {rule: [*said] for rule, said in found.items()}


def faults(project: Project) -> list[str]:
    """All that is amiss, and exceptions that are not needed any more."""
    file = project.root / "tests" / "lint.toml"
    excused = tomllib.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    excuses = {(place, rule) for place, rules in excused.items() for rule in rules}
    read = {page.name: page for page in pages.read_pages(project)}
    texts = {name: taken_apart(page.file.read_text("utf-8-sig")) for name, page in read.items()}
    said: dict[tuple[str, str], list[str]] = {}
    for name, page in read.items():
        said |= {(name, rule): found for rule, found in of_page(project, page, texts[name]).items()}
    known = glossary.read(project.book / f"{glossary.GLOSSARY}.md")
    said[glossary.GLOSSARY, "terms"] = [*terms(texts, known)]
    for name, message in docstrings(project, "rlworkshop"):
        said.setdefault((name, "docstring"), []).append(message)
    found = [f"{p}: {r}: {m}" for (p, r), messages in said.items() if (p, r) not in excuses for m in messages]
    unused = sorted(excuse for excuse in excuses if not said.get(excuse))
    return found + [
        f"tests/lint.toml: {place} keeps the rule {rule!r} now: take it off" for place, rule in unused
    ]


if __name__ == "__main__":
    found = faults(Project.at("."))
    print("\n".join(found) or "the pages owe their readers nothing that a machine can see")
    sys.exit(bool(found))
