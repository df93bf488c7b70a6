"""Slides show what the pages of a build show, and say by slide and key what is not there."""

import re
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pytest

from bookbuild.engine.project import Project
from rlworkshop import plots, verify
from slides import __main__ as command
from slides import deck, shown

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>'
DOUBLE = '''"""B."""


def double(x):
    """Twice.

    Args:
        x: "a" number.
    """
    return 2 * x
'''
TALK = """---
title: "A talk & its title"
minutes: 20
---
# First

For <everybody>

???

Say *hello*.
% a note to authors
---
## With {value}`part/page:score:.1f`

{figure}`fig-one`

+++

- {claim}`part/page#learns` of $x^2$

$$
y = 1
$$

{snippet}`tiny.base.double`

???

Notes.
"""


def output(data: dict, **metadata) -> nbformat.NotebookNode:
    return nbformat.v4.new_output("display_data", data, metadata=metadata)


def glued(name: str, value: object) -> nbformat.NotebookNode:
    return output({shown.TEXT: repr(value)}, scrapbook={"name": name})


@pytest.fixture
def project(tmp_path) -> Project:
    """A book with one executed page and one talk."""
    cells = [nbformat.v4.new_code_cell("x", outputs=[glued("score", 12.345), glued("word", "up")])]
    record = {"name": "learns", "value": 0.98765}
    cells.append(nbformat.v4.new_code_cell("claim", outputs=[output({}, **{verify.RECORD: record})]))
    figure = {"figure": {"name": "fig-one"}, "image": {"alt": 'A "square"'}}
    drawn = nbformat.v4.new_code_cell(
        "plot", outputs=[output({"image/svg+xml": SVG, "text/plain": "<Figure>"})]
    )
    drawn.metadata["mystnb"] = figure
    notebook = nbformat.v4.new_notebook(cells=[*cells, drawn])
    files = {
        "conf.py": "",
        "_build/executed/part/page.ipynb": nbformat.writes(notebook),
        "book/workshop/_slides/talk.md": TALK,
        "book/_diagrams/loop.svg": '<svg style="max-width: 3rem"><title>Loop</title></svg>',
        "code/tiny/__init__.py": '"""T."""\n',
        "code/tiny/base.py": DOUBLE,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for font in re.findall(r"url\(([^)]+)\)", deck.SANS):
        (tmp_path / "book/_static" / font).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "book/_static" / font).write_bytes(b"a font")
    (tmp_path / "book/_static/katex").mkdir()
    (tmp_path / "book/_static/katex/katex.css").write_text(".katex { color: inherit }")
    return Project.at(tmp_path)


def built(project: Project, talk: str = TALK) -> tuple[list[str], Path]:
    """What is wrong, and where the talk is."""
    (project.book / "workshop/_slides/talk.md").write_text(talk)
    out = project.build / "slides"
    shutil.rmtree(out, ignore_errors=True)
    return command.build(project, out), out / "talk.html"


def test_a_talk_shows_values_claims_figures_formulas_and_code(project):
    problems, file = built(project)
    page = file.read_text()
    assert problems == []
    assert len(re.findall(r'<section class="slide', page)) == 2
    assert re.search(r'<span class="value" title="part/page:score:.1f">12.3</span>', page)
    assert re.search(r'title="part/page#learns">0.9877</span>', page)
    assert 'alt="A &quot;square&quot;"><figcaption>part/page</figcaption>' in page
    assert 'class="katex"' in page and "return" in page and "tiny.base.double" in page
    assert "Twice." in page and "Args:" not in page
    assert "<em>hello</em>" in page and "a note to authors" not in page
    assert "For &lt;everybody&gt;" in page, "no HTML in a talk"
    assert "A talk &amp; its title</a>: 20 minutes, 2 slides" in file.with_name("index.html").read_text()


def test_columns_notes_and_blocks_have_their_place(project):
    page = built(project)[1].read_text()
    second = page.split('id="2"')[1]
    columns, notes = second.split('<aside class="notes"')[0], second.split("</aside>")[0].split("<aside")[1]
    assert columns.count('<div class="column">') == 2
    assert "Notes." in notes and "Notes." not in columns
    assert not re.search(r"<p>\s*<figure", page) and not re.search(r"<p>\s*<div class=.code", page)


def test_nothing_is_fetched(project):
    page = built(project)[1].read_text()
    assert not re.search(r"(?:src|href)=\"(?!data:)[^#\"]", page)
    assert not re.search(r"url\([\"']?(?!data:|\"data:)", page.replace("url(#", ""))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [("{value}`part/page:scor`",
      "talk.md, slide 2 (Second): part/page has glued no value 'scor': did you mean 'score'?"),
     ("{value}`part/pag:score`", "there is no executed page 'part/pag': did you mean 'part/page'?"),
     ("{value}`part/page:word:.1f`", "part/page has glued 'word', but Unknown format code 'f'"),
     ("{value}`score`", "'score' should be PAGE:KEY:FORMAT"),
     ("{claim}`part/page#learn`", "part/page makes no claim 'learn': did you mean 'learns'?"),
     ("{figure}`fig-on`", "no page has a figure 'fig-on': did you mean 'fig-one'?"),
     ("{film}`part/page:0`", "part/page has no film '0': it has 0"),
     ("{diagram}`lop`", "there is no drawing 'lop': did you mean 'loop'?"),
     ("{snippet}`tiny.base.triple`", "triple"),
     ("{glue}`x`", "there is no reference {glue}"),
     ("$\\frac{1$", "no formula: KaTeX")],
)  # fmt: skip
def test_what_is_missing_is_named_with_its_slide_and_nothing_is_written(project, wrong, words):
    talk = f'---\ntitle: "T"\nminutes: 5\n---\n# First\n\n???\n\nN.\n---\n## Second\n\n{wrong}\n\n???\n\nN.\n'
    problems, file = built(project, talk)
    assert len(problems) == 1 and words in problems[0], problems
    assert "slide 2 (Second)" in problems[0] and not file.exists()


def test_a_slide_without_notes_is_a_problem(project):
    problems, _ = built(project, TALK.replace("\nNotes.\n", ""))
    assert [one.partition(": ")[2] for one in problems] == [
        "there is nothing for the speaker: add ??? and notes"
    ]


def test_a_film_has_a_still_for_paper(project):
    frames = np.zeros((4, 32, 32, 3), np.uint8)
    clip = plots.animate(frames, alt="Night.")._repr_html_()
    file = project.build / "executed/part/page.ipynb"
    notebook = nbformat.read(file, nbformat.NO_CONVERT)
    notebook.cells[0].outputs.append(output({"text/html": clip}))
    file.write_text(nbformat.writes(notebook))
    problems, file = built(project, TALK.replace("{figure}`fig-one`", "{film}`part/page:0`"))
    page = file.read_text()
    assert problems == []
    assert re.search(r'<video muted loop playsinline aria-label="Night." src="data:video/mp4;base64,\w', page)
    assert re.search(r'<img class="still" alt="Night." src="data:image/webp;base64,\w', page)


def test_a_drawing_fills_its_place(project):
    page = built(project, TALK.replace("{figure}`fig-one`", "{diagram}`loop`"))[1].read_text()
    assert '<figure class="diagram"><svg><title>Loop</title></svg></figure>' in page


def test_the_command_says_what_is_wrong(project, capsys):
    assert command.main(str(project.root)) == 0
    assert capsys.readouterr().out == "slides: _build/slides/index.html\n"
    (project.book / "workshop/_slides/talk.md").write_text(TALK.replace("minutes: 20\n", ""))
    assert command.main(str(project.root)) == 1
    assert "talk.md should begin with lines ---, title: " in capsys.readouterr().out
    (project.book / "workshop/_slides/talk.md").write_text(TALK.replace("fig-one", "fig-two"))
    assert command.main(str(project.root)) == 1
    assert "slides: talk.md, slide 2 (" in capsys.readouterr().out
    shutil.rmtree(project.build / "executed")
    assert command.main(str(project.root)) == 1
    assert "run `make html` first" in capsys.readouterr().out


def test_the_parser_leaves_code_alone(project):
    talk = TALK.replace("Notes.", "Notes.\n\n```python\nx = {value}  # <b>\n```\n\n`{value}`")
    problems, file = built(project, talk)
    assert problems == [] and "&lt;b&gt;" in file.read_text()
    assert (
        deck.read(project.book / "workshop/_slides/talk.md", shown.Shown(project), lambda *_: "", []).minutes
        == 20
    )
