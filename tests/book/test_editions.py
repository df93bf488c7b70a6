"""What the real book's readers take along says what its pages say."""

import re
import subprocess
import sys

import pytest

from bookbuild.engine import pages
from editions import check

LEFT = re.compile(
    r"\{(?:glue:text|doc|term|cite:\w|numref|eq|claim)\}`|\(not measured\)|^:::|<(?:div|details|script|span)",
    re.M,
)
PLUMBING = re.compile(r"^(?:claim|verify\.claim|glue|verify\.glue)\(", re.M)


@pytest.mark.book
def test_every_page_has_its_markdown(real, site):
    listed = re.findall(
        r"\]\((?:https?://[^)]*?)?([\w/]+)\.html\.md\)", (site / "llms.txt").read_text("utf-8")
    )
    found = []
    for page in pages.read_pages(real):
        text = (site / f"{page.name}.html.md").read_text("utf-8")
        outside = re.sub(r"^(`{3,}).*?^\1$|`[^`\n]*`", "", text, flags=re.M | re.S)
        found += [f"{page.name}: {left}" for left in LEFT.findall(outside)]
        found += [f"{page.name}: code that only serves: {line}" for line in PLUMBING.findall(text)]
        found += [f"{page.name} is not listed"] * (page.name not in listed)
        for at in re.findall(r"\]\((?!https?:|mailto:)([^)#]+)", outside):
            if not ((site / page.name).parent / at).exists():
                found.append(f"{page.name}: {at} leads nowhere")
    assert found == []


@pytest.mark.book
@pytest.mark.slow
def test_the_epub_is_whole(real, site):
    """It is made for this test, unless there is one that is younger than the site."""
    young = [
        file
        for file in real.build.glob("*.epub")
        if file.stat().st_mtime > (site / "search.html").stat().st_mtime
    ]
    if not young:
        subprocess.run([sys.executable, "-m", "bookbuild", "epub"], cwd=real.root, check=True)
        young = sorted(real.build.glob("*.epub"))
    assert [check.problems(file) for file in young] == [[]]
