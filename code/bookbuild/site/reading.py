"""Reading mode: what a page shows at once, and what one click away.

The builder looks into each cell. Statements that make a claim or keep a number for the text, and those that
only serve them, become the **evidence** of the experiment: one quiet line that opens to claims and code. Code
that draws a figure, and long code that defines nothing (sweeps), is folded, with a label that says what is in
it. The tag ``show-input`` leaves a cell as it is; ``hide-input`` and ``hide-cell`` fold any.
"""

import ast
import copy
from collections.abc import Iterator, Sequence

import nbformat
from docutils import nodes
from sphinx.application import Sphinx

from rlworkshop.verify import RECORD

OPEN_LINES = 12  # of code for one idea
DEFINES = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
IMPORTS = ast.Import | ast.ImportFrom


class Evidence(nodes.General, nodes.Element):
    """The claims of an experiment and the code that makes them, behind one line."""


def arranged(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """An executed page as it is read: cells split into what is shown, folded, and evidence."""
    made, trees = copy.copy(notebook), [_tree(cell) for cell in notebook.cells]
    flows = [flow(tree) for tree in trees]
    made.cells, lines = [], []
    source_map = notebook.metadata.get("source_map", [0] * len(trees))
    for number, (cell, tree) in enumerate(zip(notebook.cells, trees, strict=True)):
        parts = [*_split(cell, tree, needed(flows[number + 1 :]))] if tree else [cell]
        made.cells += parts
        lines += [source_map[number]] * len(parts)
    made.metadata = nbformat.from_dict({**notebook.metadata, "source_map": lines})
    return made


def flow(tree: Sequence[ast.stmt]) -> tuple[set[str], set[str]]:
    """The names that a cell needs from before, and those that it sets."""
    needs: set[str] = set()
    sets: set[str] = set()
    for statement in tree:
        needs |= loaded(statement) - sets
        sets |= {n.id for n in ast.walk(statement) if isinstance(n, ast.Name)} - loaded(statement)
        sets |= stored(statement)
    return needs, sets


def needed(flows: Sequence[tuple[set[str], set[str]]]) -> set[str]:
    """The names that these cells, one after the other, need from before."""
    found: set[str] = set()
    for needs, sets in reversed(flows):
        found = needs | (found - sets)
    return found


def evidence(tree: Sequence[ast.stmt], elsewhere: set[str]) -> list[ast.stmt]:
    """The statements that make claims or keep numbers for the text, and those that serve nothing else.

    ``elsewhere``: names that later cells need.
    """
    found = [s for s in tree if called(s) & {"claim", "glue"} and "print" not in called(s) and not draws(s)]
    if not found:
        return []
    while True:
        open_names = elsewhere.union(*(loaded(s) for s in tree if s not in found))
        more = [s for s in tree if s not in found and (kept := stored(s)) and not kept & open_names]
        if not more:
            return [s for s in tree if s in found]
        found += more


def called(statement: ast.stmt) -> set[str]:
    """Names of the functions that a statement calls; nothing for a definition, which calls nothing yet."""
    if isinstance(statement, DEFINES):
        return set()
    calls = (node.func for node in ast.walk(statement) if isinstance(node, ast.Call))
    return {getattr(func, "id", getattr(func, "attr", "")) for func in calls}


def loaded(statement: ast.stmt) -> set[str]:
    """The names that a statement reads."""
    return {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def stored(statement: ast.stmt) -> set[str]:
    """The names that an assignment sets; nothing for another statement, which may do more than that."""
    if not isinstance(statement, ast.Assign | ast.AnnAssign):
        return set()
    names = [n for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    plain = all(isinstance(t, ast.Name | ast.Tuple | ast.List) for t in targets)
    return {n.id for n in names} if plain else set()


def draws(statement: ast.stmt) -> bool:
    """Whether a statement belongs to the drawing of a figure."""
    if isinstance(statement, DEFINES | IMPORTS):
        return False
    return bool({"plt", "fig", "ax", "axes", "playable"} & loaded(statement))


def folded(tree: Sequence[ast.stmt], lines: int) -> str:
    """How the folded code of a cell is called; empty for code that stays open."""
    if any(draws(s) for s in tree):
        return "Code of this figure"
    if lines > OPEN_LINES and not any(isinstance(s, DEFINES | IMPORTS) for s in tree):
        return "Code of these runs"
    return ""


def summary(records: Sequence[dict]) -> str:
    """The quiet line of an experiment."""
    failed = sum(not record["held"] for record in records)
    if failed:
        return f"✗ {failed} of {len(records)} claims fail{'s' * (failed == 1)}"
    if not records:
        return "How the numbers in the text are computed"
    return "✓ 1 claim holds" if len(records) == 1 else f"✓ {len(records)} claims hold"


def _tree(cell: nbformat.NotebookNode) -> list[ast.stmt]:
    if cell.cell_type != "code" or "show-input" in cell.metadata.get("tags", []):
        return []
    try:
        return ast.parse(cell.source).body
    except SyntaxError:  # a magic: it is shown as it is
        return []


def _split(
    cell: nbformat.NotebookNode, tree: Sequence[ast.stmt], elsewhere: set[str]
) -> Iterator[nbformat.NotebookNode]:
    tags = cell.metadata.get("tags", [])
    behind = [] if "hide-cell" in tags else evidence(tree, elsewhere)
    shown = [s for s in tree if s not in behind]
    told = [o for o in cell.outputs if behind and {RECORD, "scrapbook"} & {*o.get("metadata", {})}]
    if shown or not behind:
        source = _text(cell.source, tree, shown) if behind else cell.source
        label = folded(shown, len(source.splitlines()))
        if not label and "hide-input" in tags:
            label = f"Code: {_about(shown)}"
        outputs = [output for output in cell.outputs if output not in told]
        yield _cell(cell, source, outputs, label, [*tags, *["hide-input"] * bool(label)])
    if behind:
        source = _text(cell.source, tree, behind) if shown else cell.source
        records = [output.metadata[RECORD] for output in told if RECORD in output.metadata]
        yield _cell(cell, source, told if shown else cell.outputs, summary(records), ["evidence"])


def _cell(
    cell: nbformat.NotebookNode, source: str, outputs: list, label: str, tags: list[str]
) -> nbformat.NotebookNode:
    made = copy.copy(cell)
    told = {"code_prompt_show": label, "code_prompt_hide": label} if label else {}
    own = cell.metadata.get("mystnb", {}) if "evidence" not in tags else {}
    metadata = {**cell.metadata, "tags": sorted(set(tags)), "mystnb": {**own, **told}}
    made.metadata, made.source, made.outputs = nbformat.from_dict(metadata), source, outputs
    if "evidence" in tags:
        made.id = f"{cell.id}-evidence"
    return made


def _text(source: str, tree: Sequence[ast.stmt], wanted: Sequence[ast.stmt]) -> str:
    """The lines of some of a cell's statements, with the comments above; the last one's below, too."""
    lines, end, parts = source.split("\n"), 0, []
    for statement in tree:
        first, end = end, len(lines) if statement is tree[-1] else max(end, statement.end_lineno)
        if statement in wanted:
            parts.append("\n".join(lines[first:end]))
    return "\n".join(parts).strip("\n")


def _about(tree: Sequence[ast.stmt]) -> str:
    """What a cell that its author folds is about: the names that it makes."""
    names = [n for s in tree for n in sorted(stored(s) | ({s.name} if isinstance(s, DEFINES) else set()))]
    return ", ".join(names[:3]) + ", …" * (len(names) > 3) if names else "what is printed"


def fold_evidence(app: Sphinx, doctree: nodes.document) -> None:
    """Put each experiment's evidence behind its line: the claims, then the code that makes them."""
    for cell in list(doctree.findall(nodes.container)):
        if cell.get("nb_element") == "cell_code" and "tag_evidence" in cell["classes"]:
            source, *outputs = cell.children
            line = cell["cell_metadata"]["mystnb"]["code_prompt_show"]
            cell.children = []
            cell += Evidence("", *outputs, source, line=line)
