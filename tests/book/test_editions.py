"""What the real book's readers take along says what its pages say."""

import re

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
def test_the_epub_is_whole(real, site):
    made = sorted(real.build.glob("*.epub"))
    if not made:
        pytest.skip("there is no EPUB: `make epub` makes it")
    assert check.problems(made[0]) == []
