"""Ties equations to code: a labelled equation and the line that implements it lead to each other.

In the text a key equation has a label that begins with ``eq-``; the line of code that implements it ends with
a comment that names it, ``# (eq-gae)``. An equation labelled ``th-…`` is theory: no code implements it.
"""

import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from bookbuild.engine.project import Project
from standalone.source import lines_of

NAMING = re.compile(r"#\s*((?:\(eq-[\w-]+\)\s*)+)$")
LABEL = re.compile(r"\(((?:eq|th)-[\w-]+)\)")

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
            for number, line in enumerate(lines_of(file), 1):
                for label in labels(line):
                    found.setdefault(label, []).append((file, number))
    return found


def problems(project: Project, equations: dict[str, str], shown: Places) -> list[tuple[str, str | Path, int]]:
    """What is amiss, as (message, page or file, line). ``equations``: label to page."""
    code, lone = named_in_code(project), "no page has an equation {}: label it there, or mend this comment"
    found = [(lone.format(label), *at) for label in code if label not in equations for at in code[label]]
    for label, page in equations.items():
        if label.startswith("eq-") and label not in code:
            why = "no line of code implements it (end one with '# (LABEL)', or label it 'th-…': theory)"
            found.append((f"equation {label}: {why}", page, 1))
        elif label in code and label not in shown:
            why = "no snippet of any page shows the line that implements it"
            found.append((f"equation {label}: {why}", page, 1))
    return found


def known(env: BuildEnvironment) -> tuple[dict[str, str], Places]:
    """The equations of all pages, label to page, and the snippets that implement them."""
    shown: Places = {}
    for page, (label, anchor) in env.get_domain("book").noted("implemented"):
        shown.setdefault(label, []).append((page, anchor))
    return {label: page for label, (page, _) in env.domains.math_domain.equations.items()}, shown


def link(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Give a page's equations and listings the addresses that they lead to (see ``markup``)."""
    equations, shown = known(app.env)

    def address(target: str, anchor: str) -> str:
        return f"{app.builder.get_relative_uri(page, target)}#{anchor}"

    for equation in doctree.findall(nodes.math_block):
        if places := shown.get(equation.get("label")):
            equation["to-code"] = address(*next((p for p in places if p[0] == page), places[0]))
    for code in doctree.findall(nodes.literal_block):
        named = [label for label in LABEL.findall(code.rawsource) if label in equations]
        if named:
            links = {label: address(equations[label], nodes.make_id(f"equation-{label}")) for label in named}
            code["highlight_args"] = {**code.get("highlight_args", {}), "links": links}
