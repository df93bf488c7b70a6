"""`make live`: what is saved is served anew, and the reader's browser is told so."""

import contextlib
import http.client
import re
import signal
import subprocess
import sys
import urllib.request

import pytest

from bookbuild import build
from bookbuild import live as live_build
from bookbuild.engine.project import Project

from .conftest import MINUTES

pytest.importorskip("sphinx_autobuild")

BROWSER = """
import asyncio, sys
from websockets import connect

async def told(address):
    async with connect(address) as socket:
        print("listening", flush=True)
        print(await socket.recv(), flush=True)

asyncio.run(told(sys.argv[1]))
"""


def served(address: str) -> str:
    """What is served; nothing while it is being written anew."""
    with contextlib.suppress(OSError, http.client.IncompleteRead):
        return urllib.request.urlopen(address, timeout=MINUTES).read().decode()
    return ""


@pytest.fixture
def live(book):
    """`bookbuild live` on the small book: its address."""
    process = book.start("live")
    lines = iter(process.stdout.readline, "")
    book.address = next(found[0] for line in lines if (found := re.search(r"http://[\d.:]+/", line)))
    book.said = lines
    yield book
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=MINUTES)


def test_a_saved_page_is_rendered_alone_whatever_else_an_editor_writes_beside_it(fresh, monkeypatch):
    rendered = []
    monkeypatch.setattr(live_build, "bring_up_to_date", lambda project: None)
    monkeypatch.setattr(build, "render", lambda book, output, pages: rendered.append(pages) or [])
    show, page = live_build.Live(Project.at(fresh.root)), fresh.root / "book/alpha.md"
    show(())
    show([page, page.with_name("4913"), page.with_name("alpha.md~")])  # as they do, and they are gone again
    show([page, fresh.root / "code/tiny/base.py"])
    other = page.with_name("beta.md")
    other.unlink()
    show([page, other])
    show([page, other])  # which is not there any more
    assert rendered == [[], [page], [], [], [page]]


@pytest.mark.slow
def test_what_is_saved_is_served_anew_and_the_browser_is_told(live):
    page, socket = f"{live.address}alpha.html", f"ws{live.address[4:]}websocket-reload"
    assert "alpha says 42" in served(page) and "websocket-reload" in served(page)
    with subprocess.Popen(
        [sys.executable, "-c", BROWSER, socket], stdout=subprocess.PIPE, text=True
    ) as browser:
        assert browser.stdout.readline() == "listening\n"
        live.edit("book/alpha.md", "# Page alpha", "# Page alpha\n\nA new sentence.")
        assert browser.communicate(timeout=MINUTES)[0] == "refresh\n"
    assert "A new sentence." in served(page) and "alpha says 42" in served(page)

    live.edit("book/alpha.md", "A new sentence.", "{doc}`nowhere`")
    assert any("unknown document: 'nowhere'" in line for line in live.said)
    live.edit("book/alpha.md", "{doc}`nowhere`", "Mended.")
    assert any("Mended." in served(page) for _ in live.said)
    live.edit("code/tiny/base.py", "41", "10")
    assert any("alpha says 11" in served(page) for _ in live.said)
