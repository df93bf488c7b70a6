"""One talk: its Markdown as slides, in one HTML file that needs no network."""

import functools
import html
import re
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.myst_role import myst_role_plugin

from bookbuild.engine.project import BookError
from bookbuild.site.typeset import FormulaError, Typesetter
from slides.shown import Missing, Shown, code, embedded, style

HERE = Path(__file__).parent
TEMPLATES = Environment(loader=FileSystemLoader(HERE), trim_blocks=True, lstrip_blocks=True)
BLOCKS = ("figure", "film", "diagram", "snippet")  # alone in a paragraph, these take its place
INLINE = ("value", "claim")
SANS = '@font-face { font-family: "Book Sans"; src: url(fonts/sans.woff2); font-weight: 200 900; }'


@dataclass(frozen=True)
class Slide:
    """One slide, as it is shown."""

    title: str  # plain text, for the overview and for messages
    heading: str
    columns: tuple[str, ...]
    notes: str


@dataclass(frozen=True)
class Deck:
    """A talk."""

    name: str
    title: str
    minutes: int
    slides: tuple[Slide, ...]


def read(file: Path, shown: Shown, typesetter: Typesetter, problems: list[str]) -> Deck:
    """The talk in ``file``; what is wrong with it is added to ``problems``, with its slide.

    Raises:
        BookError: it does not begin with what a talk begins with.
    """
    text = file.read_text(encoding="utf-8")
    found = re.fullmatch(r'---\ntitle: "([^\n]+)"\nminutes: (\d+)\n---\n(.*)', text, re.S)
    if found is None:
        raise BookError(f'{file.name} should begin with lines ---, title: "…", minutes: …, ---')
    title, minutes, body = found.groups()
    made, place = [], ""

    def wrong(message: str) -> str:
        problems.append(f"{file.name}, slide {place}: {message}")
        return '<mark class="missing">missing</mark>'

    markdown = parser(shown, typesetter, wrong)
    for number, part in enumerate(re.split(r"^---\n", body, flags=re.M), 1):
        text, _, notes = re.sub(r"^%.*\n", "", part, flags=re.M).partition("\n???\n")
        heading = re.match(r"\s*#+ (.*)\n?", text)
        name = heading[1].strip() if heading else ""
        place = f"{number} ({name or 'without a title'})"
        columns = re.split(r"^\+\+\+\n", text[heading.end() :] if heading else text, flags=re.M)
        made.append(
            Slide(
                name,
                markdown.renderInline(name),
                tuple(markdown.render(column) for column in columns if column.strip()),
                markdown.render(notes),
            )
        )
        if not notes.strip():
            wrong("there is nothing for the speaker: add ??? and notes")
    return Deck(file.stem, title, int(minutes), tuple(made))


def parser(shown: Shown, typesetter: Typesetter, wrong) -> MarkdownIt:
    """Markdown with formulas and references; ``wrong`` is told what is missing and says what to show."""

    def role(self, tokens: list[Token], index: int, options, env) -> str:
        name, content = tokens[index].meta["name"], tokens[index].content
        if name not in BLOCKS + INLINE:
            return wrong(f"there is no reference {{{name}}}, but {', '.join(BLOCKS + INLINE)}")
        try:
            made = getattr(shown, name)(content)
        except Missing as error:
            return wrong(str(error))
        return made if name in BLOCKS else f'<span class="value" title="{content}">{html.escape(made)}</span>'

    def formula(text: str, options: dict) -> str:
        try:
            made = typesetter(text.strip(), options["display_mode"])
        except FormulaError as error:
            return wrong(f"no formula: {error}")
        return f'<div class="formula">{made}</div>' if options["display_mode"] else made

    def fence(self, tokens: list[Token], index: int, options, env) -> str:
        return code(tokens[index].content, tokens[index].info)

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    markdown.use(dollarmath_plugin, renderer=formula, double_inline=True).use(myst_role_plugin)
    markdown.add_render_rule("myst_role", role)
    markdown.add_render_rule("fence", fence)
    markdown.core.ruler.push("blocks", _free_blocks)
    return markdown


def _free_blocks(state) -> None:
    """A figure alone in its paragraph is no part of a paragraph."""
    for before, token, after in zip(state.tokens, state.tokens[1:], state.tokens[2:], strict=False):
        inside = [child for child in token.children or [] if child.content.strip()]
        if len(inside) == 1 and inside[0].type == "myst_role" and inside[0].meta["name"] in BLOCKS:
            before.hidden = after.hidden = True


def page(deck: Deck, static: Path) -> str:
    """The talk as HTML. ``static``: where the book's fonts are (``book/_static``)."""
    css = [embedded(SANS, static), style(), (HERE / "deck.css").read_text("utf-8")]
    made = TEMPLATES.get_template("deck.html").render(deck=deck, script=(HERE / "deck.js").read_text("utf-8"))
    if 'class="katex' in made:
        css.insert(0, _katex(static))
    return made.replace("/* style */", "\n".join(css))


@functools.cache
def _katex(static: Path) -> str:
    return embedded((static / "katex" / "katex.css").read_text("utf-8"), static / "katex")


def contents(decks: list[Deck]) -> str:
    """The page that leads to all talks."""
    return TEMPLATES.get_template("contents.html").render(decks=decks)
