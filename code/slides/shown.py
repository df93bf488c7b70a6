"""What the pages of the last build show, by reference; what is not there is an error that says what is."""

import ast
import base64
import difflib
import functools
import html
import re
from collections.abc import Iterable
from pathlib import Path

import nbformat
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

from bookbuild.engine.project import Project
from rlworkshop.verify import RECORD
from showcase import films
from standalone.source import SourceError, find

TEXT = "application/papermill.record/text/plain"  # of what a page glues
VIDEO = re.compile(r'<video [^>]*?aria-label="([^"]*)" src="data:video/mp4;base64,([^"]+)"')


class Missing(Exception):
    """A slide refers to something that the book does not have."""


class Shown:
    """The outputs of a project's executed pages: ``project.executed``."""

    def __init__(self, project: Project):
        self.project, self.folder = project, project.executed

    @functools.cached_property
    def pages(self) -> list[str]:
        """Pages with code, by name."""
        files = sorted(self.folder.glob("**/*.ipynb"))
        return [file.relative_to(self.folder).with_suffix("").as_posix() for file in files]

    @functools.cache  # noqa: B019, for one run of a program
    def cells(self, page: str) -> list[nbformat.NotebookNode]:
        """The code cells of a page."""
        if page not in self.pages:
            raise Missing(f"there is no executed page {page!r}{_near(page, self.pages)}")
        notebook = nbformat.read(self.folder / f"{page}.ipynb", nbformat.NO_CONVERT)
        return [cell for cell in notebook.cells if cell.cell_type == "code"]

    def outputs(self, page: str) -> Iterable[nbformat.NotebookNode]:
        """What a page's cells have put out."""
        return (output for cell in self.cells(page) for output in cell.outputs)

    def value(self, reference: str) -> str:
        """A glued value, ``PAGE:KEY`` or ``PAGE:KEY:FORMAT``, as text."""
        page, key, form = _parts(reference, "PAGE:KEY:FORMAT", 3)
        glued = {}
        for output in self.outputs(page):
            if name := output.get("metadata", {}).get("scrapbook", {}).get("name"):
                glued[name] = output["data"].get(TEXT)
        if glued.get(key) is None:
            raise Missing(f"{page} has glued no value {key!r}{_near(key, glued)}")
        try:
            return format(ast.literal_eval(glued[key]), form)
        except (TypeError, ValueError) as error:
            raise Missing(f"{page} has glued {key!r}, but {error}") from None

    def claim(self, reference: str) -> str:
        """The measured value of a claim, ``PAGE#NAME``."""
        page, _, name = reference.partition("#")
        about = [output.get("metadata", {}) for output in self.outputs(page)]
        found = [one[RECORD] for one in about if RECORD in one]
        known = {record["name"]: record["value"] for record in found}
        if name not in known:
            raise Missing(f"{page} makes no claim {name!r}{_near(name, known)}")
        return known[name] if isinstance(known[name], str) else f"{known[name]:.4g}"

    @functools.cached_property
    def _figures(self) -> dict[str, tuple[str, str, dict]]:
        """Of all figures with a name: their page, alternative text and data by kind."""
        found = {}
        for page in self.pages:
            for cell in self.cells(page):
                shown = cell.metadata.get("mystnb", {})
                name, alt = shown.get("figure", {}).get("name"), shown.get("image", {}).get("alt", "")
                for output in cell.outputs if name else []:
                    if any(kind.startswith("image/") for kind in output.get("data", {})):
                        found[name] = page, alt, output["data"]
        return found

    def figure(self, name: str) -> str:
        """A figure as a picture, with the page that it comes from."""
        if name not in self._figures:
            raise Missing(f"no page has a figure {name!r}{_near(name, self._figures)}")
        page, alt, data = self._figures[name]
        if "image/svg+xml" in data:
            kind, text = "image/svg+xml", base64.b64encode("".join(data["image/svg+xml"]).encode()).decode()
        else:
            kind, text = "image/png", "".join(data["image/png"].split())
        picture = f'<img src="data:{kind};base64,{text}" alt="{html.escape(alt)}">'
        return f"<figure>{picture}<figcaption>{page}</figcaption></figure>"

    def film(self, reference: str) -> str:
        """Film number N of a page, ``PAGE:N``, with a picture of its middle for paper."""
        page, number, _ = _parts(reference, "PAGE:N", 3)
        shown = (output.get("data", {}).get("text/html", "") for output in self.outputs(page))
        clips = [clip for text in shown for clip in VIDEO.findall("".join(text))]
        if not number.isdecimal() or int(number) >= len(clips):
            raise Missing(f"{page} has no film {number!r}: it has {len(clips)}, counted from 0")
        label, data = clips[int(number)]
        name, *_ = films.kept(base64.b64decode(data), self.project.state)
        still = base64.b64encode((self.project.state / films.FOLDER / f"{name}.webp").read_bytes()).decode()
        return (
            f'<figure class="film"><video muted loop playsinline aria-label="{label}" '
            f'src="data:video/mp4;base64,{data}"></video>'
            f'<img class="still" alt="{label}" src="data:image/webp;base64,{still}">'
            f"<figcaption>{page}</figcaption></figure>"
        )

    def diagram(self, name: str) -> str:
        """A drawing, within the slide, so that it takes on its colours."""
        file = self.project.book / "_diagrams" / f"{name}.svg"
        if not file.exists():
            known = [one.stem for one in file.parent.glob("*.svg")]
            raise Missing(f"there is no drawing {name!r}{_near(name, known)}")
        svg = re.sub(r' style="max-width:[^"]*"', "", file.read_text(encoding="utf-8"), count=1)
        return f'<figure class="diagram">{svg}</figure>'

    def snippet(self, reference: str) -> str:
        """Code by its dotted name, ``NAME`` or ``NAME:REGION``."""
        dotted, region, _ = _parts(f"{reference}:", "NAME:REGION", 3)
        try:
            found = find(self.project, dotted, region or None)
        except SourceError as error:
            raise Missing(str(error)) from None
        return f"{code(terse(found.text))}<p class='source'>{html.escape(dotted)}</p>"


def terse(text: str) -> str:
    """Code whose docstrings are cut to their first lines: a slide is not the place for the others."""
    return re.sub(r'^(\s*"""[^"\n]+)\n(?:(?!""").*\n)*?\s*"""$', r'\1"""', text, flags=re.M)


def code(text: str, language: str = "python") -> str:
    """Highlighted code."""
    try:
        lexer = get_lexer_by_name(language or "text")
    except Exception:  # a class of pygments' own
        lexer = get_lexer_by_name("text")
    longest = max(map(len, text.split("\n")))  # by which the style sheet chooses its size
    return highlight(text, lexer, HtmlFormatter(cssclass="code", cssstyles=f"--longest: {longest}"))


def style() -> str:
    """The colours of highlighted code."""
    return HtmlFormatter(style="tango", cssclass="code").get_style_defs(".code")


def embedded(css: str, folder: Path) -> str:
    """A style sheet of ``folder`` with its fonts in it."""

    def inline(found: re.Match) -> str:
        data = base64.b64encode((folder / found[1]).read_bytes()).decode()
        return f'url("data:font/woff2;base64,{data}")'

    return re.sub(r"url\([\"']?([\w./-]+\.woff2)[\"']?\)", inline, css)


def _parts(reference: str, form: str, number: int) -> list[str]:
    parts = reference.split(":", number - 1)
    if len(parts) < 2:
        raise Missing(f"{reference!r} should be {form}")
    return [*parts, *[""] * (number - len(parts))]


def _near(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, [*known], 3)
    return f": did you mean {' or '.join(map(repr, close))}?" if close else ""
