"""Ties equations to code: a labelled equation and the line that implements it lead to each other.

In the text a key equation has a label that begins with ``eq-``; the line of code that implements it ends with
a comment that names it, ``# (eq-gae)``. An equation labelled ``th-…`` is theory: no code implements it.
"""

import re
from collections.abc import Callable
from pathlib import Path

from bookbuild.engine import source
from bookbuild.engine.project import Project

NAMING = re.compile(r"#\s*((?:\(eq-[\w-]+\)\s*)+)$")
LABEL = re.compile(r"\(((?:eq|th)-[\w-]+)\)")
COMMENT = re.compile(r'<span class="c1">(#[^<]*)</span>')


Places = dict[str, list[tuple[str, str]]]  # label -> (page, anchor) of each snippet that implements it


def labels(line: str) -> list[str]:
    """The labels that a line of code names in the comment at its end."""
    comment = NAMING.search(line)
    return LABEL.findall(comment[1]) if comment else []


def named_in_code(project: Project) -> dict[str, list[tuple[Path, int]]]:
    """Every label that the code shown by the book names, with files and lines."""
    found: dict[str, list[tuple[Path, int]]] = {}
    for file in sorted(project.code.glob("**/*.py")):
        if not file.is_relative_to(project.code / "bookbuild"):
            for number, line in enumerate(source.lines_of(file), 1):
                for label in labels(line):
                    found.setdefault(label, []).append((file, number))
    return found


def problems(project: Project, equations: dict[str, str], shown: Places) -> list[tuple[str, str | Path, int]]:
    """What is amiss, as (message, page or file, line). ``equations``: label to page."""
    found: list[tuple[str, str | Path, int]] = []
    code = named_in_code(project)
    for label, places in code.items():
        if label not in equations:
            why = f"no page has an equation {label}: label it there, or mend this comment"
            found += [(why, file, line) for file, line in places]
    for label, page in equations.items():
        if label.startswith("eq-") and label not in code:
            why = "no line of code implements it (end one with '# (LABEL)', or label it 'th-…': theory)"
            found.append((f"equation {label}: {why}", page, 1))
        elif label in code and label not in shown:
            why = "no snippet of any page shows the line that implements it"
            found.append((f"equation {label}: {why}", page, 1))
    return found


def link_code(body: str, equations: dict[str, str], uri: Callable[[str], str]) -> str:
    """A page's HTML with the comments that name equations made links; ``uri``: from this page to another."""

    def anchor(match: re.Match) -> str:
        if match[1] not in equations:
            return match[0]
        address = f"{uri(equations[match[1]])}#equation-{match[1]}"
        return f'(<a class="to-equation" href="{address}">{match[1]}</a>)'

    return COMMENT.sub(lambda comment: LABEL.sub(anchor, comment[0]), body)


def link_equations(body: str, page: str, shown: Places, uri: Callable[[str], str]) -> str:
    """A page's HTML with a link from each equation to the snippet that implements it, if any does."""
    for label, places in shown.items():
        start = body.find(f'id="equation-{label}"')
        if start >= 0:
            target, anchor = next((place for place in places if place[0] == page), places[0])
            title = "the code that implements this equation"
            link = f'<a class="to-code" href="{uri(target)}#{anchor}" title="{title}">code</a>'
            end = body.index("</span>", start)  # of the equation's number
            body = body[:end] + link + body[end:]
    return body
