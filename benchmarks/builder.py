"""How the costs of the builder grow with the book: 30, 60 and 120 light pages.

Run ``python benchmarks/builder.py [--pages 30 60 120]`` on an idle machine (it takes some eight minutes on
two cores). Four light pages share a module, and each module has a file of tests; a page runs one cell and
shows a snippet, the first of four an equation with its line of code. Printed is the wall time of each build:
from nothing, with nothing changed, after an edit of one word of prose, and after an edit of one module.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CODE = Path(__file__).resolve().parents[1] / "code"
PER_MODULE = 4  # pages
CONF = """\
project = "Light pages"
extensions = ["myst_nb", "bookbuild.site.extension"]
html_theme = "sphinx_book_theme"
myst_enable_extensions = ["dollarmath"]
nb_execution_mode = "off"
nb_ipywidgets_js = {}
nitpicky = True
"""
MODULE = '''\
"""What four pages stand on."""

from light import base


def value(x):
    """Twice ``x``, and a bit."""
    return base.double(x) + {number}  # (eq-m{number})
'''
TEST = """\
from light import m{number:03}


def test_value():
    assert m{number:03}.value(1) == {number} + 2
"""
PAGE = """\
---
jupytext: {{text_representation: {{extension: .md, format_name: myst}}}}
kernelspec: {{display_name: Python 3, language: python, name: python3}}
budget: 5
---
# Page {page}

A word of prose, and then some more of it, so that there is something to read.

$$ y = 2 x + {number} $$ {label}

```{{code-cell}} ipython3
from light import m{number:03}
print("page {page} says", m{number:03}.value({page}))
```

```{{snippet}} light.m{number:03}.value
```
"""


def make_book(root: Path, pages: int) -> None:
    """Write a book of light pages."""
    names = [f"p{page:03}" for page in range(pages)]
    files = {"conf.py": CONF, "requirements.txt": "", "code/light/__init__.py": ""}
    files["code/light/base.py"] = "def double(x):\n    return 2 * x\n"
    files["book/index.md"] = "# Light pages\n\n```{toctree}\n" + "\n".join(names) + "\n```\n"
    for page, name in enumerate(names):
        number = page // PER_MODULE
        label = "" if page % PER_MODULE else f"(eq-m{number})"
        files[f"book/{name}.md"] = PAGE.format(page=page, number=number, label=label)
        files[f"code/light/m{number:03}.py"] = MODULE.format(number=number)
        files[f"tests/test_m{number:03}.py"] = TEST.format(number=number)
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


def edit(file: Path, old: str, new: str) -> None:
    """Replace a text of a file."""
    file.write_text(file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def build(root: Path) -> float:
    """Wall time of ``make html``."""
    start = time.monotonic()
    command = [sys.executable, "-m", "bookbuild", "html"]
    environment = os.environ | {"PYTHONPATH": str(CODE)}
    subprocess.run(command, cwd=root, env=environment, check=True, capture_output=True)
    return time.monotonic() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pages", type=int, nargs="+", default=[30, 60, 120])
    print(f"{'pages':>5} {'from nothing':>13} {'unchanged':>10} {'a word':>7} {'a module':>9}   (wall s)")
    for pages in parser.parse_args().pages:
        with tempfile.TemporaryDirectory(prefix="builder-") as folder:
            root = Path(folder)
            make_book(root, pages)
            times = [build(root), build(root)]
            edit(root / "book/p001.md", "A word of prose", "Another word of prose")
            times.append(build(root))
            edit(root / "code/light/m001.py", "+ 1 ", "+ 1.0 ")
            times.append(build(root))
        cold, same, word, module = times
        print(f"{pages:>5} {cold:>13.1f} {same:>10.1f} {word:>7.1f} {module:>9.1f}", flush=True)


if __name__ == "__main__":
    main()
