"""Code on a page: ``{snippet}`` shows an object by its name, ``{download-module}`` offers a whole module.

A snippet has its file, a test that enters it, and two buttons: *Copy* what is shown, or *Copy standalone*,
the same with all that it needs. That text travels in the page, so that it is there without a server.
"""

import json

from docutils import nodes
from docutils.parsers.rst import directives

from bookbuild.engine.project import BookError, Project
from bookbuild.site import equations
from bookbuild.site.domain import BookDirective, filled
from standalone.export import standalone
from standalone.source import Snippet, SourceError, difference, find, locate, readable


def hosted(project: Project, found: Snippet) -> str:
    """The address of a source in the project's repository."""
    place = found.file.relative_to(project.root).as_posix()
    return f"{project.repository_url}/blob/main/{place}#L{found.first}-L{found.last}"


class SnippetDirective(BookDirective):
    """Usage: ``{snippet} dotted.name``, with the option ``:region: NAME`` or ``:diff: dotted.other``.

    With ``:diff:`` it is shown as what has changed since the other, which may both be modules.
    """

    option_spec = {"region": directives.unchanged_required, "diff": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        book = self.config.book
        dotted, region, other = self.arguments[0], self.options.get("region"), self.options.get("diff")
        try:
            snippet = find(book.project, dotted, region, whole=bool(other))
            self.env.note_dependency(snippet.file)
            text = snippet.text
            if other:
                text = difference(find(book.project, other, whole=True).text, text)
            alone = standalone(book.project, dotted)
            name = getattr(snippet.node, "name", "")
            # a class that has no method of its own (a dataclass) is entered by the tests that name it
            lines = set(snippet.body)
            tests = book.tests.entering(snippet.file, lines, name) if lines else book.tests.naming(name)
            if not tests:
                why = f"no passing test enters {dotted}" + (f", region {region}" if region else "")
                raise BookError(f"{why}: write one, or see {book.tests.log}")
        except SourceError as error:
            return self.fail(f"snippet: {error}")
        anchor = nodes.make_id("-".join(filter(None, ["code", dotted, region, other and "diff"])))
        for line in text.splitlines():
            for label in equations.labels(line) if not (other and line.startswith("-")) else ():
                self.note("implemented", (label, anchor))
        place = nodes.literal(text=snippet.file.relative_to(book.project.root).as_posix())
        if book.project.repository_url:
            place = nodes.reference("", "", place, refuri=hosted(book.project, snippet))
        caption = nodes.paragraph("", "", place, classes=["snippet-source"])
        if other:
            caption += [nodes.Text(" · changed from "), nodes.literal(text=other)]
        test, more = tests[0].split("::")[-1], f" and {len(tests) - 1} more" if len(tests) > 1 else ""
        caption += [nodes.Text(" · tested by "), nodes.literal(text=test), nodes.Text(more)]
        there = self.env.temp_data.setdefault("standalone", {})  # one text for all regions of an object
        address = there.get(alone) or nodes.make_id(f"standalone-{anchor}")
        # that nothing in it can end the script that keeps it
        kept = "" if alone in there else json.dumps(alone, ensure_ascii=False).replace("<", "\\u003c")
        there[alone], label = address, dotted.split(".")[-1]
        buttons = filled("copy.html", plain=not other, label=label, address=address, kept=kept)
        text = text if other else readable(text)
        block = nodes.literal_block(text, text, language="diff" if other else "python")
        row = nodes.raw("", buttons, format="html")
        box = nodes.container("", block, caption, row, classes=["snippet"], ids=[anchor])
        box["dotted"], box["region"] = dotted, region
        return [box]


class DownloadModuleDirective(BookDirective):
    """Usage: ``{download-module} dotted.module``: a link to the module as one file that runs alone."""

    def run(self) -> list[nodes.Node]:
        project, page, dotted = self.config.book.project, self.env.docname, self.arguments[0]
        name = f"{dotted.split('.')[-1]}.py"
        try:
            if locate(project, dotted)[2]:
                raise BookError(f"{dotted} is no module: a module's file can be downloaded")
            text = standalone(project, dotted)
        except SourceError as error:
            return self.fail(f"download-module: {error}")
        self.note("download", (name, text))
        address = f"{'../' * page.count('/')}_downloads/{name}"
        size = f"{len(text.encode()) / 1000:.0f} kB, {text.count(chr(10)):,} lines"
        link = f'<a class="download-module" href="{address}" download>{name}</a> ({size})'
        return [nodes.raw("", f"<p>{link}</p>", format="html")]
