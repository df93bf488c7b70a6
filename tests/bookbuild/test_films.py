"""Films leave the page for files that load when they are reached, each with a poster."""

import os
import re

import imageio.v3 as iio
import nbformat
import numpy as np
import pytest

from rlworkshop import plots


def film(brightness: int) -> np.ndarray:
    """A white square walks over a ground of this brightness."""
    frames = np.full((9, 60, 90, 3), brightness, np.uint8)
    for t in range(9):
        frames[t, 20:40, 8 * t : 8 * t + 20] = 255 - brightness
    return frames


@pytest.fixture
def shown(fresh, sphinx):
    """The fixture book, in which a page of a part shows two films."""
    fresh.edit("conf.py", '"bookbuild.site.extension"', '"bookbuild.site.extension", "showcase"')
    fresh.add_page("start/film", "pass")
    options = {"alt": 'It says "go" & walks', "captions": ["day", "night"], "width": 90}
    clip = plots.animate([film(250), film(10)], **options)
    html = nbformat.v4.new_output("display_data", {"text/html": clip._repr_html_(), "text/plain": repr(clip)})
    outputs = {"start/film": [[html]], "beta": [[], [sphinx.claimed("seven-is-at-least-five", 7.0)]]}

    def render(**how):
        made = sphinx.render(sphinx.executed(fresh.root, outputs), **how)
        assert (made.status, made.output) == (0, "")
        return made

    return render, clip


def test_a_film_is_a_file_with_a_poster(shown):
    render, clip = shown
    made = render()
    page = made.page("start/film")
    films = re.findall('<video [^>]*poster="../(.*?)"[^>]* src="../(.*?)">', page)
    assert [(made.site / at).read_bytes() for _, at in films] == [*clip.films]
    for number, (poster, _) in enumerate(films):
        frame = iio.imread(made.site / poster).astype(int)
        assert frame.shape == (60, 90, 3)
        before, now, after = (frame[30, x].mean() for x in (16, 42, 68))
        assert abs(now - before) > 200 < abs(now - after), "the middle frame"
        assert (frame[5].mean() > 128) == (number == 0)
    assert re.findall(r'class="film(.*?)"', page) == [" on-white", ""]
    assert "data:video" not in page and "agent-clip" in page and "<figcaption>night</figcaption>" in page
    clip_html = page[page.index("agent-clip") :].partition("</div>\n")[0]
    assert "<script" not in clip_html and 'preload="none"' in clip_html
    assert page.count("It says &quot;go&quot; &amp; walks (day)") == 2, "for the film, and for its picture"


def test_films_are_there_in_the_next_build_and_no_others(shown, fresh):
    render, clip = shown
    made = render()
    kept = fresh.root / "_build/state/_films"
    assert {file.name for file in kept.iterdir()} == {file.name for file in (made.site / "_films").iterdir()}
    for name in ("old.mp4", "new.mp4"):
        (kept / name).write_bytes(b"of no page")
    os.utime(kept / "old.mp4", (0, 0))
    for file in (made.site / "_films").iterdir():
        file.unlink()
    render(fresh=False)  # no page is read again
    assert len([*(made.site / "_films").iterdir()]) == 4
    assert (kept / "new.mp4").exists() and not (kept / "old.mp4").exists()
