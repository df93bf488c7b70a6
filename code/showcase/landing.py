"""The title page: an agent that a page of this build has trained, playing; and numbers of the build."""

import ast
import json
from pathlib import Path

from docutils import nodes
from jinja2 import Environment, FileSystemLoader
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole

from bookbuild.engine.book import Book
from bookbuild.site.domain import BookDirective

HERE = Path(__file__).parent
TEMPLATES = Environment(loader=FileSystemLoader(HERE), trim_blocks=True, lstrip_blocks=True)


def kept(book: Book, page: str, name: str) -> object:
    """What a page has glued under ``name`` in this build; ``None`` where there is no such thing."""
    cells = book.outcomes[page].notebook.cells if page in book.outcomes else []
    for output in (output for cell in cells for output in cell.get("outputs", [])):
        if output.get("metadata", {}).get("scrapbook", {}).get("name") == name:
            return ast.literal_eval(output["data"]["application/papermill.record/text/plain"])
    return None


class PlaygroundDirective(BookDirective):
    """Usage: ``{playground} PAGE NAME``: CartPole, played by the policies that a page has glued as ``NAME``.

    They are a JSON text: a list with the environment steps of training (``steps``), the mean return
    (``return``) and the layers' weights and biases (``layers``) of each. The content is the caption.
    """

    required_arguments = 2
    has_content = True

    def run(self) -> list[nodes.Node]:
        page, name = self.arguments
        self.env.note_dependency(self.config.book.project.executed / f"{page}.ipynb")
        text = kept(self.config.book, page, name)
        if text is None and not self.config.book.only:
            return self.fail(f"{page} has glued no {name!r} in this build")
        checkpoints = json.loads(text or "[]")
        script, style = ((HERE / f"playground.{kind}").read_text("utf-8") for kind in ("js", "css"))
        parts = TEMPLATES.get_template("playground.html").render(
            checkpoints=checkpoints, data=text and text.replace("</", "<\\/"), script=script, style=style
        )
        before, after = parts.split("<!-- caption -->")
        caption = nodes.inline("", "", *self.parse_inline(" ".join(self.content))[0], classes=["on-site"])
        return [nodes.raw("", before, format="html"), caption, nodes.raw("", after, format="html")]


def facts(book: Book) -> dict[str, int]:
    """How many claims the book has in this build, pages and exercises (that run), and minutes of CPU time of
    the reference machine that all pages take.
    """
    outcomes = book.outcomes.values()
    return {
        "claims": sum(len(outcome.claims) for outcome in outcomes),
        "pages": len(outcomes),
        "exercises": len(book.exercises),
        "minutes": round(sum(outcome.cost for outcome in outcomes) / 60),
    }


class FactRole(SphinxRole):
    """``{fact}`claims```: one of the ``facts``."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        self.env.note_reread()  # any page may have run again
        known = facts(self.config.book)
        if self.text in known:
            return [nodes.Text(f"{known[self.text]:,}")], []
        message = f"fact role: there is no {self.text!r}, but {', '.join(known)}"
        self.env.get_domain("book").warn(message, self.env.docname, self.lineno)
        return [nodes.inline(text="(not known)")], []


def title(app: Sphinx, page: str, template: str, context: dict, _: object) -> None:
    """The title page is not called by the book's name twice."""
    if page == app.config.root_doc:
        context["docstitle"] = ""


def setup(app: Sphinx) -> None:
    """Register the directive and the role."""
    app.add_directive("playground", PlaygroundDirective)
    app.add_role("fact", FactRole())
    app.connect("html-page-context", title)
