"""Formulas are set while the book is rendered: HTML for the eye, MathML for a screen reader, no script.

KaTeX does it, in an engine that comes as a package: all formulas of the book at once, in less than a second.
"""

import functools
import html
import json
import re
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

from bookbuild.site.assets import preload

KATEX = Path(find_spec("sphinxcontrib.katex").origin).with_name("katex.min.js")
NUMBERED = re.compile(r"\\(begin|end)\{(align|alignat|equation|gather)\}")  # the page numbers them itself
TAIL = re.compile(r"’s\b|-\w+|[,.;:!?)\]’”]+")  # what must not begin a line behind a formula
SET = r"""(list) => JSON.stringify(JSON.parse(list).map(([text, displayMode]) => {
  try { return katex.renderToString(text, {displayMode, throwOnError: true, strict: "ignore"}) }
  catch (error) { return [error.message] } }))"""

Formula = tuple[str, bool]  # its TeX, and whether it stands in a line of its own


class FormulaError(Exception):
    """This is no formula."""


class Typesetter:
    """Sets formulas, each once."""

    def __init__(self):
        self._known: dict[Formula, str | list[str]] = {}  # a list: why it is none

    @functools.cached_property
    def _engine(self):
        from py_mini_racer import MiniRacer

        engine = MiniRacer()
        engine.eval(KATEX.read_text(encoding="utf-8"))
        return engine

    def prepare(self, formulas: Iterable[Formula]) -> None:
        """Set all that is not known, at once."""
        missing = sorted({*formulas} - self._known.keys())
        if missing:
            made = json.loads(self._engine.eval(f"({SET})({json.dumps(json.dumps(missing))})"))
            self._known |= zip(missing, made, strict=True)

    def let_go(self) -> None:
        """End the engine, before this process has forks."""
        if engine := self.__dict__.pop("_engine", None):
            engine.close()

    def __call__(self, text: str, display: bool) -> str:
        """The HTML of a formula."""
        self.prepare([(text, display)])
        made = self._known[text, display]
        if isinstance(made, list):
            raise FormulaError(made[0])
        return made


the_typesetter = functools.cache(Typesetter)  # of this process: what it has set is known in the next build


def formula(node: nodes.math | nodes.math_block) -> Formula:
    """What is to be set, from its node: several lines are aligned, as Sphinx does."""
    text = NUMBERED.sub(r"\\\1{\2*}", node.astext().strip())
    if isinstance(node, nodes.math):
        return text, False
    if not node.get("no-wrap", node.get("nowrap", False)):
        parts = [part.strip() for part in text.split("\n\n") if part.strip()]
        parts = [rf"\begin{{aligned}}{part}\end{{aligned}}" if _has_lines(part) else part for part in parts]
        text = parts[0] if len(parts) == 1 else r"\begin{gathered}" + r"\\".join(parts) + r"\end{gathered}"
    return text, True


def _has_lines(text: str) -> bool:
    """Whether a line ends outside of every environment."""
    while (
        inner := re.sub(r"\\begin\{([a-z*]+)\}(?:(?!\\begin).)*?\\end\{\1\}", "", text, flags=re.S)
    ) != text:
        text = inner
    return r"\\" in text


def note_formulas(app: Sphinx, doctree: nodes.document) -> None:
    """Keep which formulas a page has."""
    for node in doctree.findall(lambda n: isinstance(n, nodes.math | nodes.math_block)):
        app.env.get_domain("book").note("formula", app.env.docname, (*formula(node), node.line or 1))


def problems(app: Sphinx) -> list[tuple[str, str, int]]:
    """Set all formulas of the book before its pages are written in several processes: what is none."""
    found, noted, setter = [], app.env.get_domain("book").noted("formula"), the_typesetter()
    setter.prepare((text, display) for _, (text, display, _) in noted)
    setter.let_go()
    for page, (text, display, line) in noted:
        try:
            setter(text, display)
        except FormulaError as error:
            found.append((f"no formula: {error}", page, line))
    return found


def join_tails(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Punctuation stays on the line of the formula before it."""
    for node in list(doctree.findall(nodes.math)):
        after = node.next_node(descend=False, siblings=True)
        tail = TAIL.match(after) if isinstance(after, nodes.Text) else None
        if tail:
            node["tail"] = tail[0]
            after.parent.replace(after, nodes.Text(after[tail.end() :]))


def visit_math(self: HTML5Translator, node: nodes.math) -> None:
    """A formula in the line."""
    made = self.starttag(node, "span", "", CLASS="math") + _set(node) + "</span>"
    if tail := node.get("tail"):
        made = f'<span class="with-tail">{made}{html.escape(tail)}</span>'
    self.body.append(made)
    raise nodes.SkipNode


def visit_displaymath(self: HTML5Translator, node: nodes.math_block) -> None:
    """A formula in a line of its own, with its number."""
    self.body.append(self.starttag(node, "div", CLASS="math"))
    self.body.append(f'<div class="formula">{_set(node)}</div>')
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        if address := node.get("to-code"):
            title = "the code that implements this equation"
            self.body.append(f'<a class="to-code" href="{address}" title="{title}">code</a>')
        self.body.append("</span>")
    self.body.append("</div>\n")
    raise nodes.SkipNode


def _set(node: nodes.math | nodes.math_block) -> str:
    try:
        return the_typesetter()(*formula(node))
    except FormulaError:  # which was said when the page was read
        return f"<code>{html.escape(node.astext())}</code>"


def load_fonts(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """A page with formulas loads their style and, before they are met, the fonts that most of them need."""
    if context.get("has_maths_elements"):
        app.add_css_file("katex/katex.css")
        preload(context, "katex/fonts/KaTeX_Main-Regular", "katex/fonts/KaTeX_Math-Italic")
