"""Every page with code can be taken away: as an executed notebook and as a script, or opened in Colab.

The notebook is the page in plain Markdown: what only Sphinx understands (roles, directives, quoted values) is
replaced by what it shows.
"""

import copy
import re
from pathlib import Path

import jupytext
import nbformat

from bookbuild.site import snippets
from bookbuild.engine.run import Outcome
from bookbuild.engine.project import BookError, Project

FOLDER = "_notebooks"  # of the site
BRANCH = "notebooks"  # of the repository: where the workflow puts the notebooks that Colab opens

FENCE = re.compile(
    r"^(?P<fence>`{3,}|:{3,})\{(?P<name>[\w:-]+)\}[ \t]*(?P<title>.*)\n"
    r"(?P<body>(?:.*\n)*?)(?P=fence)[ \t]*$",
    re.M,
)
ROLE = re.compile(r"\{(?P<name>[\w:-]+)\}`(?P<text>[^`]+)`")
OPTION = re.compile(r"\A(?:[ \t]*:[\w-]+:.*\n)+\n?|\A---\n(?:.*\n)*?---\n")
TARGET = re.compile(r"^\([\w-]+\)=[ \t]*\n", re.M)
EQUATION_LABEL = re.compile(r"^(\$\$)[ \t]*\([\w-]+\)[ \t]*$", re.M)


def notebook(project: Project, outcome: Outcome) -> nbformat.NotebookNode:
    """The executed page as a notebook that runs anywhere: its first cell installs what it needs."""
    source = copy.deepcopy(outcome.notebook)
    quoted = _quoted(outcome)
    for cell in source.cells:
        if cell.cell_type == "markdown":
            cell.source = plain(cell.source, project, quoted)
    install = nbformat.v4.new_code_cell(_install(project))
    install.metadata["tags"] = ["install"]
    cells = [cell for cell in source.cells if cell.source.strip()]
    made = nbformat.v4.new_notebook(cells=[install, *cells])
    made.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(made.cells):
        cell.id = f"cell-{number}"  # the same page gives the same file
    return made


def script(made: nbformat.NotebookNode) -> str:
    """A notebook as a Python file in the percent format, outputs left out."""
    return jupytext.writes(made, fmt="py:percent")


def plain(text: str, project: Project, quoted: dict[str, str]) -> str:
    """MyST Markdown as plain Markdown. ``quoted``: what ``{glue:text}`` and ``{claim}`` show."""

    def directive(match: re.Match) -> str:
        name, title, body = match["name"], match["title"].strip(), OPTION.sub("", match["body"])
        if name == "snippet":
            region = re.search(r":region:\s*(\S+)", match["body"])
            try:
                found = snippets.find(project, title, region and region[1])
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
        if name in ("glue:text", "glue", "claim"):
            return quoted.get(content, content)
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


def write(project: Project, site: Path, outcome: Outcome) -> dict[str, str]:
    """Put the page's notebook and script into ``site``; their addresses from its root, by kind."""
    made = notebook(project, outcome)
    addresses = {}
    for suffix, text in (("ipynb", nbformat.writes(made)), ("py", script(made))):
        addresses[suffix] = f"{FOLDER}/{outcome.page.name}.{suffix}"
        file = site / addresses[suffix]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return addresses


def buttons(project: Project, page: str, addresses: dict[str, str], up: str) -> list[dict]:
    """The theme's header buttons for a page; ``up`` leads from the page to the site's root."""
    links = [
        {"type": "link", "url": up + addresses["ipynb"], "text": ".ipynb", "tooltip": "Executed notebook"},
        {"type": "link", "url": up + addresses["py"], "text": ".py", "tooltip": "Script"},
    ]
    for link, icon in zip(links, ("fas fa-code", "fas fa-file"), strict=True):
        link["icon"] = icon
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


def _quoted(outcome: Outcome) -> dict[str, str]:
    """What the page's glued values and claims look like, by what stands between the role's backticks."""
    values: dict[str, object] = {}
    for cell in outcome.notebook.cells:
        for output in cell.get("outputs", []):
            name = output.get("metadata", {}).get("scrapbook", {}).get("name")
            if name:
                shown = next((v for k, v in output["data"].items() if k.endswith("text/plain")), "")
                values[name] = _number(shown)
    for record in outcome.claims:
        values[record["name"]] = float(record["value"])
    return _Formats(values)


class _Formats(dict):
    """Looks ``name:format`` up as ``name``, formatted."""

    def get(self, key, default=None):
        name, _, form = key.partition(":")
        if name not in self:
            return default
        try:
            return format(self[name], form or (".4g" if isinstance(self[name], float) else ""))
        except ValueError:
            return str(self[name])


def _number(text: str) -> object:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text.strip("'\"")
