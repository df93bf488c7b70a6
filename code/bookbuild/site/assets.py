"""What each page loads: one style sheet and one script, made of all that the theme and the extensions bring.

What only some pages need stays by itself. Icons come from a font that has those that are used; names of other
icons are left out. Pictures load when they are reached, and have their place before that.
"""

import posixpath
import re
from pathlib import Path

from docutils import nodes
from myst_nb.sphinx_ext import add_global_html_resources
from pydata_sphinx_theme.pygments import overwrite_pygments_css
from sphinx.application import Sphinx
from sphinx.builders.html._assets import _CascadingStyleSheet, _JavaScript
from sphinx.util.images import get_image_size

THEME = "sphinx_book_theme"
STYLE, SCRIPT = "site.css", "site.js"
THEME_STYLES = ("styles/theme.css", "styles/pydata-sphinx-theme.css")  # a page has these first
THEME_SCRIPTS = ("scripts/bootstrap.js", "scripts/pydata-sphinx-theme.js")  # and these last
LEFT_OUT = "design-tabs.js"  # which ties tabs together: the book has none
FONTS = ("fonts/serif", "fonts/sans", "fonts/icons")  # which are on every page
ICON = re.compile(r'((?:\.fa-[\w-]+,?)+)\{--fa:"(?:\\([0-9a-f]+) ?|(.))"\}')
OTHER_FONTS = re.compile(r"@font-face\{[^}]*vendor/fontawesome[^}]*\}")
FILE = re.compile(r"url\(\s*[\"']?(?!data:|#|[a-z]+:)([^\"')]+)[\"']?\s*\)")
IMPORT = re.compile(r"@import\s*[\"']([^\"']+)[\"'];")
LONG = re.compile(r"(\.\d\d)\d+")
DRAWN = re.compile(r' d="[^"]*"| points="[^"]*"| [xy][12]?="[^"]*"')
GREY = re.compile(r"\b(fill|stroke): ?#(..)\2\2(?!\w)")
GROUND, WORDS = (0x14, 0x17, 0x1A), (0xD6, 0xDA, 0xDE)  # of the dark theme (book.css)


def join_assets(app: Sphinx) -> None:
    """Have what every page loads joined as soon as its parts are in their place."""
    builder = app.builder
    if app.config.html_theme == THEME and app.builder.format == "html":
        copy_assets = builder.copy_assets

        def copy_and_join() -> None:
            copy_assets()
            for write_late in (add_global_html_resources, overwrite_pygments_css):  # at the end
                write_late(app, None)
            static = Path(app.outdir, "_static")
            styles = [*THEME_STYLES, *_shared(builder._css_files)]
            used = icons((static / "book.css").read_text(encoding="utf-8"))
            text = "\n".join(style(static, name, used) for name in dict.fromkeys(styles))
            (static / STYLE).write_text(text, encoding="utf-8")
            scripts = [*_shared(builder._js_files), *THEME_SCRIPTS]
            texts = ((static / name).read_text(encoding="utf-8") for name in scripts if name != LEFT_OUT)
            (static / SCRIPT).write_text("\n;".join(_bare(text) for text in texts), encoding="utf-8")

        builder.copy_assets = copy_and_join


def _shared(files: list) -> list[str]:
    """Names below ``_static`` of what is added to all pages, in the order in which a page has it."""
    local = (one for one in sorted(files, key=lambda one: one.priority) if one.filename)
    return [str(one.filename).removeprefix("_static/") for one in local if "://" not in str(one.filename)]


def _bare(script: str) -> str:
    return re.sub(r"^//# sourceMappingURL=.*$", "", script, flags=re.M).strip()


def style(static: Path, name: str, icons: frozenset[str] = frozenset()) -> str:
    """A style sheet, with those that it imports, as it is read from ``_static``; of icons the named ones."""
    folder, text = posixpath.dirname(name), (static / name).read_text(encoding="utf-8")
    text = re.sub(r"/\*(?!!).*?\*/", "", text, flags=re.S)
    parts = [style(static, posixpath.normpath(f"{folder}/{one}")) for one in IMPORT.findall(text)]
    text = OTHER_FONTS.sub("", ICON.sub(lambda i: i[0] if _number(i) in icons else "", IMPORT.sub("", text)))
    found = FILE.sub(lambda file: f'url("{posixpath.normpath(posixpath.join(folder, file[1]))}")', text)
    return "\n".join([*parts, found.strip()])


def _number(icon: re.Match) -> str:
    return f"{int(icon[2], 16) if icon[2] else ord(icon[3]):X}"


def icons(text: str) -> frozenset[str]:
    """The characters of the icons that a style sheet brings a font for."""
    faces = (face for face in re.findall(r"@font-face \{[^}]*\}", text) if "Font Awesome" in face)
    return frozenset(number for face in faces for number in re.findall(r"U\+([0-9A-F]+)", face))


def load_joined(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """A page loads what is joined, and what is its own."""
    if app.config.html_theme != THEME:
        return
    builder = app.builder
    own = [f for f in context["css_files"] if f not in builder._orig_css_files]
    context["css_files"] = [_CascadingStyleSheet(f"_static/{STYLE}", priority=0), *own]
    own = [f for f in context["script_files"] if f not in builder._orig_js_files and f.filename]
    joined = _JavaScript(f"_static/{SCRIPT}", priority=0, defer="defer")
    context["script_files"] = [joined, *own]
    preload(context, *FONTS)


def preload(context: dict, *fonts: str) -> None:
    """Have a page load fonts before they are met."""
    for name in fonts:
        address = context["pathto"](f"_static/{name}.woff2", 1)
        link = f'<link rel="preload" as="font" type="font/woff2" crossorigin href="{address}">'
        context["metatags"] = context.get("metatags", "") + link


def slim(text: str) -> str:
    """A drawing without digits that nobody sees: hundredths of a point are left."""
    return DRAWN.sub(lambda part: LONG.sub(r"\1", part[0]), text)


def dark(text: str) -> str:
    """A drawing for the dark: its greys run from the page's ground, where they are white, to its words.

    What has a colour stays, and so do the pictures in it, which are only dimmed.
    """

    def turned(grey: re.Match) -> str:
        share = int(grey[2], 16) / 255
        mixed = (
            round(share * ground + (1 - share) * word) for ground, word in zip(GROUND, WORDS, strict=True)
        )
        return f"{grey[1]}: #{bytes(mixed).hex()}"

    words = f"<style>text {{ fill: #{bytes(WORDS).hex()} }} image {{ filter: brightness(0.86) }}</style>"
    return GREY.sub(turned, text).replace("<defs>", f"<defs>{words}", 1)


def slim_pictures(app: Sphinx, exception: Exception | None) -> None:
    """Slim the drawings of the site."""
    if exception is None and app.builder.format == "html":
        for file in Path(app.outdir, "_images").glob("*.svg"):
            file.write_text(slim(file.read_text(encoding="utf-8")), encoding="utf-8")


def size(file: Path) -> tuple[int, int] | None:
    """Width and height of a picture in pixels; of a drawing as its ``viewBox`` says, from its first bytes."""
    if file.suffix != ".svg":
        return get_image_size(file)
    head = file.read_bytes()[:2000] if file.exists() else b""
    box = re.search(rb'<svg[^>]*\sviewBox="[\d.-]+ [\d.-]+ ([\d.]+) ([\d.]+)"', head)
    return (round(float(box[1]) * 4 / 3), round(float(box[2]) * 4 / 3)) if box else None
