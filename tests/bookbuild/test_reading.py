"""What a page shows at once, and what is one click away."""

import ast

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from bookbuild.site import reading
from rlworkshop.verify import RECORD


def made(*cells):
    """The cells of a page made of these: each (source, tags, outputs), or Markdown."""
    whole = [
        new_markdown_cell(cell) if isinstance(cell, str)
        else new_code_cell(cell[0], metadata={"tags": cell[1]}, outputs=cell[2])
        for cell in cells
    ]  # fmt: skip
    notebook = new_notebook(cells=whole, metadata={"source_map": list(range(0, 10 * len(whole), 10))})
    before = nbformat.writes(notebook)
    arranged = reading.arranged(notebook)
    assert nbformat.writes(notebook) == before, "the executed page stays what it was"
    assert len(arranged.metadata["source_map"]) == len(arranged.cells)
    assert len({cell.id for cell in arranged.cells}) == len(arranged.cells)
    return arranged.cells


def claim(held=True):
    return new_output("display_data", {"text/plain": "claim"}, metadata={RECORD: {"held": held}})


GLUED = new_output("display_data", {}, metadata={"scrapbook": {"name": "x"}})
PRINTED = new_output("stream", name="stdout", text="3\n")


def label(cell):
    return cell.metadata["mystnb"]["code_prompt_show"]


def test_claims_and_what_only_serves_them_go_behind_one_line():
    cell = "x = run()\nprint(x)\n\n# of all\nmean = x.mean()\nglue('m', mean)\nclaim('c', mean)"
    shown, behind = made((cell, [], [PRINTED, GLUED, claim()]))
    assert shown.source == "x = run()\nprint(x)"
    assert behind.source == "# of all\nmean = x.mean()\nglue('m', mean)\nclaim('c', mean)"
    assert shown.outputs == [PRINTED] and behind.outputs == [GLUED, claim()]
    assert behind.metadata["tags"] == ["evidence"] and label(behind) == "✓ 1 claim holds"


def test_what_a_later_cell_needs_stays_open():
    first = ("mean = run()\nclaim('c', mean)", [], [claim()])
    cells = made(first, ("print(mean)", [], []))
    assert [cell.source for cell in cells][:2] == ["mean = run()", "claim('c', mean)"]
    assert made(first, ("mean = 2\nprint(mean)", [], []))[0].source == first[0], "it is set anew there"


def test_a_loop_that_claims_is_evidence_and_one_that_prints_is_not():
    assert made(("for k in x:\n    claim(k, x[k])", [], []))[0].metadata["tags"] == ["evidence"]
    assert made(("for k in x:\n    print(k)\n    claim(k, x[k])", [], []))[0].metadata["tags"] == []


def test_a_definition_that_would_claim_is_no_claim():
    assert reading.evidence(ast.parse("def f():\n    claim('c', 1)").body, set()) == []


@pytest.mark.parametrize(
    ("held", "line"),
    [
        ([True, True], "✓ 2 claims hold"),
        ([True, False], "✗ 1 of 2 claims fails"),
        ([False, False], "✗ 2 of 2 claims fail"),
        ([], "How the numbers in the text are computed"),
    ],
)
def test_the_line_says_what_is_behind_it(held, line):
    source = "claim('a', 1)" if held else "glue('a', 1)"
    assert label(made((source, [], [claim(one) for one in held] or [GLUED]))[0]) == line


def test_drawing_and_sweeps_are_folded_and_say_so():
    drawing = made(("fig, ax = plt.subplots()\nax.plot(x)", [], [PRINTED]))[0]
    assert (drawing.metadata["tags"], label(drawing)) == (["hide-input"], "Code of this figure")
    assert drawing.outputs == [PRINTED]
    sweep = made(("\n".join(f"x{i} = run({i})" for i in range(13)), [], []))[0]
    assert (sweep.metadata["tags"], label(sweep)) == (["hide-input"], "Code of these runs")
    short, defining = "\n".join(f"x{i} = 1" for i in range(12)), "def f():\n" + "    pass\n" * 13
    assert [cell.metadata["tags"] for cell in made((short, [], []), (defining, [], []))] == [[], []]


def test_tags_overrule():
    drawing = ("fig = plt.figure()\nclaim('c', 1)", ["show-input"], [claim()])
    assert made(drawing)[0].source == drawing[0]
    assert label(made(("run(x)\ny = 1", ["hide-input"], []))[0]) == "Code: y"
    whole = made(("x = 1\nclaim('c', x)", ["hide-cell"], [claim()]))
    assert len(whole) == 1 and "hide-cell" in whole[0].metadata["tags"]


def test_a_page_keeps_all_its_code_and_outputs_and_what_does_not_parse():
    code = "y = 2\nclaim('c', y)\nprint(y)\n# and no more"
    page = ["# A", ("%time x = 1", [], []), (code, [], [claim(), PRINTED])]
    cells = made(*page)
    assert cells[1].source == "%time x = 1"
    lines = [line for cell in cells[2:] for line in cell.source.split("\n")]
    assert sorted(lines) == sorted(page[2][0].split("\n"))
    assert sum((list(cell.outputs) for cell in cells[2:]), []) == [PRINTED, claim()]
