"""``make epub``: the whole book for an e-reader, from what the last build of the site has read.

Sphinx's own builder writes it. Here is what a page is without a screen, a script or a click: cells that only
serve are left out, solutions stand at the chapter's end, what was folded is open, a film is a picture.
"""

import html
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import imageio.v3 as iio
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.builders.epub3 import Epub3Builder
from sphinx.config import Config
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

from bookbuild.build import render
from bookbuild.engine.book import bring_up_to_date, lock
from bookbuild.engine.project import BookError, Project
from bookbuild.engine.store import read_json
from bookbuild.site import assets, typeset
from bookbuild.site.markup import Translator
from bookbuild.site.reading import Evidence
from bookbuild.site.search import plain
from editions import check, formulas
from editions.onsite import only_on_site
from editions.xhtml import xhtml
from showcase import films
from showcase.cards import cover

HERE = Path(__file__).parent
COVER = "cover.png"
DOCTYPE = re.compile(r"<!DOCTYPE[^>]*>\s*|<metadata>.*?</metadata>\s*", re.S)  # which lead elsewhere
LINK = re.compile(r"^(?!\w+:)([^#]*)\.xhtml(?:#|$)")  # within the book
ACCESS = {
    "accessMode": "textual visual",
    "accessModeSufficient": "textual,visual",
    "accessibilityFeature": "alternativeText tableOfContents readingOrder displayTransformability",
    "accessibilityHazard": "none",
    "accessibilitySummary": "Pictures have alternative texts; drawn formulas have their TeX.",
}
logger = logging.getLogger(__name__)


def build(project: Project) -> int:
    """Write ``_build/NAME.epub`` from the site's last build; no page runs, and none is read again."""
    with lock(project):
        if read_json(project.state / "site.json", {}).get("fingerprint") != project.fingerprint():
            raise BookError(
                "there is no site of the present sources to make an EPUB of: run `make html` first"
            )
        folder = project.build / "epub"
        failures = render(bring_up_to_date(project), folder, "epub", known="next")
        for file in folder.glob("*.epub"):
            failures += check.problems(file)
            os.replace(file, project.build / file.name)
            size = (project.build / file.name).stat().st_size / 1e6
            print(f"the book to take along is {os.path.relpath(project.build / file.name)} ({size:.1f} MB)")
        shutil.rmtree(folder)
    print("\n".join(f"  {line}" for line in failures), end="\n" * bool(failures))
    return 1 if failures else 0


class Epub(Epub3Builder):
    """Sphinx's builder; of the site's own ``format``, so that what is made for the site leaves it alone."""

    format = "epub"
    math_renderer_name = "take along"

    def init(self) -> None:
        """Nodes that extensions bring are written as they are on the site."""
        handlers = self.env._app.registry.translation_handlers
        handlers["epub"] = handlers["html"]
        super().init()

    def write_documents(self, docnames: set[str]) -> None:
        """Leave out what makes no sense on paper."""
        super().write_documents({*docnames} - {*self.config.epub_leaves_out})

    def write_doc(self, docname: str, doctree: nodes.document) -> None:
        """Of links to what is left out the words stay; what was written for the site leads on here."""
        for link in list(doctree.findall(nodes.reference)):
            if link.get("internal") and "refuri" in link:
                link["refuri"] = re.sub(r"\.html(?=#|$)", self.out_suffix, link["refuri"])
            target = LINK.match(link.get("refuri", ""))
            if target and os.path.normpath(f"{docname}/../{target[1]}") in self.config.epub_leaves_out:
                link.parent.replace(link, link.children)
        super().write_doc(docname, doctree)

    def copy_assets(self) -> None:
        """One style sheet, and nothing of the site's."""
        shutil.copyfile(HERE / "epub.css", self.outdir / "epub.css")
        cover(self.outdir / COVER, self.config.project, self.config.author, f"Version {self.config.release}")

    def gen_indices(self) -> None:
        """None: a reader searches."""
        self.domain_indices, self.use_index = [], False

    def gen_additional_pages(self) -> None:
        """None: they are the site's."""

    def copy_image_files(self) -> None:
        """Drawings without what nobody sees, and of films a picture."""
        super().copy_image_files()
        for file in (self.outdir / self.imagedir).glob("*.svg"):
            file.write_text(assets.slim(DOCTYPE.sub("", file.read_text("utf-8"))), encoding="utf-8")
        kept = self.config.book.project.state / films.FOLDER
        for _, name in self.env.get_domain("book").noted("film"):
            (self.outdir / films.FOLDER).mkdir(exist_ok=True)
            iio.imwrite(self.outdir / films.FOLDER / f"{name}.jpg", iio.imread(kept / f"{name}.webp"))

    def get_toc(self) -> None:
        """Parts, each with a page of its own, and their chapters."""
        self.refnodes = [entry(1, f"{self.config.root_doc}{self.out_suffix}", self.config.project)]
        for number, (caption, pages) in enumerate(parts(self), 1):
            pages = [(f"{page}{self.out_suffix}", title(self.env.titles[page])) for page in pages]
            if caption:
                rows = "".join(f'<li><a href="{uri}">{html.escape(title)}</a></li>' for uri, title in pages)
                body = f'<h1 class="part">{html.escape(caption)}</h1><ol>{rows}</ol>'
                self.handle_page(f"part-{number}", {"title": caption, "body": body})
                self.refnodes.append(entry(1, f"part-{number}{self.out_suffix}", caption))
            self.refnodes += [entry(1 + bool(caption), uri, title) for uri, title in pages]

    def content_metadata(self) -> dict:
        """The date is that of the version."""
        return super().content_metadata() | {"date": made(self.config.book)}

    def build_content(self) -> None:
        """Say of each file what readers ask, and of the book whom it is for."""
        super().build_content()
        file = self.outdir / "content.opf"
        facts = "".join(
            f'<meta property="schema:{name}">{value}</meta>\n'
            for name, text in ACCESS.items()
            for value in (text.split() if name in ("accessMode", "accessibilityFeature") else [text])
        )
        text = file.read_text("utf-8").replace("</metadata>", f"{facts}</metadata>")
        for name in self.files:
            properties = "cover-image" if name == COVER else ""
            if name.endswith(self.out_suffix):
                properties = "svg" if "<svg" in (self.outdir / name).read_text("utf-8") else ""
            if properties:
                text = text.replace(f'href="{name}"', f'href="{name}" properties="{properties}"')
        file.write_text(text, encoding="utf-8")


def entry(level: int, uri: str, text: str) -> dict:
    """A line of the table of contents."""
    return {"level": level, "refuri": html.escape(uri), "text": html.escape(text)}


def title(node: nodes.title) -> str:
    """The title of a page as one reads it."""
    return "".join(plain(part.astext()) if isinstance(part, nodes.math) else part.astext() for part in node)


def parts(builder: Epub) -> Iterator[tuple[str, list[str]]]:
    """The captions of the book's contents, with their pages."""
    for toc in builder.env.get_doctree(builder.config.root_doc).findall(addnodes.toctree):
        pages = [page for page in toc["includefiles"] if page not in builder.config.epub_leaves_out]
        yield toc.get("caption") or "", pages


def made(book) -> str:
    """When the version was made: its commit, or without one the run of its last page."""
    git = ["git", "-C", str(book.project.root), "log", "-1", "--format=%cd", "--date=format-local:%FT%TZ"]
    if book.project.commit():
        environment = {**os.environ, "TZ": "UTC"}
        return subprocess.run(git, capture_output=True, text=True, check=True, env=environment).stdout.strip()
    when = max((outcome.when for outcome in book.outcomes.values()), default="2026-01-01 00:00")
    return f"{when.replace(' ', 'T')}:00Z"


class ForReaders(Translator):
    """The book's pages, with nothing that opens or loads late."""

    def visit_Evidence(self, node: nodes.Element) -> None:
        """A quiet line, and the claims."""
        self.body.append(
            f"{self.starttag(node, 'div', CLASS='evidence')}<p>{self.encode(node['line'])}</p>\n"
        )

    def depart_Evidence(self, node: nodes.Element) -> None:
        """Its end."""
        self.body.append("</div>\n")


def visit_math(self: ForReaders, node: nodes.math) -> None:
    """A formula in the line."""
    shown, tail = formula(self, node), self.encode(node.get("tail", ""))
    self.body.append(
        f'<span style="white-space: nowrap">{shown}{tail}</span>' if "<svg" in shown else shown + tail
    )
    raise nodes.SkipNode


def visit_displaymath(self: ForReaders, node: nodes.math_block) -> None:
    """A formula in a line of its own, with its number, which leads to the code."""
    number = f"({get_node_equation_number(self, node)})" if node["number"] else ""
    if number and (address := node.get("to-code")):
        number = f'<a href="{address}">{number}</a>'
    mark = f'<span class="eqno">{number}</span>' if number else ""
    self.body.append(f"{self.starttag(node, 'div', CLASS='equation')}{mark}{formula(self, node)}</div>\n")
    raise nodes.SkipNode


def formula(translator: ForReaders, node: nodes.math | nodes.math_block) -> str:
    """A formula; its TeX where it cannot be shown, which is said."""
    text, display = typeset.formula(node)
    try:
        return formulas.shown(typeset.the_typesetter()(text, display), text, display)
    except Exception as error:  # of many kinds, as formulas are
        logger.warning(f"no reader could show the formula {text!r}: {error!r}", location=node, type="epub")
        return f"<code>{html.escape(text)}</code>"


def fit(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Leave out of a page what needs a screen, and put its solutions at the end."""
    if app.builder.format != "epub":
        return
    for cell in list(
        doctree.findall(lambda node: node.get("nb_element") == "cell_code" if is_element(node) else 0)
    ):
        behind = isinstance(cell.children[0], Evidence) if cell.children else False
        if behind or {"tag_hide-input", "tag_hide-cell"} & {*cell["classes"]}:
            drop(cell, lambda node: node.get("nb_element") == "cell_code_source")
        if behind and not cell.children[0].children:
            cell.parent.remove(cell)
    drop(doctree, lambda node: isinstance(node, Evidence) and "more-code" in node["ids"])
    drop(doctree, only_on_site)
    for block in doctree.findall(nodes.literal_block):
        block.get("highlight_args", {}).pop("names", None)
    at_the_end(doctree)


def is_element(node: nodes.Node) -> bool:
    """Whether a node has attributes."""
    return isinstance(node, nodes.Element)


def drop(tree: nodes.Element, unwanted) -> None:
    """Take out of ``tree`` what is unwanted."""
    for node in list(tree.findall(lambda node: is_element(node) and unwanted(node))):
        node.parent.remove(node)


def at_the_end(doctree: nodes.document) -> None:
    """Move the solutions of exercises into a section of their own."""
    solutions = nodes.section("", nodes.title(text="Solutions"), ids=["solutions"])
    for box in list(doctree.findall(nodes.container)):
        begins = [
            n for n, part in enumerate(box) if isinstance(part, nodes.raw) and "Solution<" in part.astext()
        ]
        if "exercise" not in box["classes"] or not begins:
            continue
        first = begins[0]
        last = next(n for n in range(first, len(box)) if box[n].astext().startswith("</details"))
        name = f"solution-{box['ids'][0]}"
        there = nodes.reference("", "Its solution", refid=name)
        back = nodes.reference("", box.next_node(nodes.rubric).astext(), refid=box["ids"][0])
        solutions += nodes.rubric("", "", back, ids=[name])
        solutions += box[first + 1 : last]
        box[first : last + 1] = [nodes.paragraph("", "", there, nodes.Text(" is at the end of the chapter."))]
    if len(solutions) > 1:
        (doctree.next_node(nodes.section) or doctree).append(solutions)


def as_xhtml(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """What a page shows, as every reader can read it."""
    if app.builder.format == "epub" and "body" in context:
        body = xhtml(context["body"])
        context["body"] = re.sub(rf'({films.FOLDER}/\w+)\.webp"', r'\1.jpg"', body)


def settle(app: Sphinx, config: Config) -> None:
    """What the builder is told, beside what ``conf.py`` says of the book."""
    config.epub_theme, config.epub_tocscope, config.epub_tocdup = "takealong", "includehidden", False
    config.epub_show_urls, config.epub_uid, config.epub_cover = "no", "book", (COVER, "epub-cover.html")


def setup(app: Sphinx) -> None:
    """Register all of it."""
    app.add_config_value("epub_leaves_out", [], "")  # pages that make no sense on an e-reader
    app.add_html_theme("takealong", str(HERE / "theme"))
    app.add_builder(Epub, override=True)
    app.set_translator("epub", ForReaders)
    app.add_html_math_renderer("take along", (visit_math, None), (visit_displaymath, None))
    app.connect("config-inited", settle)
    app.connect("doctree-resolved", fit, priority=700)
    app.connect("html-page-context", as_xhtml, priority=900)
