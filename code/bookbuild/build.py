"""``make html`` and its kin: the engine brings the book up to date, then Sphinx renders what it holds."""

import functools
import hashlib
import http.server
import io
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from bookbuild.engine.book import Book, bring_up_to_date, lock
from bookbuild.engine.project import BookError, Project
from bookbuild.engine.store import read_json, write_json
from rlworkshop import provenance

NOTICE = """<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>No finished build</title><p>This book is being built, or its last build was interrupted.
Run <code>make html</code> and load this page again.</p>
"""
ALONE = {  # of a page that is built alone: what it lacks then
    "nitpicky": False,
    "rediraffe_redirects": {},
    "suppress_warnings": ["ref", "myst.xref_missing", "toc", "bibtex"],
}


def html(project: Project) -> int:
    """Execute what changed, write the whole site anew, list everything that failed.

    The site on disk is always that of one finished build of the present sources: it is written beside the
    old one and takes its place at the end; until then a notice stands there. Returns the exit status.
    """
    shown = os.path.relpath(project.site / "index.html")
    with lock(project):
        made, before = read_json(project.state / "site.json", {}), project.fingerprint()
        if made.get("fingerprint") == before and made.get("files") == _files(project.site):
            print(f"nothing has changed: {shown} is up to date")
            return 0
        (project.state / "site.json").unlink(missing_ok=True)
        shutil.rmtree(project.site, ignore_errors=True)
        project.site.mkdir(parents=True)
        (project.site / "index.html").write_text(NOTICE, encoding="utf-8")
        book = bring_up_to_date(project)
        beside = _beside_prose(book)
        failures = render(book, project.build / "next", kept=made.get("beside prose") == beside)
        late = budget_report(book)
        if late and os.environ.get("CI"):
            failures.append(late)
        shutil.rmtree(project.site)
        os.replace(project.build / "next", project.site)
        if failures:
            print(f"\n{len(failures)} failure{'s' * (len(failures) > 1)}:")
            print("\n".join(f"  {line}" for line in failures))
            print(f"The site is written all the same, its failing pages marked: {shown}")
            return 1
        if project.fingerprint() != before:
            print("\nsources changed while the book was built: run this again")
            return 1
        made = {"fingerprint": before, "beside prose": beside, "files": _files(project.site)}
        write_json(project.state / "site.json", made)
        print(f"\nthe book is at {shown}")
        return 0


def _beside_prose(book: Book) -> str:
    """Changes with all that a page is read with but its text: where it is as it was in the last build, and
    that was green, Sphinx may keep what it knows of pages whose text is what it was.
    """
    project = book.project
    pages = sorted(project.book.glob("**/*.md"))
    others = provenance.digest(sorted({*project.sources()} - {*pages}), project.root)
    names = [project.page(file) for file in pages]
    about = [sys.version, project.repository_url, project.base_url, names, others]
    about += [book.exercises, sorted(book.tests.failed)]
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _files(site: Path) -> dict[str, list[int]]:
    """Size and time of change of every file of the site: whether someone touched it since."""
    found = {file: file.stat() for file in sorted(site.glob("**/*")) if file.is_file()}
    return {f.relative_to(site).as_posix(): [made.st_size, made.st_mtime_ns] for f, made in found.items()}


def render(
    book: Book,
    output: Path,
    builder: str = "html",
    kept: bool = False,
    pages: Sequence[Path] = (),
    known: str = "",
    **settings: object,
) -> list[str]:
    """Have Sphinx write all of ``book`` to ``output``: its warnings, none if all is well.

    Nitpicky, warnings as errors, going on to the end. ``kept``: what Sphinx knows of the pages whose text has
    not changed since its last build is good. ``pages``: the files of pages that alone have changed since
    ``output`` was written. ``known``: the output whose pages, as they were read, are written in another form.
    ``settings`` override those of ``conf.py``.
    """
    from sphinx.application import Sphinx
    from sphinx.errors import SphinxError
    from sphinx.util.console import strip_escape_sequences
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    root, warnings = book.project.root, io.StringIO()
    doctrees = book.project.build / "doctrees" / (known or output.name)
    if not pages:
        shutil.rmtree(output, ignore_errors=True)
    if not (pages or kept or known):
        shutil.rmtree(doctrees, ignore_errors=True)
    with patch_docutils(root), docutils_namespace():
        try:
            app = Sphinx(
                srcdir=book.project.book,
                confdir=root,
                outdir=output,
                doctreedir=doctrees,
                buildername=builder,
                confoverrides={"nitpicky": True, "book": book, **settings},
                status=None,
                warning=warnings,
                warningiserror=True,
                parallel=1 if pages else (os.cpu_count() or 1) + 1,  # one of them hands out the work
            )
            if pages:
                app.env.reread_always.clear()  # reports about other pages: those have not changed
            app.build(force_all=not pages, filenames=pages)
        except SphinxError as error:
            raise BookError(f"Sphinx gave up: {error}\n{warnings.getvalue()}".rstrip()) from error
    text = strip_escape_sequences(warnings.getvalue()).replace(f"{root}{os.sep}", "")
    lines = [line for line in text.splitlines() if line.strip()]
    return lines or ["Sphinx failed without saying why"] * bool(app.statuscode)


def budget_report(book: Book) -> str | None:
    """Print what pages cost beyond their budgets; a line if all together cost more than their budgets."""
    outcomes = sorted(book.outcomes.values(), key=lambda outcome: outcome.page.budget - outcome.cost)
    for outcome in outcomes:
        page = outcome.page
        if outcome.cost > page.budget:
            print(f"  {page.name} is over its budget: {outcome.cost:.1f} s of {page.budget:.0f} s")
        if page.is_chapter and not outcome.claims and not outcome.failures:
            print(f"  {page.name} makes no claim: a chapter should")
    sound = [outcome for outcome in outcomes if not outcome.failures]
    actual, allowed = sum(one.cost for one in sound), sum(one.page.budget for one in sound)
    used = f"{actual:.0f} s of {allowed:.0f} s budgeted"
    ran = sum(not outcome.cached for outcome in outcomes)
    print(f"  {len(outcomes)} pages cost {used} (reference machine, CPU), {ran} of them ran now")
    return f"all pages together cost more than their budgets: {used}" if actual > allowed else None


def chapter(project: Project, name: str) -> int:
    """Execute and render one page alone, for its author, into ``_build/chapter``."""
    name = name.removeprefix("book/").removesuffix(".md")
    if not (project.book / f"{name}.md").exists():
        known = ", ".join(project.page(file) for file in sorted(project.book.glob("**/*.md")))
        raise BookError(f"there is no book/{name}.md; the pages are: {known}")
    site = project.build / "chapter"
    with lock(project):
        book = bring_up_to_date(project, name)
        failures = render(book, site, root_doc=name, include_patterns=[f"{name}.md"], **ALONE)
    shown = f"{name} is at {os.path.relpath(site / name)}.html"
    print("\n".join(f"  {line}" for line in failures) or shown)
    return 1 if failures else 0


def linkcheck(project: Project) -> int:
    """Check every link of the book to other sites."""
    with lock(project):
        failures = render(bring_up_to_date(project), project.build / "linkcheck", builder="linkcheck")
    print("\n".join(f"  {line}" for line in failures) or "every link answers")
    return 1 if failures else 0


def serve(project: Project) -> int:
    """Build, then serve the site on a free port of this machine until interrupted."""
    status = html(project)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(project.site))
    http.server.test(handler, http.server.ThreadingHTTPServer, port=0, bind="127.0.0.1")
    return status


def clean(project: Project) -> int:
    """Delete what was built; keep what was executed and trained (``distclean`` drops that too)."""
    with lock(project):
        for entry in project.build.iterdir():
            if entry != project.state:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        (project.state / "site.json").unlink(missing_ok=True)
    return 0
