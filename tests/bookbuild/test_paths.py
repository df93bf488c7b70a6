"""Reading paths: pages in order, with the time that each of them states."""

import re

import pytest

from showcase import paths

DATA = """
[walker]
who = "walk."
need = "shoes."
steps = [["start/one", "To begin."], ["start/two", "To go *on*."]]
stop = "here."
can = "walk."
project = "a walk."
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("**Time**: 40 minutes with the exercises;", 40),
        ("**You need** Python. **Time**: twenty minutes to read.", 20),
        ("**Time**: some minutes.", 0),
        ("It takes 40 minutes.", 0),
    ],
)
def test_a_page_says_how_long_it_takes(text, said):
    assert paths.minutes(f"# Title\n\n{text}\n") == said


@pytest.mark.parametrize(
    ("minutes", "said"), [(5, "½"), (30, "½"), (60, "1"), (80, "1½"), (605, "10"), (620, "10½")]
)
def test_hours_are_told_to_the_half(minutes, said):
    assert paths.hours(minutes) == said


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('stop = "here."\n', "", "walker: stop"),
        ("can =", "could =", "walker: can, could"),
        ("start/two", "start/one", "walker has start/one twice"),
    ],
)
def test_a_path_that_is_not_whole_is_said(tmp_path, old, new, said):
    (tmp_path / "paths.toml").write_text(DATA.replace(old, new))
    with pytest.raises(ValueError, match=said):
        paths.read(tmp_path / "paths.toml")


@pytest.fixture
def shown(fresh, sphinx):
    """The fixture book with a path over two pages of 40 and 50 minutes."""
    fresh.edit("conf.py", '"bookbuild.site.extension"', '"bookbuild.site.extension", "showcase"')
    for name, time in (("one", "40"), ("two", "fifty")):
        fresh.write(f"book/start/{name}.md", f"# Page {name}\n\n**Time**: {time} minutes.\n")
    text = "# Paths\n\n```{path-memory}\n```\n\n## Walkers\n\n```{reading-path} walker\n```\n"
    fresh.write("book/start/paths.md", text)
    fresh.edit("book/index.md", "report\n", "report\nstart/one\nstart/two\nstart/paths\n")
    outputs = {"beta": [[], [sphinx.claimed("seven-is-at-least-five", 7.0)]]}

    def render(data: str = DATA, **how):
        fresh.write("book/start/paths.toml", data)
        made = sphinx.render(sphinx.executed(fresh.root, outputs), **how)
        return made, made.page("start/paths")

    return render, fresh


def test_a_path_is_a_list_with_the_times_that_its_pages_state(shown):
    made, page = shown[0]()
    assert (made.status, made.output) == (0, "")
    path = re.search(r'<ol class="([^"]*)">(.*?)</ol>', page, re.S)
    assert "reading-path" in path[1]
    assert re.findall(r'<li class="(.*?)">.*?href="(.*?)"', path[2], re.S) == [
        ("minutes-40", "one.html"),
        ("minutes-50", "two.html"),
    ]
    assert "(50 minutes). To go <em>on</em>." in page
    assert "<strong>In this order</strong>: 2 pages, about 1½ hours" in page
    assert "<strong>You need</strong> shoes." in page and "<strong>A first project</strong>: a walk." in page
    assert '<div class="path-memory" hidden>' in page and ">Forget all ticks</button>" in page


def test_a_time_that_changes_changes_the_path(shown):
    render, fresh = shown
    render()
    fresh.edit("book/start/two.md", "fifty minutes", "80 minutes")
    made, page = render(fresh=False)
    assert "about 2 hours" in page and "minutes-80" in page, made.output


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("start/two", "start/gone", "walker reads start/gone, which is no page"),
        ("start/two", "alpha", "alpha does not say how long it takes"),
        ("[walker]", "[runner]", "has no path 'walker'"),
        ("stop = ", "end = ", "walker: end, stop is missing"),
    ],
)
def test_what_is_wrong_with_a_path_turns_the_build_red(shown, old, new, said):
    made, page = shown[0](DATA.replace(old, new))
    assert made.status == 1 and said in made.output and "build-failed" in page
