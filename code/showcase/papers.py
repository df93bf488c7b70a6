"""``{papers}``: the annotated papers of a topic; ``{paper-filter}``: finds some of them on their page.

What is said of a paper stands in ``book/reference/papers.toml``, by its key in the bibliography, which has
the rest. Which pages use a paper the build knows from their citations.
"""

import functools
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from docutils import nodes
from pybtex.database import Entry, Person
from pybtex.richtext import Text
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from bookbuild.site.domain import BookDirective
from showcase.landing import HERE, TEMPLATES

DATA = "reference/papers.toml"
FIELDS = ("topics", "why")  # of every paper
NAMED = 5  # authors; of more, these and "others"
MATHS = re.compile(r"(\s*\$[^$]+\$\s*)")
MARKS = re.compile(r"([\\`*_\[\]<>{}#])")  # which mean something in Markdown


@dataclass(frozen=True)
class Paper:
    """What the book says of a paper.

    ``topics``: where it is shown, and by which others it is found; ``pages``: which treat its matter without
    citing it.
    """

    key: str
    topics: tuple[str, ...]
    why: str
    pages: tuple[str, ...] = ()


def read(file: Path) -> list[Paper]:
    """The papers of a file, in its order.

    Raises:
        ValueError: the file is no TOML, has a paper twice, or a paper lacks a field or has one of its own.
    """
    return list(_papers(file.read_text(encoding="utf-8")))


@functools.lru_cache(maxsize=2)  # each topic of the page reads all
def _papers(text: str) -> tuple[Paper, ...]:
    found = []
    for key, fields in tomllib.loads(text).items():
        if wrong := fields.keys() - {*FIELDS, "pages"} | {*FIELDS} - fields.keys():
            raise ValueError(f"{key}: {', '.join(sorted(wrong))} is missing, or should not be there")
        found.append(Paper(key, tuple(fields["topics"]), fields["why"], tuple(fields.get("pages", ()))))
    return tuple(found)


class PapersDirective(BookDirective):
    """Usage: ``{papers} TOPIC``: those whose first topic it is, the oldest first."""

    def run(self) -> list[nodes.Node]:
        file = self.config.book.project.book / DATA
        self.env.note_dependency(file)
        entries, shown = self.env.get_domain("cite").bibdata.data.entries, []
        try:
            papers = [paper for paper in read(file) if paper.topics[0] == self.arguments[0]]
        except (OSError, ValueError) as error:
            return self.fail(f"{DATA}: {error}")
        if not papers:
            return self.fail(f"{DATA} has no paper on {self.arguments[0]!r}")
        if missing := [paper.key for paper in papers if paper.key not in entries]:
            return self.fail(f"{DATA}: {', '.join(missing)} is not in the bibliography")
        for paper in sorted(papers, key=lambda paper: entries[paper.key].fields["year"]):
            for page in paper.pages:
                if not (file.parents[1] / f"{page}.md").exists():
                    self.warn(f"{DATA}: {paper.key} goes with {page}, which is no page")
            shown.append(self.item(paper, entries[paper.key]))
        return [nodes.bullet_list("", *shown, classes=["papers"])]

    def item(self, paper: Paper, entry: Entry) -> nodes.list_item:
        """A paper: its title, which leads to it; who and when; what one learns there; where it is used."""
        year = entry.fields["year"]
        classes = ["paper", f"year-{year}", *(f"topic-{topic}" for topic in paper.topics)]
        parts = [f"[{title(entry)}](<{address(entry)}>)", f"{authors(entry)}, {year}", paper.why]
        lines = [nodes.paragraph("", "", *self.parse_inline(part)[0]) for part in parts]
        lines[0]["classes"], lines[1]["classes"] = ["paper-title"], ["paper-authors"]
        lines.append(PaperUse(paper=paper))
        return nodes.list_item("", *lines, classes=classes, ids=[nodes.make_id(f"paper-{paper.key}")])


class PaperUse(nodes.General, nodes.Element):
    """Where a paper is used, which is known when all pages were read."""


class PaperFilterDirective(BookDirective):
    """Usage: ``{paper-filter}``: fields that find papers of this page by topic, year and words.

    They are there where scripts run; without them the page is a list.
    """

    required_arguments = 0

    def run(self) -> list[nodes.Node]:
        script, style = ((HERE / f"papers.{kind}").read_text("utf-8") for kind in ("js", "css"))
        text = TEMPLATES.get_template("papers.html").render(script=script, style=style)
        return [nodes.raw("", text, format="html")]


def plain(latex: str) -> str:
    """A field of the bibliography as Markdown: without braces, formulas as they are."""
    words = MATHS.split(latex)  # every second one is a formula, or the space around it
    words[::2] = (MARKS.sub(r"\\\1", str(Text.from_latex(part))) for part in words[::2])
    return "".join(words)


def title(entry: Entry) -> str:
    """The title of an entry, as Markdown."""
    return plain(entry.fields["title"])


def surname(person: Person) -> str:
    """The name by which an author is cited."""
    return plain(" ".join([*person.prelast_names, *person.last_names, *person.lineage_names]))


def authors(entry: Entry) -> str:
    """Who wrote it, by surname: all, or the first of many."""
    names = [surname(person) for person in entry.persons["author"]]
    if "others" in names or len(names) > NAMED + 1:
        return f"{', '.join([name for name in names if name != 'others'][:NAMED])} and others"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def address(entry: Entry) -> str:
    """Where it can be read: its own address, or that of its DOI; empty where the bibliography has none."""
    doi = entry.fields.get("doi", "")
    return entry.fields.get("url") or (doi and f"https://doi.org/{doi}")


def citing(env: BuildEnvironment) -> Mapping[str, set[str]]:
    """The pages that cite each entry of the bibliography, by its key."""
    found: dict[str, set[str]] = {}
    for reference in env.get_domain("cite").citation_refs:
        for target in reference.targets:
            found.setdefault(target.key, set()).add(reference.docname)
    return found


def show_use(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Say of each paper which pages cite it; where none does, which treat its matter."""
    uses = list(doctree.findall(PaperUse))
    known = citing(app.env) if uses else {}
    for use in uses:
        paper = use["paper"]
        cited = known.get(paper.key, set()) - {page}
        links = [*linked(app, page, sorted(cited or {*paper.pages}))]
        said = [nodes.Text("Used in " if cited else "Goes with "), *links, nodes.Text(".")]
        use.replace_self([nodes.paragraph("", "", *said, classes=["paper-use"])] if links else [])


def linked(app: Sphinx, here: str, pages: Iterable[str]) -> Iterator[nodes.Node]:
    """Links to pages, by their titles, with commas between them."""
    known = [page for page in pages if page in app.env.titles]  # others only where a page is built alone
    for nth, page in enumerate(known):
        if nth:
            yield nodes.Text(", ")
        uri = app.builder.get_relative_uri(here, page)
        yield nodes.reference("", app.env.titles[page].astext(), refuri=uri, internal=True)


def setup(app: Sphinx) -> None:
    """Register the directives."""
    app.add_directive("papers", PapersDirective)
    app.add_directive("paper-filter", PaperFilterDirective)
    app.connect("doctree-resolved", show_use)
