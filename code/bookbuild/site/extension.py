"""The Sphinx extension: executes the book, hands the results to MyST-NB, marks what failed."""

import html
from pathlib import Path

import nbformat
from docutils import nodes
from filelock import AcquireReturnProxy, FileLock
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

from bookbuild.engine import pages, run as execute
from bookbuild.site import equations, takeaway
from bookbuild.engine.project import BookError, Project
from bookbuild.site.report import VerificationDirective
from bookbuild.site.snippets import DownloadModuleDirective, SnippetDirective
from bookbuild.engine.tests import Tested

logger = logging.getLogger(__name__)


class Book:
    """What the build knows of the book, for directives and roles: ``app.book``."""

    def __init__(self, app: Sphinx):
        self.app = app
        self.project = Project.at(app.confdir)
        only = app.config.book_only
        self.problems: dict[str, str] = {}
        found = pages.read_pages(self.project, self.problems)
        self.pages = [page for page in found if only in ("", page.name)]
        self.outcomes: dict[str, execute.Outcome] = {}
        self.tested = Tested(self.project)
        self.failures: dict[str, list[str]] = {}
        self.implemented: equations.Places = {}  # filled by the snippets as they are read

    def run(self) -> None:
        """Execute what is not stored, and the tests of the code that the pages show."""
        files = (
            [p.file for p in self.pages] if self.app.config.book_only else self.project.book.glob("**/*.md")
        )
        shows = any("{snippet}" in file.read_text(encoding="utf-8") for file in files)
        job = self.tested.job() if shows else None
        self.outcomes = execute.refresh(self.project, self.pages, beside=[job] if job else [])
        for page, problem in self.problems.items():
            self.warn(problem, page, 1)
        for outcome in self.outcomes.values():
            for failure in outcome.failures:
                self.warn(str(failure), failure.page, failure.line)
            names = [record["name"] for record in outcome.claims]
            for name in sorted({name for name in names if names.count(name) > 1}):
                self.warn(f"two claims are called {name!r}: give one a name=", outcome.page.name, 1)

    def warn(self, message: str, page: str, line: int) -> None:
        """Something is wrong on a page: the build turns red, and the page says so."""
        self.failures.setdefault(page, []).append(message)
        logger.warning(message, location=(page, line), type="book")

    def claim(self, name: str, page: str) -> tuple[str, dict] | None:
        """The page and record of the claim ``name`` of ``page``, or ``PAGE#NAME`` of another page."""
        page, _, name = name.rpartition("#") if "#" in name else (page, "", name)
        claims = self.outcomes[page].claims if page in self.outcomes else []
        return next(((page, record) for record in claims if record["name"] == name), None)


def read_executed(text: str, page: str) -> nbformat.NotebookNode:
    """MyST-NB's reader for a page that was executed (its source is read once more for the prose)."""
    return nbformat.from_dict(_book.outcomes[page].notebook)


_book: Book  # MyST-NB names readers by dotted path, so the present build's book must be found from here


class ClaimRole(SphinxRole):
    """``{claim}`name```: the measured value of a claim of this page (``page#name``: of another page)."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        book, page = self.env.app.book, self.env.docname
        found = book.claim(self.text, page)
        if found is None:
            alone = self.config.book_only and "#" in self.text  # its page was not executed
            outcome = book.outcomes.get(page)
            if not alone and not (outcome and outcome.failures):  # a page that failed has said so
                book.warn(f"claim role: no claim is named {self.text!r}", page, self.lineno)
            return [nodes.inline(text="(not measured)")], []
        target, record = found
        uri = "" if target == page else self.env.app.builder.get_relative_uri(page, target)
        value = record["value"] if isinstance(record["value"], str) else f"{record['value']:.4g}"
        node = nodes.reference("", value, refuri=f"{uri}#claim-{record['name']}", internal=True)
        return [node], []


def prepare(app: Sphinx) -> None:
    """Execute before anything is read; holds the build lock until the site is written."""
    global _book
    try:
        _book = app.book = Book(app)
        app.book_lock = lock(app.book.project)
        _book.run()
    except BookError as error:
        raise ExtensionError(str(error)) from None
    readers = {
        f"/{page.name}.md": ("bookbuild.site.extension.read_executed", {"page": page.name}) for page in _book.pages
    }
    app.env.mystnb_config = app.env.mystnb_config.copy(custom_formats=readers, execution_mode="off")


def lock(project: Project) -> AcquireReturnProxy:
    """Take the build lock: one build at a time works on ``_build``; a second one waits.

    ``with lock(project):`` gives it back at the end, as does ``.lock.release()``.
    """
    project.state.mkdir(parents=True, exist_ok=True)
    held = FileLock(project.state / "build.lock", is_singleton=True)
    try:
        return held.acquire(timeout=0)
    except TimeoutError:
        print("another build of this book is at work: waiting for it to end", flush=True)
        return held.acquire()


def unlock(app: Sphinx, exception: Exception | None) -> None:
    if hasattr(app, "book_lock"):
        app.book_lock.lock.release()


def check_equations(app: Sphinx, env: BuildEnvironment) -> None:
    """Every equation has its code and every label in code its equation."""
    if app.config.book_only:
        return
    found = {label: page for label, (page, _) in env.get_domain("math").equations.items()}
    for message, place, line in equations.problems(app.book.project, found, app.book.implemented):
        if isinstance(place, str):
            app.book.warn(message, place, line)
        else:
            logger.warning(message, location=f"{place}:{line}", type="book")


def link_equations(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """Equations and the lines that implement them lead to each other."""

    def uri(target: str) -> str:
        return "" if target == page else app.builder.get_relative_uri(page, target)

    if "body" in context:
        found = {label: where for label, (where, _) in app.env.get_domain("math").equations.items()}
        body = equations.link_code(context["body"], found, uri)
        context["body"] = equations.link_equations(body, page, app.book.implemented, uri)


def offer_downloads(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """A page with code can be taken away as notebook and as script."""
    outcome = app.book.outcomes.get(page)
    if outcome and "body" in context and app.builder.format == "html":
        addresses = takeaway.write(app.book.project, Path(app.outdir), outcome)
        up = "../" * page.count("/")
        found = takeaway.buttons(app.book.project, page, addresses, up)
        context["header_buttons"] = [*found, *context.get("header_buttons", [])]


def mark_failures(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """A page that failed says so at its top, with what went wrong."""
    failures = app.book.failures.get(page)
    if failures and "body" in context:
        items = "".join(f"<li>{html.escape(failure)}</li>" for failure in failures)
        context["body"] = (
            '<div class="admonition danger" id="build-failed"><p class="admonition-title">This page failed '
            f"in this build: do not rely on it</p><ul>{items}</ul></div>{context['body']}"
        )


def setup(app: Sphinx) -> dict:
    app.add_config_value("book_only", "", "env", str)  # the one page that ``make chapter`` builds
    app.connect("builder-inited", prepare, priority=900)  # after MyST-NB has its configuration
    app.connect("env-get-outdated", lambda app, env, added, changed, removed: list(env.found_docs))
    app.connect("env-check-consistency", check_equations)
    app.connect("html-page-context", link_equations)
    app.connect("html-page-context", mark_failures)
    app.connect("html-page-context", offer_downloads, priority=600)  # after the theme's own buttons
    app.connect("build-finished", unlock, priority=900)
    app.add_directive("snippet", SnippetDirective)
    app.add_directive("download-module", DownloadModuleDirective)
    app.add_directive("verification", VerificationDirective)
    app.add_role("claim", ClaimRole())
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": False}
