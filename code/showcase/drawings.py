"""``{diagram}``: a drawing of ``book/_diagrams``, within the page, so that it takes on the page's colours."""

from docutils import nodes
from sphinx.application import Sphinx

from bookbuild.site.domain import BookDirective


class DiagramDirective(BookDirective):
    """Usage: ``{diagram} NAME`` with the caption as content. ``:name:`` is what ``{numref}`` leads to.

    ``NAME.svg`` is one element, with a ``<title>`` and a ``<desc>`` for those who cannot see it, colours by
    the classes of ``book.css``, and ids that begin with ``NAME``.
    """

    has_content = True
    option_spec = {"name": str}

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        file = self.config.book.project.book / "_diagrams" / f"{name}.svg"
        if not file.exists():
            return self.fail(f"there is no drawing {file.name} in book/_diagrams")
        self.env.note_dependency(file)
        svg = file.read_text(encoding="utf-8")
        if "<title" not in svg or "<desc" not in svg:
            return self.fail(f"{file.name} has no <title> and <desc>: what is to be seen?")
        caption = nodes.caption("", "", *self.parse_inline(" ".join(self.content))[0])
        figure = nodes.figure("", nodes.raw("", svg, format="html"), caption, classes=["diagram"])
        self.add_name(figure)
        return [figure]


def setup(app: Sphinx) -> None:
    """Register the directive."""
    app.add_directive("diagram", DiagramDirective)
