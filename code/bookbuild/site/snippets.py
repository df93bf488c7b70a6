"""Code on a page: ``{snippet}`` shows an object by its name, ``{download-module}`` offers a whole module.

A snippet has its file, a test that enters it, and two buttons: *Copy* what is shown, or *Copy standalone*,
the same with all that it needs. That text travels in the page, so that it is there without a server.
"""

import ast
import difflib
import html
import json
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective
from sphinx.util.osutil import relative_uri

from bookbuild.site import equations
from bookbuild.engine.project import BookError, Project
from bookbuild.engine.standalone import locate, standalone
from bookbuild.engine.tests import Tested

REGION = re.compile(r"^\s*# (region: (?P<name>[\w-]+)|endregion)\s*$")


@dataclass(frozen=True)
class Snippet:
    """The source of one object."""

    file: Path
    first: int  # line of the file, from 1
    last: int
    text: str  # dedented, region marks left out
    body: frozenset[int]  # the lines that run when the object is used, not when its module is imported
    node: ast.AST


def find(project: Project, dotted: str, region: str | None = None, whole: bool = False) -> Snippet:
    """The function, class or method called ``dotted``, or a named region of it.

    A region is what stands between the comments ``# region: NAME`` and ``# endregion``. ``whole`` says that
    the name may be that of a module, and means all of it.

    Raises:
        BookError: there is no such module, object or region.
    """
    _, file, rest = locate(project, dotted)
    source = file.read_text(encoding="utf-8")
    node: ast.AST = ast.parse(source)
    for name in rest or [dotted.split(".")[-1]] * (not whole):
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        inside = {child.name: child for child in ast.iter_child_nodes(node) if isinstance(child, kinds)}
        if name not in inside:
            known = ", ".join(sorted(inside)) or "nothing"
            raise BookError(f"{dotted!r}: no function, class or method {name!r} (there is: {known})")
        node = inside[name]
    lines = source.splitlines()
    first, last = 1, len(lines)
    if not isinstance(node, ast.Module):
        first, last = min([node.lineno, *(d.lineno for d in node.decorator_list)]), node.end_lineno
    body = _running_lines(node)
    if region:
        first, last = _region(lines, first, last, dotted, region)
        body = frozenset(line for line in body if first <= line <= last)
    shown = [line for line in lines[first - 1 : last] if not REGION.match(line)]
    return Snippet(file, first, last, textwrap.dedent("\n".join(shown)), body, node)


def _region(lines: list[str], first: int, last: int, dotted: str, region: str) -> tuple[int, int]:
    start, depth = None, 0
    for number in range(first, last + 1):
        mark = REGION.match(lines[number - 1])
        if mark and start:
            depth += 1 if mark["name"] else -1
            if depth == 0:
                return start, number - 1
        elif mark and mark["name"] == region:
            start, depth = number + 1, 1
    what = "has no end ('# endregion')" if start else f"is not there (mark it '# region: {region}')"
    raise BookError(f"region {region!r} of {dotted} {what}")


def difference(old: str, new: str) -> str:
    """What changes from ``old`` to ``new``: lines with ``-`` go, with ``+`` come; three around them stay."""
    changes = list(difflib.unified_diff(old.splitlines(), new.splitlines(), n=3, lineterm=""))[2:]
    if not changes:
        raise BookError("there is no difference to show: the two are the same")
    # where lines are left out, a mark instead of the places in the files
    shown = [" ⋮" if line.startswith("@@") else line for line in changes]
    return "\n".join(shown[1:] if changes[0].startswith("@@ -1,") else shown)


def _running_lines(node: ast.AST) -> frozenset[int]:
    """Lines of statements inside functions, docstrings left out."""
    lines = set()
    functions = [n for n in ast.walk(node) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    for function in functions:
        for statement in function.body:
            docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            if not docstring:
                lines.update(n.lineno for n in ast.walk(statement) if isinstance(n, ast.stmt))
    return frozenset(lines)


def tests_of(project: Project, tested: Tested, snippet: Snippet) -> list[str]:
    """The passing tests whose execution enters the snippet.

    A class that has no method of its own (a dataclass) is entered by the tests that name it.
    """
    if snippet.body:
        return tested.entering(snippet.file, set(snippet.body), getattr(snippet.node, "name", ""))
    passing = {t for file in tested.map.get("lines", {}).values() for tests in file.values() for t in tests}
    name, found = getattr(snippet.node, "name", ""), []
    for test in sorted(passing):
        file, _, function = test.partition("::")
        for node in ast.walk(ast.parse((project.root / file).read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name == function.split("::")[-1]:
                used = {getattr(n, "id", getattr(n, "attr", None)) for n in ast.walk(node)}
                found += [test] if name in used else []
    return found


class SnippetDirective(SphinxDirective):
    """Usage: ``{snippet} dotted.name``, with the option ``:region: NAME`` or ``:diff: dotted.other``.

    With ``:diff:`` it is shown as what has changed since the other, which may both be modules.
    """

    required_arguments = 1
    option_spec = {"region": directives.unchanged_required, "diff": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        book = self.env.app.book
        dotted, region, other = self.arguments[0], self.options.get("region"), self.options.get("diff")
        try:
            snippet = find(book.project, dotted, region, whole=bool(other))
            text = snippet.text
            if other:
                text = difference(find(book.project, other, whole=True).text, snippet.text)
            alone = standalone(book.project, dotted)
            tests = tests_of(book.project, book.tested, snippet)
            if not tests:
                why = f"no passing test enters {dotted}" + (f", region {region}" if region else "")
                raise BookError(f"{why}: write one, or see {book.tested.log}")
        except BookError as error:
            book.warn(f"snippet: {error}", self.env.docname, self.lineno)
            return [nodes.error("", nodes.paragraph(text=str(error)))]
        block = nodes.literal_block(text, text, language="diff" if other else "python")
        name = snippet.file.relative_to(book.project.root).as_posix()
        place = nodes.literal(text=f"{name}")
        if book.project.repository_url:
            address = f"{book.project.repository_url}/blob/main/{name}#L{snippet.first}-L{snippet.last}"
            place = nodes.reference("", "", place, refuri=address)
        test = tests[0].split("::")[-1]
        more = f" and {len(tests) - 1} more" if len(tests) > 1 else ""
        caption = nodes.paragraph(classes=["snippet-source"])
        caption += [place]
        if other:
            caption += [nodes.Text(" · changed from "), nodes.literal(text=other)]
        caption += [nodes.Text(" · tested by "), nodes.literal(text=test), nodes.Text(more)]
        anchor = nodes.make_id("-".join(filter(None, ["code", dotted, region, other and "diff"])))
        lines = [line for line in text.splitlines() if not (other and line.startswith("-"))]
        for label in (label for line in lines for label in equations.labels(line)):
            book.implemented.setdefault(label, []).append((self.env.docname, anchor))
        there = self.env.temp_data.setdefault("standalone", {})  # one text for all regions of an object
        address = there.get(alone) or nodes.make_id(f"standalone-{anchor}")
        buttons = _buttons(dotted.split(".")[-1], address, "" if alone in there else alone, copy=not other)
        there[alone] = address
        row = nodes.raw("", buttons, format="html")
        return [nodes.container("", block, caption, row, classes=["snippet"], ids=[anchor])]


def _buttons(name: str, address: str, text: str, copy: bool = True) -> str:
    """The row below a listing; ``text`` is kept under ``address`` for it and for those that share it.

    Without ``copy`` what is shown is not offered: a difference is no code.
    """
    kept = json.dumps(text, ensure_ascii=False).replace("<", "\\u003c")  # no tag in it can end the script
    script = f'<script type="application/json" id="{address}">{kept}</script>' if text else ""
    label = html.escape(name)
    plain = f'<button type="button" data-copy="shown" aria-label="Copy {label}">Copy</button>' if copy else ""
    return (
        f'<div class="snippet-copy" hidden>{plain}'
        f'<button type="button" data-copy="{address}" aria-label="Copy standalone: {label}" '
        'title="with all of the book\'s code that it needs: it runs on its own">Copy standalone</button>'
        f'<span role="status"></span></div>{script}'
    )


class DownloadModuleDirective(SphinxDirective):
    """Usage: ``{download-module} dotted.module``: a link to the module as one file that runs alone."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        builder, book, dotted = self.env.app.builder, self.env.app.book, self.arguments[0]
        name = f"_downloads/{dotted.split('.')[-1]}.py"
        try:
            if locate(book.project, dotted)[2]:
                raise BookError(f"{dotted} is no module: a module's file can be downloaded")
            text = standalone(book.project, dotted)
        except BookError as error:
            book.warn(f"download-module: {error}", self.env.docname, self.lineno)
            return [nodes.error("", nodes.paragraph(text=str(error)))]
        file = Path(builder.outdir) / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
        address = relative_uri(builder.get_target_uri(self.env.docname), name)
        size = f"{len(text.encode()) / 1000:.0f} kB, {text.count(chr(10)):,} lines"
        link = f'<a class="download-module" href="{address}" download>{file.name}</a> ({size})'
        return [nodes.raw("", f"<p>{link}</p>", format="html")]
