"""``{exercise}`` and ``{predict}``: tasks with a solution that folds open, and was tried in this build."""

import difflib

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx

from bookbuild.engine.book import Book
from bookbuild.site.domain import BookDirective, BookDomain


def _fold(summary: str, *inside: nodes.Node) -> list[nodes.Node]:
    marks = (f"<details><summary>{summary}</summary>", "</details>")
    first, last = (nodes.raw("", mark, format="html") for mark in marks)
    return [first, *inside, last]


def _code(text: str, language: str, *classes: str) -> nodes.literal_block:
    return nodes.literal_block(text, text, language=language, classes=[*classes])


class ExerciseDirective(BookDirective):
    """Usage: ``{exercise} NAME``; its content is the statement."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        page, name, known = self.env.docname, self.arguments[0], self.config.book.exercises
        exercise = known.get(name)
        if exercise is None:
            close = [f"; there is {other!r}" for other in difflib.get_close_matches(name, known, n=1)]
            return self.fail(f"no exercise is called {name!r}{''.join(close)}")
        self.note("exercise", (name, self.lineno))
        if exercise["page"] != page:
            self.warn(f"exercise {name!r} says that its page is {exercise['page']}")
        if not exercise["right"]:
            why = " ".join(exercise["verdict"].split())
            self.warn(f"exercise {name!r}: its checker rejects its solution: {why}")
        stage = "file" in exercise
        file = exercise.get("file", f"{name.replace('-', '_')}.py")
        command = "$ python -m rlworkshop.check"
        commands = [f"{command} --stub {name} > {file}", f"{command} {name} {file}"]
        how = "The first line fetches this file, the second checks it:"
        if stage:
            commands.reverse()
            how = f"The first line checks your file. The second is for coming in here: it overwrites a {file}"
            how += " that is there, with all that goes before and these stubs."
        title = nodes.rubric("", exercise["title"], **{"heading-level": 3})
        tried = [
            nodes.paragraph(text="What the checker says to it, in this build:"),
            _code(exercise["verdict"], "text", "verdict"),
        ]
        shown = [title, *self.parse_content_to_nodes(), _code(exercise["stub"], "python")]
        shown += [nodes.paragraph(text=how), _code("\n".join(commands), "console")]
        shown += _fold("Solution", _code(exercise["answer"], "python"), *tried)
        if exercise.get("before"):
            diff = f"```{{snippet}} {exercise['after']}\n:diff: {exercise['before']}\n```"
            shown += _fold("What has changed in the file", *self.parse_text_to_nodes(diff))
        facts = {"ids": [nodes.make_id(f"exercise-{name}")], "anchor": exercise["anchor"]}
        return [nodes.container("", *shown, classes=["exercise", *["stage"] * stage], **facts)]


class PredictDirective(BookDirective):
    """Usage: ``{predict} QUESTION``; its content is the answer, folded. ``:title:`` is the call to it."""

    final_argument_whitespace = True
    has_content = True
    option_spec = {"title": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        self.assert_has_content()
        question, messages = self.parse_inline(self.arguments[0])
        title = nodes.strong(text=self.options.get("title", "Predict before you look."))
        asked = nodes.paragraph("", "", title, nodes.Text(" "), *question)
        fold = _fold("The answer", *self.parse_content_to_nodes())
        return [nodes.container("", asked, *messages, *fold, classes=["predict"])]


def check_anchors(app: Sphinx, doctree: nodes.document) -> None:
    """The section that a checker sends its reader to is there."""
    ids = {name for section in doctree.findall(nodes.section) for name in section["ids"]}
    for node in doctree.findall(nodes.container):
        if (anchor := node.get("anchor", "")) and anchor not in ids:
            name = node["ids"][0].removeprefix("exercise-")
            message = f"exercise {name!r} sends its reader to #{anchor}, which the page does not have"
            app.env.get_domain("book").warn(message, app.env.docname, node.line or 1)


def problems(book: Book, domain: BookDomain) -> list[tuple[str, str, int]]:
    """Exercises that are shown twice, or nowhere, as (message, page, line); as far as pages are built."""
    shown = [(name, page, line) for page, (name, line) in domain.noted("exercise")]
    names = [name for name, _, _ in shown]
    found = [
        (f"exercise {name!r} is shown twice", *at) for i, (name, *at) in enumerate(shown) if name in names[:i]
    ]
    for name, exercise in book.exercises.items():
        if name not in names and book.only in ("", exercise["page"]):
            found.append((f"exercise {name!r} is shown on no page", exercise["page"], 1))
    return found
