"""Every page with code can be taken away: as an executed notebook and as a script, or opened in Colab.

The notebook is the page in plain Markdown: what only Sphinx understands (roles, directives, quoted values) is
replaced by what it shows.
"""

import copy
import functools
import posixpath
import re
from collections.abc import Callable
from pathlib import Path

import jupytext
import nbformat
from myst_nb.core.variables import format_plain_text
from myst_nb.ext.glue import extract_glue_data_cell

from bookbuild.engine.book import Book
from bookbuild.engine.project import BookError, Project
from bookbuild.engine.source import find

FOLDER = "_notebooks"  # of the site
BRANCH = "notebooks"  # of the repository: where the workflow puts the notebooks that Colab opens

FENCE = re.compile(
    r"^(?P<fence>`{3,}|:{3,})\{(?P<name>[\w:-]+)\}[ \t]*(?P<title>.*)\n"
    r"(?P<body>(?:.*\n)*?)(?P=fence)[ \t]*$",
    re.M,
)
ROLE = re.compile(
    r"\{(?P<name>[\w:-]+)\}`(?P<text>[^`]+)`|(?<!`)(?P<code>`+)(?!`)[^\0]*?(?<!`)(?P=code)(?!`)"
)
OPTION = re.compile(r"\A(?:[ \t]*:[\w-]+:.*\n)+\n?|\A---\n(?:.*\n)*?---\n")
TARGET = re.compile(r"^\([\w-]+\)=[ \t]*\n", re.M)
EQUATION_LABEL = re.compile(r"^(\$\$)[ \t]*\([\w-]+\)[ \t]*$", re.M)
MARKS = re.compile(  # what Markdown takes for more than itself, within a line and at its beginning
    r"\\(?=[!-/:-@\[-`{-~]|$)|[*`$|~]|(?<![^\W_])_|_(?![^\W_])|<(?=[A-Za-z/!?])|&(?=#?\w+;)|\](?=[(\[:]|$)"
)
START = re.compile(r"^( ?\d*)(>|[.)](?=\s|$)|[-+#=]+(?=\s|$))")


def notebook(book: Book, page: str) -> nbformat.NotebookNode:
    """The executed page as a notebook that runs anywhere: its first cell installs what it needs."""
    source, quote = copy.deepcopy(book.outcomes[page].notebook), quoting(book, page)
    for cell in source.cells:
        if cell.cell_type == "markdown":
            cell.source = plain(cell.source, book.project, quote)
    install = nbformat.v4.new_code_cell(_install(book.project), metadata={"tags": ["install"]})
    cells = [cell for cell in source.cells if cell.source.strip()]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    made = nbformat.v4.new_notebook(cells=[install, *cells], metadata=metadata)
    for number, cell in enumerate(made.cells):
        cell.id = f"cell-{number}"  # the same page gives the same file
    return made


def script(made: nbformat.NotebookNode) -> str:
    """A notebook as a Python file in the percent format, outputs left out."""
    return jupytext.writes(made, fmt="py:percent")


def plain(text: str, project: Project, quote: Callable[[str, str], str]) -> str:
    """MyST Markdown as plain Markdown. ``quote``: what a role shows of outputs, by its name and text."""

    def directive(match: re.Match) -> str:
        name, title, body = match["name"], match["title"].strip(), OPTION.sub("", match["body"])
        if name == "snippet":
            region = re.search(r":region:\s*(\S+)", match["body"])
            try:
                found = find(project, title, region and region[1])
            except BookError:
                return ""  # the page itself says what is wrong
            return f"```python\n{found.text}\n```"
        if name in ("toctree", "bibliography", "verification"):
            return ""
        if name == "math":
            return f"$$\n{body}$$"
        return f"**{title}**\n\n{body}".strip() if title else body

    def role(match: re.Match) -> str:
        name, content = match["name"], match["text"]
        if not name:
            return match[0]  # code: there is no role in it
        if name in ("glue:text", "glue", "claim"):
            return escaped(quote(name, content))
        if name.startswith("cite"):
            return f"[{content}]"
        if name == "eq":
            return f"({content})"
        shown = re.fullmatch(r"(.*?)\s*<[^>]*>", content, re.S)
        return shown[1] if shown else content.removeprefix("/")

    text = EQUATION_LABEL.sub(r"\1", TARGET.sub("", text))
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


def quoting(book: Book, page: str) -> Callable[[str, str], str]:
    """What the roles of ``page`` show of outputs, as MyST-NB does: nothing where it has a warning instead."""

    @functools.cache
    def glued(page: str) -> dict[str, dict[str, str]]:
        cells = copy.deepcopy(book.outcomes[page].notebook.cells) if page in book.outcomes else []
        return {
            key: output["data"]
            for cell in cells
            if cell.cell_type == "code"
            for key, output in extract_glue_data_cell(cell)
        }

    def quote(role: str, text: str) -> str:
        if role == "claim":
            found = claim(book, page, text)
            return found[2] if found else "(not measured)"
        key, _, form = text.rpartition(":") if role == "glue:text" and ":" in text else (text, "", "s")
        other, name = key.split("::", 1) if "::" in key else ("", key)
        where = posixpath.normpath(posixpath.join("/", posixpath.dirname(page), other))[1:]
        shown = glued(where.removesuffix(".md") if other else page).get(name, {}).get("text/plain", "")
        try:
            return format_plain_text(shown, form) if role == "glue:text" and shown else shown
        except Exception:  # of many kinds, as what is quoted
            return ""

    return quote


def escaped(text: str) -> str:
    """Markdown that shows ``text`` as a page does, where a line's end is a space."""
    line = MARKS.sub(r"\\\g<0>", re.sub(r"[ \t\r\n\f]+", " ", text))
    return START.sub(r"\1\\\2", line)


def write(book: Book, site: Path, page: str) -> dict[str, str]:
    """Put the page's notebook and script into ``site``; their addresses from its root, by kind."""
    made = notebook(book, page)
    addresses = {}
    for suffix, text in (("ipynb", nbformat.writes(made)), ("py", script(made))):
        addresses[suffix] = f"{FOLDER}/{page}.{suffix}"
        file = site / addresses[suffix]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return addresses


def buttons(project: Project, page: str, addresses: dict[str, str], up: str) -> list[dict]:
    """The theme's header buttons for a page; ``up`` leads from the page to the site's root."""
    kinds = (("ipynb", "Executed notebook", "fas fa-code"), ("py", "Script", "fas fa-file"))
    links = [
        {"type": "link", "url": up + addresses[kind], "text": f".{kind}", "tooltip": what, "icon": icon}
        for kind, what, icon in kinds
    ]
    group = {"type": "group", "label": "download-buttons", "icon": "fas fa-download", "buttons": links}
    found = [{**group, "tooltip": "Take this page with you"}]
    if address := colab(project, page):
        icon = {"icon": "fas fa-rocket", "tooltip": "Run in Colab", "label": "colab"}
        found.append({"type": "link", "url": address, "text": "", **icon})
    return found


def colab(project: Project, page: str) -> str | None:
    """Where Colab opens the page's notebook; ``None`` unless the repository is on GitHub."""
    host = "https://github.com/"
    if not project.repository_url.startswith(host):
        return None
    repository = project.repository_url.removeprefix(host)
    return f"https://colab.research.google.com/github/{repository}/blob/{BRANCH}/{page}.ipynb"


def _install(project: Project) -> str:
    where = f"git+{project.repository_url}" if project.repository_url else ""
    commit = project.commit()
    if where and commit and not commit.endswith("+"):
        where += f"@{commit}"
    action = (
        f'subprocess.run([sys.executable, "-m", "pip", "install", "-q", "rlworkshop @ {where}"], check=True)'
        if where
        else 'sys.exit("this notebook needs the package rlworkshop: pip install PATH_OF_A_CLONE_OF_THE_BOOK")'
    )
    return (
        "# Installs the book's code where it is not there yet, as on Colab.\n"
        "import importlib.util\nimport subprocess\nimport sys\n\n"
        f'if importlib.util.find_spec("rlworkshop") is None:\n    {action}'
    )
