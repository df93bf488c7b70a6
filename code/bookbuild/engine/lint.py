"""Ruff on the code and on the pages' cells; what it finds in a page is told by the page's own line.

Book: start/how_to_use
"""

import json
import re
import subprocess
import sys
from pathlib import Path

from bookbuild.engine.project import BookError

CODE = ("code", "tests", "benchmarks", "conf.py")
FENCE = re.compile(r"(?P<mark>`{3,}|~{3,}|:{3,})\{code-cell\}")


def cells(text: str) -> list[tuple[int, list[str]]]:
    """The code cells of a MyST page: the page's line on which the source begins (from 1), and the source.

    A cell's options, lines that begin with a colon or a block between ``---`` lines, are not source.
    """
    lines, found, i = text.splitlines(), [], 0
    while i < len(lines):
        fence = FENCE.match(lines[i])
        i += 1
        if not fence:
            continue
        if i < len(lines) and lines[i] == "---":
            i = lines.index("---", i + 1) + 1 if "---" in lines[i + 1 :] else i
        while i < len(lines) and lines[i].startswith(":"):
            i += 1
        start = i
        while i < len(lines) and lines[i].rstrip() != fence["mark"]:
            i += 1
        found.append((start + 1, lines[start:i]))
        i += 1
    return found


def ruff(root: Path, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Runs ruff in ``root`` and returns what it said.

    Raises:
        BookError: this Python has no ruff.
    """
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *arguments], cwd=root, input=text, capture_output=True, text=True
    )
    if "No module named ruff" in done.stderr:
        raise BookError("ruff is not installed: run this as `make check`, which brings it")
    return done


def check_page(root: Path, page: Path) -> list[str]:
    """Ruff's complaints about a page's cells, read as one notebook: ``page:line:column: rule message``."""
    found = cells(page.read_text(encoding="utf-8"))
    if not found:
        return []
    notebook = {
        "cells": [
            {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None,
             "source": "\n".join(source)}
            for _, source in found
        ],
        "metadata": {"language_info": {"name": "python"}}, "nbformat": 4, "nbformat_minor": 4,
    }  # fmt: skip
    name = page.relative_to(root)
    done = ruff(
        root, "check", "--output-format=json", f"--stdin-filename={name.with_suffix('.ipynb')}", "-",
        text=json.dumps(notebook),
    )  # fmt: skip
    if not done.stdout.strip():
        return [f"{name}: ruff stopped: {done.stderr.strip()}"]
    return [
        f"{name}:{found[item['cell'] - 1][0] + item['location']['row'] - 1}:{item['location']['column']}: "
        f"{item['code'] or 'syntax'} {item['message']}"
        for item in json.loads(done.stdout)
    ]


def main(root: Path) -> int:
    """Lints the project at ``root`` and prints what is wrong; returns 1 if anything is, else 0."""
    there = [name for name in CODE if (root / name).exists()]
    bad = False
    for arguments in (["check", "--output-format=concise"], ["format", "--check", "--output-format=concise"]):
        done = ruff(root, *arguments, *there)
        if done.returncode:
            bad = True
            print(done.stdout + done.stderr, end="")
    complaints = [line for page in sorted(root.glob("book/**/*.md")) for line in check_page(root, page)]
    print(*complaints, sep="\n", end="\n" if complaints else "")
    return int(bad or bool(complaints))
