"""Old addresses that go on working: each line of ``book/redirects.txt`` becomes a page that leads on."""

import html
import json
import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)

NAME = r"[\w-]+(?:/[\w-]+)*"
LINE = re.compile(rf"(?P<old>{NAME})\s+(?P<new>{NAME})(?P<anchor>#\S+)?")
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Moved</title>
<link rel="canonical" href="{address}">
<script>location.replace({page} + location.search + (location.hash || {anchor}))</script>
<meta http-equiv="refresh" content="0; url={address}">
<p>This page has moved: <a href="{address}">read it there</a>.</p>
</html>
"""


def write(app: Sphinx, exception: Exception | None) -> None:
    """Write the pages that lead on; a line that cannot be followed is a warning, which fails the build."""
    file = Path(app.srcdir) / "redirects.txt"
    book = getattr(app.config, "book", None)
    one_page = book and book.only  # then most pages are missing on purpose
    if exception or one_page or app.builder.format != "html" or not file.exists():
        return
    seen = set()
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not (line := line.strip()) or line.startswith("#"):
            continue
        redirect = LINE.fullmatch(line)
        if not redirect:
            problem = "should be two page names, OLD NEW"
        elif redirect["new"] not in app.env.found_docs:
            problem = f"there is no page {redirect['new']}: name the one that readers should find"
        elif redirect["old"] in app.env.found_docs:
            problem = f"{redirect['old']} is a page: it cannot lead elsewhere"
        elif redirect["old"] in seen:
            problem = f"{redirect['old']} stands here twice"
        else:
            seen.add(redirect["old"])
            page = app.builder.get_relative_uri(redirect["old"], redirect["new"])
            anchor = redirect["anchor"] or ""
            text = PAGE.format(
                address=html.escape(page + anchor), page=json.dumps(page), anchor=json.dumps(anchor)
            )
            target = Path(app.outdir) / f"{redirect['old']}.html"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            continue
        logger.warning("%r: %s", line, problem, location=f"{file}:{number}", type="book")


def setup(app: Sphinx) -> dict:
    app.connect("build-finished", write)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
