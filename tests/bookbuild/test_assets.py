"""What a page loads is little, and joined without loss."""

import re

import pytest

from bookbuild.site import assets


@pytest.fixture
def static(tmp_path):
    """A folder of styles, as the theme and the book have them."""
    files = {
        "basic.css": "/* plain */ p { color: red } q { background: url(file.png) }",
        "styles/theme.css": '@import "../basic.css";',
        "styles/icons.css": '@font-face{src:url(../vendor/fontawesome/x.woff2)}.fa-sun,.fa-day{--fa:"\\f185"}'
        '.fa-yen{--fa:"\\f157"}.fa-a{--fa:"A"}.x{background:url( "../a b.png" )}'
        ".y{mask:url(data:image/png;base64,AA)}",
        "book.css": '@font-face { font-family: "Font Awesome 7 Free"; unicode-range: U+F185, U+41; }\n'
        "@font-face { font-family: Other; unicode-range: U+F157; }",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_styles_are_read_with_what_they_import_and_their_files_are_found(static):
    text = assets.style(static, "styles/theme.css")
    assert "plain" not in text and "p { color: red }" in text and 'url("file.png")' in text
    text = assets.style(static, "styles/icons.css")
    assert 'url("a b.png")' in text and "url(data:image/png;base64,AA)" in text


def test_icons_that_no_font_has_are_left_out(static):
    used = assets.icons((static / "book.css").read_text())
    assert used == {"F185", "41"}
    text = assets.style(static, "styles/icons.css", used)
    assert '.fa-sun,.fa-day{--fa:"\\f185"}' in text and '.fa-a{--fa:"A"}' in text
    assert "fa-yen" not in text and "vendor" not in text


@pytest.mark.parametrize(
    ("drawn", "slim"),
    [
        ('<path d="M 1.23456 2.5 L -7.891 3"/>', '<path d="M 1.23 2.5 L -7.89 3"/>'),
        ('<use x="0.123456" y="1"/>', '<use x="0.12" y="1"/>'),
        ('<g transform="scale(0.015625)">1.23456</g>', '<g transform="scale(0.015625)">1.23456</g>'),
    ],
)
def test_a_drawing_loses_digits_that_nobody_sees(drawn, slim):
    assert assets.slim(drawn) == slim


@pytest.mark.parametrize(
    ("drawn", "dark"),
    [
        ('<path style="fill: #ffffff; stroke: #000000"/>', '<path style="fill: #14171a; stroke: #d6dade"/>'),
        ('<path style="stroke:#808080"/>', '<path style="stroke: #75787c"/>'),
        ('<path style="fill: #0072b2; stroke: none"/>', '<path style="fill: #0072b2; stroke: none"/>'),
        ('<path style="fill: #777778"/>', '<path style="fill: #777778"/>'),
    ],
)
def test_in_the_dark_greys_are_turned_round_and_colours_stay(drawn, dark):
    assert assets.dark(drawn) == dark
    words = assets.dark("<svg><defs>1</defs><text>a</text></svg>")
    assert words.startswith("<svg><defs><style>text { fill: #d6dade }") and words.endswith("</text></svg>")


def test_the_size_of_a_picture_is_read_from_its_first_bytes(tmp_path):
    svg, png, other = tmp_path / "a.svg", tmp_path / "a.png", tmp_path / "a.gif"
    svg.write_text(
        '<?xml version="1.0"?>\n<svg width="300pt" height="150pt" viewBox="0 0 300 150.3"><g/></svg>'
    )
    png.write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + (640).to_bytes(4) + (480).to_bytes(4) + bytes(8))
    other.write_bytes(b"GIF89a")
    assert (assets.size(svg), assets.size(png)) == ((400, 200), (640, 480))
    assert assets.size(other) is None and assets.size(tmp_path / "gone.svg") is None


def test_a_picture_has_its_place_and_loads_when_it_is_reached(fresh, sphinx):
    (fresh.root / "book/p.svg").write_text('<svg viewBox="0 0 300 150"></svg>')
    fresh.edit(
        "book/gamma.md",
        "# Page gamma\n",
        "# Page gamma\n\n![a](p.svg)\n\n```{image} p.svg\n:width: 50px\n:alt: b\n```\n",
    )
    outputs = {"beta": [[], [sphinx.claimed("seven-is-at-least-five", 7.0)]]}
    page = sphinx.render(sphinx.executed(fresh.root, outputs)).page("gamma")
    assert '<img loading="lazy" width="400" height="200" alt="a"' in page
    assert page.count('loading="lazy"') == 2 and page.count("height=") == 1


def test_a_picture_that_stays_as_it_is_has_a_second_one_for_the_dark(fresh, sphinx):
    for kind in ("as-is", "plot"):
        drawn = '<svg viewBox="0 0 3 1"><path style="fill: #ffffff"/></svg>'
        (fresh.root / f"book/{kind}.svg").write_text(drawn)
    pictures = "".join(
        f"```{{image}} {kind}.svg\n:class: {kind}\n:alt: {kind}\n```\n" for kind in ("as-is", "plot")
    )
    fresh.edit("book/gamma.md", "# Page gamma\n", f"# Page gamma\n\n{pictures}")
    outputs = {"beta": [[], [sphinx.claimed("seven-is-at-least-five", 7.0)]]}
    made = sphinx.render(sphinx.executed(fresh.root, outputs))
    page = made.page("gamma")
    light, dark = re.findall(r'<img [^>]*alt="as-is"[^>]*>', page)
    assert dark == light.replace("as-is.svg", "as-is-dark.svg").replace('class="', 'class="in-dark ')
    assert page.count("<img") == page.count('alt="plot"') + 2
    assert "#14171a" in (made.site / "_images/as-is-dark.svg").read_text()
    assert "#ffffff" in (made.site / "_images/as-is.svg").read_text()
