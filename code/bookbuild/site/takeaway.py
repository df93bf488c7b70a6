"""Every page with code can be taken away: as an executed notebook and as a script, or opened in Colab.

The notebook is the page in plain Markdown: what only Sphinx understands (roles, directives, quoted values) is
replaced by what it shows.
"""

import copy
import functools
import json
import posixpath
import re
from collections.abc import Callable
from pathlib import Path

import jupytext
import nbformat
from myst_nb.core.variables import format_plain_text
from myst_nb.ext.glue.crossref import read_glue_cache

from bookbuild.engine.book import Book
from bookbuild.engine.project import Project
from bookbuild.site.domain import filled
from standalone.source import SourceError, find

FOLDER = "_notebooks"  # of the site
BRANCH = "notebooks"  # of the repository: where the workflow puts the notebooks that Colab opens
FENCE = re.compile(  # a directive
    r"^(?P<fence>`{3,}|:{3,})\{([\w:-]+)\}[ \t]*(.*)\n((?:.*\n)*?)(?P=fence)[ \t]*$", re.M
)
ROLE = re.compile(r"\{([\w:-]+)\}`([^`]+)`|(?<!`)(?P<code>`+)(?!`)[^\0]*?(?<!`)(?P=code)(?!`)")  # or code
OPTION = re.compile(r"\A(?:[ \t]*:[\w-]+:.*\n)+\n?|\A---\n(?:.*\n)*?---\n")
LABEL = re.compile(r"^\([\w-]+\)=[ \t]*\n|(?<=^\$\$)[ \t]*\([\w-]+\)[ \t]*$", re.M)  # of a place, an equation
MARKS = re.compile(  # what Markdown takes for more than itself, within a line and at its beginning
    r"\\(?=[!-/:-@\[-`{-~]|$)|[*`$|~]|(?<![^\W_])_|_(?![^\W_])|<(?=[A-Za-z/!?])|&(?=#?\w+;)|\](?=[(\[:]|$)"
)
START = re.compile(r"^( ?\d*)(>|[.)](?=\s|$)|[-+#=]+(?=\s|$))")


@functools.cache
def install(project: Project) -> str:
    """The first cell of every notebook."""
    commit = project.commit()
    at = f"@{commit}" if commit and not commit.endswith("+") else ""
    return filled("install.txt", url=project.repository_url and f"{project.repository_url}{at}")


def notebook(book: Book, page: str, outputs: Path) -> nbformat.NotebookNode:
    """The executed page as a notebook that runs anywhere.

    ``outputs``: the folder where MyST-NB keeps what pages glue.
    """
    cells = [nbformat.v4.new_code_cell(install(book.project), metadata={"tags": ["install"]})]
    cells += copy.deepcopy(book.outcomes[page].notebook.cells)
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"  # the same page gives the same file
        if cell.cell_type == "markdown":
            cell.source = plain(cell.source, book, functools.partial(quoted, book, page, outputs))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return nbformat.v4.new_notebook(cells=[c for c in cells if c.source.strip()], metadata=metadata)


def write(made: nbformat.NotebookNode, page: str, site: Path) -> dict[str, str]:
    """Put a page's notebook into ``site``, as such and as a script; their addresses for it, by kind."""
    texts = {"ipynb": json.dumps(made, ensure_ascii=False), "py": jupytext.writes(made, fmt="py:percent")}
    for kind, text in texts.items():
        file = site / FOLDER / f"{page}.{kind}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return {kind: f"{'../' * page.count('/')}{FOLDER}/{page}.{kind}" for kind in texts}


def plain(text: str, book: Book, quote: Callable[[str, str], str]) -> str:
    """MyST Markdown as plain Markdown. ``quote``: what a role shows of outputs, by its name and text."""

    def directive(match: re.Match) -> str:
        _, name, title, body = match.groups()
        region = re.search(r":region:\s*(\S+)", body)
        body = OPTION.sub("", body)
        match name:
            case "snippet":
                try:
                    return f"```python\n{find(book.project, title.strip(), region and region[1]).text}\n```"
                except SourceError:
                    return ""  # the page itself says what is wrong
            case "exercise" if known := book.exercises.get(title.strip()):
                return f"{body.strip()}\n\n{filled('exercise.txt', name=title.strip(), **known)}"
            case "diagram":
                return f"*(Drawing.)* {body.strip()}"
            case "toctree" | "bibliography" | "verification":
                return ""
            case "math":
                return f"$$\n{body}$$"
        return f"**{title.strip()}**\n\n{body}".strip() if title.strip() else body

    def role(match: re.Match) -> str:
        name, content, _ = match.groups()
        match name:
            case None:
                return match[0]  # code: there is no role in it
            case "glue:text" | "glue" | "claim":
                return escaped(quote(name, content))
            case "eq":
                return f"({content})"
        return f"[{content}]" if name.startswith("cite") else re.sub(r"\s*<[^>]*>\Z|\A/", "", content)

    text = LABEL.sub("", text)
    for _ in range(3):  # directives inside directives
        text = FENCE.sub(directive, text)
    return ROLE.sub(role, text)


def claim(book: Book, page: str, text: str) -> tuple[str, str, str] | None:
    """Page, name and value of the claim ``text`` of ``page``, or ``PAGE#NAME`` of another page."""
    page, _, name = text.rpartition("#") if "#" in text else (page, "", text)
    for record in book.outcomes[page].claims if page in book.outcomes else []:
        if record["name"] == name:
            value = record["value"]
            return page, name, value if isinstance(value, str) else f"{value:.4g}"
    return None


def quoted(book: Book, page: str, outputs: Path, role: str, text: str) -> str:
    """What a role on a page shows of outputs, as MyST-NB does: nothing where it has a warning instead."""
    if role == "claim":
        found = claim(book, page, text)
        return found[2] if found else "(not measured)"
    key, _, form = text.rpartition(":") if role == "glue:text" and ":" in text else (text, "", "s")
    other, _, name = key.rpartition("::")
    folder, own = posixpath.split(page)
    where = posixpath.normpath(posixpath.join("/", folder, other or own))
    output = read_glue_cache(str(outputs), where[1:].removesuffix(".md")).get(name, {"data": {}})
    shown = output["data"].get("text/plain", "")
    try:
        return format_plain_text(shown, form) if role == "glue:text" and shown else shown
    except Exception:  # of many kinds, as what is quoted
        return ""


def escaped(text: str) -> str:
    """Markdown that shows ``text`` as a page does, where a line's end is a space."""
    line = MARKS.sub(r"\\\g<0>", re.sub(r"[ \t\r\n\f]+", " ", text))
    return START.sub(r"\1\\\2", line)


def buttons(project: Project, page: str, addresses: dict[str, str]) -> list[dict]:
    """The theme's header buttons for a page."""
    kinds = (("ipynb", "Executed notebook", "fas fa-code"), ("py", "Script", "fas fa-file"))
    links = [
        {"type": "link", "url": addresses[kind], "text": f".{kind}", "tooltip": what, "icon": icon}
        for kind, what, icon in kinds
    ]
    group = {"type": "group", "label": "download-buttons", "icon": "fas fa-download", "buttons": links}
    switch = {"type": "javascript", "javascript": "", "icon": "fas fa-check-double", "label": "evidence"}
    found = [
        {**switch, "tooltip": "Show all claims and code"},
        {**group, "tooltip": "Take this page with you"},
    ]
    if address := colab(project, page):
        icon = {"icon": "fas fa-rocket", "tooltip": "Run in Colab", "label": "colab"}
        found.append({"type": "link", "url": address, "text": "", **icon})
    return found


def colab(project: Project, page: str) -> str | None:
    """Where Colab opens the page's notebook; ``None`` unless the repository is on GitHub."""
    host, hub = "https://github.com/", "https://colab.research.google.com/github/"
    url = project.repository_url
    return f"{hub}{url.removeprefix(host)}/blob/{BRANCH}/{page}.ipynb" if url.startswith(host) else None
