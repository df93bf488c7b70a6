"""The Sphinx extension: shows the executed book that it is handed, and marks what failed."""

import gc
import json
from pathlib import Path

import nbformat
from docutils import nodes
from jinja2 import FileSystemBytecodeCache
from myst_nb.ext.glue.crossref import read_glue_cache
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxRole

from bookbuild.site import assets, equations, exercises, names, reading, search, takeaway, terms, typeset
from bookbuild.site.api import ApiDirective
from bookbuild.site.domain import BookDomain
from bookbuild.site.markup import LinkingFormatter, Translator, name_folds
from bookbuild.site.numbering import note_numbers, number_page_by_page
from bookbuild.site.report import VerificationDirective
from bookbuild.site.snippets import DownloadModuleDirective, SnippetDirective
from rlworkshop import playable


def read_executed(text: str, file: str) -> nbformat.NotebookNode:
    """MyST-NB's reader for a page that was executed: what it holds is in ``file``."""
    notebook = nbformat.from_dict(json.loads(Path(file).read_text(encoding="utf-8")))
    made = reading.arranged(notebook)
    for cell in made.cells:  # MyST-NB shows what a cell knows, and not what its outputs do
        outputs = cell.get("outputs", ())
        pictures = [o for o in outputs if any(kind.startswith("image/") for kind in o.get("data", ()))]
        if any(playable.RECORD in picture.metadata for picture in pictures):
            cell.metadata[playable.RECORD] = [one.metadata.get(playable.RECORD) for one in pictures]
    return made


class ClaimRole(SphinxRole):
    """``{claim}`name```: the measured value of a claim of this page (``page#name``: of another page)."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        book, page = self.config.book, self.env.docname
        other, outcome = self.text.rpartition("#")[0], book.outcomes.get(page)
        if other:  # read again when that page has run again
            self.env.note_dependency(book.project.executed / f"{other}.ipynb")
        if found := takeaway.claim(book, page, self.text):
            target, name, value = found
            uri = self.env._app.builder.get_relative_uri(page, target)
            return [nodes.reference("", value, refuri=f"{uri}#claim-{name}", internal=True)], []
        if not (book.only and other) and not (outcome and outcome.failures):  # a page that failed has said so
            message = f"claim role: no claim is named {self.text!r}"
            self.env.get_domain("book").warn(message, page, self.lineno)
        return [nodes.inline(text="(not measured)")], []


def prepare(app: Sphinx) -> None:
    """Let MyST-NB read the pages that have code from where they were executed, and keep its outputs here."""
    book, outputs = app.config.book, app.doctreedir / "outputs"
    if book is None:
        raise ExtensionError("build this book with `make html`: its pages are executed before Sphinx begins")
    reader = "bookbuild.site.extension.read_executed"
    files = {page: str(book.project.executed / f"{page}.ipynb") for page in book.outcomes}
    readers = {f"{app.srcdir}/{page}.md": (reader, {"file": file}) for page, file in files.items()}
    app.env.mystnb_config = app.env.mystnb_config.copy(
        custom_formats=readers, execution_mode="off", output_folder=str(outputs)
    )
    read_glue_cache.cache_clear()  # of an earlier build in this process
    if app.builder.format == "html":
        app.builder.search = False  # ``search`` has its own, and Sphinx's index takes seconds
        app.builder.highlighter.formatter = LinkingFormatter
        # the theme's templates are compiled once
        app.builder.templates.environment.bytecode_cache = FileSystemBytecodeCache(str(book.project.state))
    gc.disable()  # a third of the time would go into looking through trees that stay until the end


def changed(app: Sphinx, env: BuildEnvironment, *_: object) -> list[str]:
    """The pages with another text than they were read from, whatever their files' times of change say."""
    known = dict(env.get_domain("book").noted("text"))
    texts = {page: env.doc2path(page).read_text("utf-8-sig", "replace") for page in env.found_docs}
    return [page for page, text in texts.items() if known.get(page) != text]


def note_text(app: Sphinx, page: str, text: list[str]) -> None:
    """Keep what a page is read from, and forget what it has glued."""
    app.env.get_domain("book").note("text", page, text[0])
    (app.doctreedir / "outputs" / f"{page}.glue.json").unlink(missing_ok=True)


def depend(app: Sphinx, doctree: nodes.document) -> None:
    """A page is read again when it has run again."""
    if app.env.docname in app.config.book.outcomes:
        app.env.note_dependency(app.config.book.project.executed / f"{app.env.docname}.ipynb")


def check(app: Sphinx, env: BuildEnvironment) -> None:
    """Say what is wrong with the book as a whole."""
    book, domain = app.config.book, env.get_domain("book")
    domain.data["whole"].clear()
    found = [*book.problems, *exercises.problems(book, domain), *typeset.problems(app)]
    if not book.only:
        found += equations.problems(book.project, *equations.known(env))
    for message, place, line in found:
        domain.warn(message, place, line, whole=True)


def mark_failures(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """A page that failed says so at its top, with what went wrong."""
    if failures := app.env.get_domain("book").failures(page):
        items = [nodes.list_item("", nodes.paragraph(text=failure)) for failure in failures]
        title = nodes.title(text="This page failed in this build: do not rely on it")
        mark = nodes.admonition("", title, nodes.bullet_list("", *items), classes=["danger"])
        mark["ids"] = ["build-failed"]
        doctree.insert(0, mark)


def offer_downloads(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """A page with code can be taken away as notebook and as script."""
    book = app.config.book
    if page in book.outcomes and app.builder.format == "html":
        made = takeaway.notebook(book, page, app.doctreedir / "outputs")
        found = takeaway.buttons(book.project, page, takeaway.write(made, page, app.outdir))
        context["header_buttons"] = [*found, *context.get("header_buttons", [])]


def finish(app: Sphinx, exception: Exception | None) -> None:
    """Write the modules that pages offer as files."""
    for _, (name, text) in app.env.get_domain("book").noted("download") if app.builder.name == "html" else ():
        file = app.outdir / "_downloads" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    gc.freeze()
    gc.enable()


def setup(app: Sphinx) -> dict:
    app.add_config_value("book", None, "")  # what was executed: an ``engine.book.Book``
    app.add_domain(BookDomain)
    app.add_html_math_renderer("typeset", (typeset.visit_math, None), (typeset.visit_displaymath, None))
    app.set_translator("html", Translator)
    app.connect("builder-inited", prepare, priority=900)  # after MyST-NB has its configuration
    app.connect("builder-inited", assets.join_assets, priority=950)
    app.connect("env-get-outdated", changed)
    app.connect("source-read", note_text)
    app.connect("doctree-read", depend)
    app.connect("doctree-read", exercises.check_anchors)
    app.connect("doctree-read", reading.fold_evidence)
    app.connect("doctree-read", names.note_names)
    app.connect("doctree-read", terms.link_terms)
    app.connect("doctree-read", typeset.note_formulas)
    app.connect("doctree-read", note_numbers)
    app.connect("env-updated", check)
    app.connect("env-get-updated", number_page_by_page, priority=900)  # after Sphinx has numbered them
    app.connect("doctree-resolved", equations.link)
    app.connect("doctree-resolved", names.link_names)
    app.connect("doctree-resolved", search.note_entries)
    app.connect("doctree-resolved", typeset.join_tails)  # which takes from the text
    app.connect("doctree-resolved", mark_failures)
    app.connect("html-page-context", offer_downloads, priority=600)  # after the theme's own buttons
    app.connect("html-page-context", typeset.load_fonts)
    app.connect("html-page-context", name_folds)
    app.connect("html-page-context", assets.load_joined, priority=950)  # after all others have said theirs
    app.connect("build-finished", assets.slim_pictures)
    app.connect("build-finished", search.write_data)
    app.connect("build-finished", finish)
    app.add_directive("api", ApiDirective)
    app.add_directive("snippet", SnippetDirective)
    app.add_directive("download-module", DownloadModuleDirective)
    app.add_directive("exercise", exercises.ExerciseDirective)
    app.add_directive("predict", exercises.PredictDirective)
    app.add_directive("verification", VerificationDirective)
    app.add_role("claim", ClaimRole())
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
