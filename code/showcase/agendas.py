"""``{agenda}``: a day of the workshop as a table, from ``_agendas.toml``, its minutes added up."""

import tomllib
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx

from bookbuild.site.domain import BookDirective

FILE = Path("workshop") / "_agendas.toml"  # below the folder of the book
KINDS = {"talk": "of talks", "hands": "at the keyboard", "people": "with each other", "rest": "of rest"}


def read(book: Path) -> dict[str, dict]:
    """The days that the file of a book's folder has, by name."""
    return tomllib.loads((book / FILE).read_text(encoding="utf-8"))


def minute(clock: str) -> int:
    """Minutes since midnight, of ``HH:MM``."""
    hours, minutes = clock.split(":")
    return 60 * int(hours) + int(minutes)


def faults(day: dict) -> list[str]:
    """What does not add up in a day."""
    found, at = [], minute(day["starts"])
    for block in day["blocks"]:
        if minute(block["start"]) != at:
            at_clock = f"{at // 60:02d}:{at % 60:02d}"
            found.append(f"{block['title']} begins at {block['start']}, what is before it ends at {at_clock}")
        if block["kind"] not in KINDS:
            found.append(f"{block['title']} is of no known kind: {block['kind']}")
        at = minute(block["start"]) + block["minutes"]
    return found + ([] if at == minute(day["ends"]) else [f"the last block does not end at {day['ends']}"])


def totals(day: dict) -> dict[str, int]:
    """Minutes of each kind."""
    return {kind: sum(b["minutes"] for b in day["blocks"] if b["kind"] == kind) for kind in KINDS}


def table(day: dict) -> list[str]:
    """A day as Markdown: a row for each block, with links to its guide and pages, and what it adds up to."""
    lines = ["| from | min | what | stands on | slides |", "|---|---:|---|---|---|"]
    for block in day["blocks"]:
        pages = ", ".join(f"{{doc}}`/{page}`" for page in block["pages"])
        slides = f"`{block['slides']}`" if "slides" in block else ""
        title = f"{{ref}}`{block['title']} <{block['guide']}>`"
        lines.append(f"| {block['start']} | {block['minutes']} | {title} | {pages} | {slides} |")
    lines.append(f"| {day['ends']} | {sum(totals(day).values())} | *end* | | |")
    said = ", ".join(f"{minutes} minutes {KINDS[kind]}" for kind, minutes in totals(day).items())
    return [*lines, "", f"*{said}.*"]


class AgendaDirective(BookDirective):
    """Usage: ``{agenda} one_day``."""

    def run(self) -> list[nodes.Node]:
        book = self.config.book.project.book
        self.env.note_dependency(book / FILE)
        days = read(book)
        if (name := self.arguments[0]) not in days:
            return self.fail(f"there is no day {name!r} in {FILE.name}, but {', '.join(days)}")
        for fault in faults(days[name]):
            self.warn(f"{name}: {fault}")
        holder = nodes.container(classes=["agenda"])
        self.state.nested_parse(StringList(table(days[name]), source=str(FILE)), self.content_offset, holder)
        return [holder]


def setup(app: Sphinx) -> None:
    """Register the directive."""
    app.add_directive("agenda", AgendaDirective)
