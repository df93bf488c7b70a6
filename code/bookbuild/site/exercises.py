"""``{exercise}`` and ``{predict}``: tasks with a solution that folds open, and was tried in this build.

The exercises are those of the modules ``code/PACKAGE/exercises/*.py``. They are read, and each solution is
given to its own checker, in a process of their own: ``python -m bookbuild.site.exercises MODULE...``.
"""

import difflib
import json
import os
import subprocess
import sys
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from bookbuild.engine.project import Project
from bookbuild.engine.store import read_json, write_json
from rlworkshop import check, provenance


def describe(modules: list[str]) -> dict[str, dict]:
    """The exercises of ``modules`` by name, as JSON values, with the checker's verdict on each solution."""
    found = {}
    for module in modules:
        for name, exercise in check.collect(module).items():
            space: dict = {"__name__": "answer"}
            verdict = check.Verdict(name)
            try:
                exec(compile(exercise.answer, f"{name}.py", "exec"), space)
                exercise.check(exercise.pick(space), verdict.passed.append)
            except check.Wrong as wrong:
                verdict.wrong = wrong
            found[name] = {
                "title": exercise.title,
                "page": exercise.page,
                "anchor": exercise.reread.rpartition("#")[2],
                "stub": exercise.part,
                "answer": exercise.solved_part,
                "verdict": check.transcript(verdict),
                "right": verdict.wrong is None,
            }
            if isinstance(exercise, check.Stage):
                before = exercise.before.__name__ if exercise.before else ""
                found[name] |= {"file": exercise.file, "after": exercise.solution.__name__, "before": before}
    return found


def read(project: Project) -> tuple[dict[str, dict], str]:
    """The project's exercises by name, and what is wrong where they cannot be read ("" where all is well).

    What an earlier build found is used as long as the code, the pins and the Python are the same.
    """
    files = sorted(f for f in project.code.glob("*/exercises/*.py") if f.name != "__init__.py")
    if not files:
        return {}, ""
    own = {Path(__file__), Path(check.__file__)}
    code = provenance.digest(provenance.closure(files, project.code) | own, project.root)
    key = "\n".join([code, provenance.python_version(), *project.pins()])
    file = project.state / "exercises.json"
    kept = read_json(file, {})
    if kept.get("key") == key:
        return kept["exercises"], ""
    modules = [".".join(f.relative_to(project.code).with_suffix("").parts) for f in files]
    environment = project.environment()
    environment["PYTHONPATH"] += f"{os.pathsep}{Path(__file__).parents[1]}"
    done = subprocess.run(
        [sys.executable, "-m", "bookbuild.site.exercises", *modules],
        cwd=project.root, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        return {}, (done.stderr.strip().splitlines() or ["their process ended without a word"])[-1]
    found = json.loads(done.stdout.splitlines()[-1])
    write_json(file, {"key": key, "exercises": found})
    return found, ""


def prepare(app: Sphinx) -> None:
    """Before anything is read: know the exercises of the project."""
    app.book_exercises, problem = read(app.book.project)
    app.book_shown = set()
    if problem:
        app.book.warn(f"the exercises cannot be read: {problem}", app.config.root_doc, 1)


def _html(text: str) -> nodes.raw:
    return nodes.raw("", text, format="html")


def _fold(summary: str, *inside: nodes.Node) -> list[nodes.Node]:
    return [_html(f"<details><summary>{summary}</summary>"), *inside, _html("</details>")]


def _code(text: str, language: str, *classes: str) -> nodes.literal_block:
    return nodes.literal_block(text, text, language=language, classes=list(classes))


class ExerciseDirective(SphinxDirective):
    """Usage: ``{exercise} NAME``; its content is the statement."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        app, page, name = self.env.app, self.env.docname, self.arguments[0]
        exercise = app.book_exercises.get(name)
        if exercise is None:
            close = difflib.get_close_matches(name, app.book_exercises, n=1)
            message = f"no exercise is called {name!r}" + (f"; there is {close[0]!r}" if close else "")
            app.book.warn(message, page, self.lineno)
            return [nodes.error("", nodes.paragraph(text=message))]
        if name in app.book_shown:
            app.book.warn(f"exercise {name!r} is shown twice", page, self.lineno)
        if exercise["page"] != page:
            app.book.warn(f"exercise {name!r} says that its page is {exercise['page']}", page, self.lineno)
        if not exercise["right"]:
            why = " ".join(exercise["verdict"].split())
            app.book.warn(f"exercise {name!r}: its checker rejects its solution: {why}", page, self.lineno)
        app.book_shown.add(name)
        file = exercise.get("file", f"{name.replace('-', '_')}.py")
        command = "$ python -m rlworkshop.check"
        commands = f"{command} --stub {name} > {file}\n{command} {name} {file}"
        how = "The first line fetches this file, the second checks it:"
        changed: list[nodes.Node] = []
        if "file" in exercise:
            commands = f"{command} {name} {file}\n{command} --stub {name} > {file}"
            how = f"The first line checks your file. The second is for coming in here: it overwrites a {file}"
            how += " that is there, with all that goes before and these stubs."
        if exercise.get("before"):
            diff = f"```{{snippet}} {exercise['after']}\n:diff: {exercise['before']}\n```"
            changed = _fold("What has changed in the file", *self.parse_text_to_nodes(diff))
        rubric = nodes.rubric("", exercise["title"])
        rubric["heading-level"] = 3
        said = nodes.paragraph(text="What the checker says to it, in this build:")
        verdict = _code(exercise["verdict"], "text", "verdict")
        return [
            nodes.container(
                "",
                rubric,
                *self.parse_content_to_nodes(),
                _code(exercise["stub"], "python"),
                nodes.paragraph(text=how),
                _code(commands, "console"),
                *_fold("Solution", _code(exercise["answer"], "python"), said, verdict),
                *changed,
                classes=["exercise", "stage"] if "file" in exercise else ["exercise"],
                ids=[nodes.make_id(f"exercise-{name}")],
                anchor=exercise["anchor"],
            )
        ]


class PredictDirective(SphinxDirective):
    """Usage: ``{predict} QUESTION``; its content is the answer, folded. ``:title:`` is the call to it."""

    required_arguments = 1
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
    for node in doctree.findall(lambda n: isinstance(n, nodes.container) and "anchor" in n):
        if node["anchor"] not in ids:
            name = node["ids"][0].removeprefix("exercise-")
            message = f"exercise {name!r} sends its reader to #{node['anchor']}, which the page does not have"
            app.book.warn(message, app.env.docname, node.line or 1)


def check_shown(app: Sphinx, env) -> None:
    """Every exercise is shown on its page, as far as pages are built."""
    for name, exercise in app.book_exercises.items():
        page, only = exercise["page"], app.config.book_only
        if name not in app.book_shown and only in ("", page):
            app.book.warn(f"exercise {name!r} is shown on no page", page, 1)


def setup(app: Sphinx) -> dict:
    app.connect("builder-inited", prepare, priority=950)  # after the book is known
    app.connect("doctree-read", check_anchors)
    app.connect("env-check-consistency", check_shown)
    app.add_directive("exercise", ExerciseDirective)
    app.add_directive("predict", PredictDirective)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": False}


if __name__ == "__main__":
    print(json.dumps(describe(sys.argv[1:])))
