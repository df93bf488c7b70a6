"""``python -m slides``: all talks as HTML, from the pages that were executed last."""

import sys
from pathlib import Path

from bookbuild.engine.project import BookError, Project
from bookbuild.site.typeset import Typesetter
from slides import deck
from slides.shown import Shown


def build(project: Project, out: Path) -> list[str]:
    """Write all talks of ``book/workshop/_slides`` to ``out``, unless something is wrong: what that is.

    Raises:
        BookError: no page was executed yet, or there are no talks.
    """
    shown, problems = Shown(project), []
    files = sorted((project.book / "workshop" / "_slides").glob("*.md"))
    if not shown.pages or not files:
        raise BookError("no executed pages: run `make html` first" if files else "no talks: no slides")
    typesetter = Typesetter()
    decks = [deck.read(file, shown, typesetter, problems) for file in files]
    if not problems:
        out.mkdir(parents=True, exist_ok=True)
        for one in decks:
            text = deck.page(one, project.book / "_static")
            (out / f"{one.name}.html").write_text(text, encoding="utf-8")
        (out / "index.html").write_text(deck.contents(decks), encoding="utf-8")
    return problems


def main(root: str = ".") -> int:
    """Build, and say where the slides are or what is wrong with them; the exit status."""
    project = Project.at(root)
    try:
        problems = build(project, project.build / "slides")
    except BookError as error:
        problems = [str(error)]
    print("\n".join(f"slides: {problem}" for problem in problems) or "slides: _build/slides/index.html")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
