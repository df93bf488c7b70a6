"""``{exercise}`` and ``{predict}``: tasks with a solution that folds open, and was tried in this build."""

import difflib

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx

from bookbuild.engine.book import Book
from bookbuild.site import equations
from bookbuild.site.domain import BookDirective, BookDomain, filled
from standalone.source import difference


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
        facts = {
            "name": name,
            "file": f"{name.replace('-', '_')}.py",
            **exercise,
            "stage": "file" in exercise,
            "code": (anchor := nodes.make_id(f"code-{name}")),
            "diff": difference(exercise["before"], exercise["after"]) if exercise.get("before") else "",
        }
        for line in facts["diff"].splitlines():
            for label in equations.labels(line) if line.startswith("+") else ():
                self.note("implemented", (label, anchor))
        title = nodes.rubric("", exercise["title"], **{"heading-level": 3})
        shown = [title, *self.parse_content_to_nodes()]
        shown += self.parse_text_to_nodes(filled("exercise.md", **facts))
        box = nodes.container("", *shown, classes=["exercise", *["stage"] * facts["stage"]])
        box["ids"], box["anchor"] = [nodes.make_id(f"exercise-{name}")], exercise["anchor"]
        return [box]


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
        marks = ("<details><summary>The answer</summary>", "</details>")
        before, after = (nodes.raw("", mark, format="html") for mark in marks)
        answer = [before, *self.parse_content_to_nodes(), after]
        return [nodes.container("", asked, *messages, *answer, classes=["predict"])]


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
    shown, found = set(), []
    for page, (name, line) in domain.noted("exercise"):
        found += [(f"exercise {name!r} is shown twice", page, line)] if name in shown else []
        shown.add(name)
    for name, exercise in book.exercises.items():
        if name not in shown and book.only in ("", exercise["page"]):
            found.append((f"exercise {name!r} is shown on no page", exercise["page"], 1))
    return found
