"""The templates of the site, where a build does not show all that they can do."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from jinja2 import Environment, FileSystemLoader

TEMPLATES = Environment(loader=FileSystemLoader(Path(__file__).parents[2] / "book" / "_templates"))


def report(**settings) -> str:
    page = {"pagename": "algorithms/vpg", "version": "1.2", **settings}
    return TEMPLATES.get_template("report-problem.html").render(page).strip()


def test_without_a_repository_there_is_nowhere_to_report_to():
    assert report(theme_repository_url="") == ""


@pytest.mark.parametrize(
    ("provider", "path", "title", "body"),
    [
        ("github", "/a/book/issues/new", "title", "body"),
        ("gitlab", "/a/book/-/issues/new", "issue[title]", "issue[description]"),
    ],
)
def test_a_report_names_the_page_and_the_version(provider, path, title, body):
    shown = report(theme_repository_url="https://example.org/a/book", theme_repository_provider=provider)
    address = urlsplit(shown.partition('href="')[2].partition('"')[0].replace("&amp;", "&"))
    query = parse_qs(address.query)
    assert (address.netloc, address.path) == ("example.org", path)
    assert query[title] == ["On the page algorithms/vpg"]
    assert "Page: algorithms/vpg\nVersion: 1.2\n" in query[body][0]
