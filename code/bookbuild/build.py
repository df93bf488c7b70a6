"""``make html`` and its kin: the engine brings the book up to date, then Sphinx renders what it holds."""

import functools
import io
import os
import shutil
import tomllib
from collections.abc import Sequence
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from bookbuild.engine import calibration
from bookbuild.engine.book import Book, bring_up_to_date, lock
from bookbuild.engine.project import BookError, Project
from bookbuild.engine.store import read_json, write_json
from rlworkshop import runs, verify

NOTICE = """<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>No finished build</title><p>This book is being built, or its last build was interrupted.
Run <code>make html</code> and load this page again.</p>
"""
ALONE = ["ref", "myst.xref_missing", "toc", "bibtex"]  # what a page lacks when it is built alone


def html(project: Project) -> int:
    """Execute what changed, write the whole site anew, list everything that failed.

    The site on disk is always that of one finished build of the present sources: it is written beside the
    old one and takes its place at the end; until then a notice stands there. Returns the exit status.
    """
    with lock(project):
        made = read_json(project.state / "site.json", {})
        if made.get("fingerprint") == project.fingerprint() and made.get("files") == _files(project.site):
            print(f"nothing has changed: {_shown(project.site / 'index.html')} is up to date")
            return 0
        (project.state / "site.json").unlink(missing_ok=True)
        shutil.rmtree(project.site, ignore_errors=True)
        project.site.mkdir(parents=True)
        (project.site / "index.html").write_text(NOTICE, encoding="utf-8")
        before = project.fingerprint()
        book = bring_up_to_date(project)
        failures = render(book, project.build / "next")
        late = budget_report(book)
        if late and os.environ.get("CI"):
            failures.append(late)
        shutil.rmtree(project.site)
        os.replace(project.build / "next", project.site)
        shown = _shown(project.site / "index.html")
        if failures:
            print(f"\n{len(failures)} failure{'s' * (len(failures) > 1)}:")
            print("\n".join(f"  {line}" for line in failures))
            print(f"The site is written all the same, its failing pages marked: {shown}")
            return 1
        if project.fingerprint() != before:
            print("\nsources changed while the book was built: run this again")
            return 1
        write_json(project.state / "site.json", {"fingerprint": before, "files": _files(project.site)})
        print(f"\nthe book is at {shown}")
        return 0


def render(
    book: Book, output: Path, builder: str = "html", pages: Sequence[Path] = (), **settings
) -> list[str]:
    """Have Sphinx write all of ``book`` to ``output``: its warnings, none if all is well.

    Nitpicky, warnings as errors, going on to the end. ``pages``: the files of pages that alone have changed
    since ``output`` was written; ``settings`` override those of ``conf.py``.
    """
    from sphinx.application import Sphinx
    from sphinx.util.console import strip_escape_sequences
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    project = book.project
    if not pages:
        shutil.rmtree(output, ignore_errors=True)
    warnings = io.StringIO()
    with patch_docutils(project.root), docutils_namespace():
        app = Sphinx(
            srcdir=project.book,
            confdir=project.root,
            outdir=output,
            doctreedir=project.build / "doctrees" / output.name,
            buildername=builder,
            confoverrides={"nitpicky": True, "book": book, **settings},
            status=None,
            warning=warnings,
            freshenv=not pages,
            warningiserror=True,
            parallel=1 if pages else os.cpu_count() or 1,
        )
        app.build(force_all=not pages, filenames=pages)
    text = strip_escape_sequences(warnings.getvalue()).replace(f"{project.root}{os.sep}", "")
    lines = [line for line in text.splitlines() if line.strip()]
    if app.statuscode and not lines:
        lines = ["Sphinx failed without saying why"]
    return lines


def budget_report(book: Book) -> str | None:
    """Print what pages cost beyond their budgets; a line if all together cost more than their budgets."""
    for outcome in sorted(book.outcomes.values(), key=lambda outcome: outcome.page.budget - outcome.cost):
        page, ran = outcome.page, not outcome.cached
        if ran and not page.declares_budget:
            print(f"  {page.name} declares no budget (front matter 'budget: SECONDS')")
        elif outcome.cost > page.budget:
            print(f"  {page.name} is over its budget: {outcome.cost:.1f} s of {page.budget:.0f} s")
        if page.is_chapter and not outcome.claims and not outcome.failures:
            print(f"  {page.name} makes no claim: a chapter should")
    ran = [outcome for outcome in book.outcomes.values() if not outcome.cached]
    actual = sum(outcome.cost for outcome in book.outcomes.values() if not outcome.failures)
    allowed = sum(outcome.page.budget for outcome in book.outcomes.values() if not outcome.failures)
    used = f"{actual:.0f} s of {allowed:.0f} s budgeted"
    print(f"  {len(book.outcomes)} pages cost {used} (reference machine, CPU), {len(ran)} of them ran now")
    return f"all pages together cost more than their budgets: {used}" if actual > allowed else None


def chapter(project: Project, name: str) -> int:
    """Execute and render one page alone, for its author, into ``_build/chapter``."""
    name = name.removeprefix("book/").removesuffix(".md")
    if not (project.book / f"{name}.md").exists():
        known = sorted(
            f.relative_to(project.book).with_suffix("").as_posix() for f in project.book.glob("**/*.md")
        )
        raise BookError(f"there is no book/{name}.md; the pages are: {', '.join(known)}")
    site = project.build / "chapter"
    with lock(project):
        alone = {"root_doc": name, "include_patterns": [f"{name}.md"], "nitpicky": False}
        failures = render(bring_up_to_date(project, name), site, suppress_warnings=ALONE, **alone)
    print("\n".join(f"  {line}" for line in failures) or f"{name} is at {_shown(site / f'{name}.html')}")
    return 1 if failures else 0


def linkcheck(project: Project) -> int:
    """Check every link of the book to other sites."""
    with lock(project):
        failures = render(bring_up_to_date(project), project.build / "linkcheck", builder="linkcheck")
    print("\n".join(f"  {line}" for line in failures) or "every link answers")
    return 1 if failures else 0


def release_check(project: Project) -> int:
    """What must be in order before a release, beyond a green build; prints what is not."""
    status = html(project)
    problems = []
    with lock(project):
        book = bring_up_to_date(project)
    for name, outcome in book.outcomes.items():
        if outcome.page.is_chapter and not outcome.claims:
            problems.append(f"{name} makes no claim")
        kept = calibration.read(project, name)
        for record in outcome.claims:
            if wrong := verify.doubt(record, kept.get(record["name"], {}).get("values")):
                problems.append(f"{name}: {record['text']}: {wrong}")
    for file in sorted((project.root / "benchmarks" / "results").glob("*.json")):
        stored = runs.stored(file.stem, folder=file.parent)
        if not stored.fits:
            problems.append(f"stored run {file.stem}: {stored.note}")
    settings = tomllib.loads((project.root / "pyproject.toml").read_text(encoding="utf-8"))
    version = settings["project"]["version"]
    for file in ("CHANGELOG.md", "CITATION.cff", "code/rlworkshop/__init__.py"):
        if version not in (project.root / file).read_text(encoding="utf-8"):
            problems.append(f"{file} does not speak of version {version}")
    if project.commit().endswith("+"):
        problems.append("there are uncommitted changes")
    print("\n".join(f"  {problem}" for problem in problems) or "ready for release")
    return status or (1 if problems else 0)


def serve(project: Project) -> int:
    """Build, then serve the site on a free port of this machine until interrupted."""
    status = html(project)
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(project.site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        print(f"http://127.0.0.1:{server.server_port}/  (Ctrl-C ends)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
    return status


def clean(project: Project) -> int:
    """Delete what was built; keep what was executed and trained (``distclean`` drops that too)."""
    with lock(project):
        for entry in project.build.iterdir():
            if entry != project.state:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        (project.state / "site.json").unlink(missing_ok=True)
    return 0


def _files(site: Path) -> dict[str, list[int]]:
    """Size and time of change of every file of the site: whether someone touched it since."""
    found = {}
    for file in sorted(site.glob("**/*")):
        if file.is_file():
            facts = file.stat()
            found[file.relative_to(site).as_posix()] = [facts.st_size, facts.st_mtime_ns]
    return found


def _shown(file: Path) -> str:
    try:
        return file.relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(file)
