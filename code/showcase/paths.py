"""``{reading-path}``: the pages that one kind of reader reads, in order; ``{path-memory}``: what is ticked.

The paths stand in ``book/start/paths.toml``. How long a page takes is what that page says; what a reader has
ticked stays in the reader's browser.
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

from bookbuild.site.domain import BookDirective
from showcase.landing import HERE, TEMPLATES

DATA = "start/paths.toml"
TIME = re.compile(r"\*\*Time\*\*: +(\w+) minutes")  # in the text of a page
IN_WORDS = {"five": 5, "ten": 10, "fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50}
PARTS = ("who", "need", "steps", "stop", "can", "project")


@dataclass(frozen=True)
class Route:
    """What one kind of reader reads. ``steps``: pages, each with the reason why it is read then."""

    who: str
    need: str
    steps: list[tuple[str, str]]
    stop: str
    can: str
    project: str


def read(file: Path) -> dict[str, Route]:
    """The reading paths of a file, by their names.

    Raises:
        ValueError: the file is no TOML, or a path lacks a part, has another, or a page twice.
    """
    found = {}
    for name, parts in tomllib.loads(file.read_text(encoding="utf-8")).items():
        if wrong := {*PARTS} ^ parts.keys():
            raise ValueError(f"{name}: {', '.join(sorted(wrong))} is missing, or should not be there")
        pages = [page for page, _ in parts["steps"]]
        if twice := {page for page in pages if pages.count(page) > 1}:
            raise ValueError(f"{name} has {', '.join(sorted(twice))} twice")
        found[name] = Route(**parts)
    return found


def minutes(text: str) -> int:
    """How many minutes a page says that it takes; 0 where it does not say."""
    found = TIME.search(text)
    said = found[1] if found else "0"
    return int(said) if said.isdecimal() else IN_WORDS.get(said, 0)


def hours(total: int) -> str:
    """Minutes as hours, to the nearest half: "7½"."""
    halves = max(1, round(total / 30))
    return f"{halves // 2 or ''}{'½' * (halves % 2)}"


class ReadingPathDirective(BookDirective):
    """Usage: ``{reading-path} NAME``."""

    def run(self) -> list[nodes.Node]:
        book = self.config.book.project.book
        self.env.note_dependency(book / DATA)
        try:
            route = read(book / DATA)[self.arguments[0]]
        except KeyError as error:
            return self.fail(f"{DATA} has no path {error}")
        except (OSError, ValueError) as error:
            return self.fail(f"{DATA}: {error}")
        lines, times = [], []
        for page, why in route.steps:
            file = book / f"{page}.md"
            self.env.note_dependency(file)
            if not file.exists():
                return self.fail(f"{DATA}: {self.arguments[0]} reads {page}, which is no page")
            times.append(minutes(file.read_text(encoding="utf-8")))
            if not times[-1]:
                return self.fail(f"{DATA}: {page} does not say how long it takes ('**Time**: 40 minutes …')")
            lines.append(f"1. {{doc}}`/{page}` ({times[-1]} minutes). {why}")
        total = f"{len(times)} pages, about {hours(sum(times))} hours by the times that they state."
        opening = [f"**You** {route.who}", f"**You need** {route.need}"]
        closing = [f"**Where to stop**: {route.stop}", f"**Then you can** {route.can}"]
        text = [
            *opening,
            f"**In this order**: {total}",
            "\n".join(lines),
            *closing,
            f"**A first project**: {route.project}",
        ]
        shown = self.parse_text_to_nodes("\n\n".join(text))
        for order in (found for node in shown for found in node.findall(nodes.enumerated_list)):
            order["classes"].append("reading-path")
            for item, time in zip(order, times, strict=True):
                item["classes"].append(f"minutes-{time}")
        return shown


class PathMemoryDirective(BookDirective):
    """Usage: ``{path-memory}``: makes checklists of the page's paths; its button forgets the ticks."""

    required_arguments = 0

    def run(self) -> list[nodes.Node]:
        script, style = ((HERE / f"paths.{kind}").read_text("utf-8") for kind in ("js", "css"))
        text = TEMPLATES.get_template("paths.html").render(script=script, style=style)
        return [nodes.raw("", text, format="html")]


def setup(app: Sphinx) -> None:
    """Register the directives."""
    app.add_directive("reading-path", ReadingPathDirective)
    app.add_directive("path-memory", PathMemoryDirective)
