"""Formulas that every e-reader shows: as text where text can show them, else as drawings.

Not every e-reader sets MathML, which the site has for screen readers: those of Apple and those built on
Readium or calibre do, Kindle and Adobe's do not, and without a font for mathematics no brace grows. Most
formulas in a line are a few letters with an index: these are text, letters in italics with ``<sub>``, in the
reader's own type. What has fractions, sums or braces is drawn by ``ziamath`` from the same MathML: within the
page, sized in the reader's ``em``, in the colour of the text, with its TeX for those who cannot see it.
"""

import contextlib
import functools
import html
import logging
import re
import unicodedata
from collections.abc import Iterator
from xml.etree import ElementTree

MATH = re.compile(r"<math.*?</math>", re.S)
SPACES = "\u00a0"  # a line does not end here
APPLY = "\u2061"  # between a function and what it is applied to: not to be seen
WIDE = set("=≠≈≡≤≥<>≪≫∈∉⊂⊆→←⇒↦↔∼∝≻≺≔+−-×·∗±⋅∥∣∧∨∪∩")  # which have space around them
BARS = set("|∣∥")
OPENING = set("([{⟨⌊⌈|∣∥")
SLANTED = dict(zip("ϕϵϑϱϖ", "𝜙𝜖𝜗𝜚𝜛", strict=True))  # which ziamath leaves upright
SIZE, DIGITS = 32, re.compile(r"\d+\.\d+")  # pixels of an em in a drawing, and what is rounded in it


class Drawn(Exception):
    """Text cannot show this."""


def shown(made: str, tex: str, display: bool) -> str:
    """The XHTML of a formula, from what KaTeX has ``made`` of it."""
    found = re.sub(rf' xmlns="[^"]*"|<mo>{APPLY}</mo>(?=</)', "", MATH.search(made)[0])
    math = wrapped(ElementTree.fromstring(found).find("semantics")[0])
    if not display:
        try:
            return f'<span class="math">{text(math)}</span>'
        except Drawn:
            pass
    for sign in math.iter("mo"):
        if sign.text in BARS and sign.get("stretchy"):  # a bracket, and no sign between two things
            sign.attrib |= {"lspace": "0em", "rspace": "0em"}
    for letter in math.iter("mi"):
        if letter.get("mathvariant") == "double-struck":
            letter.text = double_struck(letter.text)
            del letter.attrib["mathvariant"]
        elif not letter.get("mathvariant"):
            letter.text = SLANTED.get(letter.text, letter.text)
    return drawing(ElementTree.tostring(math, encoding="unicode"), tex, display)


def double_struck(text: str) -> str:
    """Blackboard letters, of which Unicode has some in one place and some in another."""
    kind = "DIGIT" if text.isdigit() else "CAPITAL" if text.isupper() else "SMALL"
    name = unicodedata.name(text).split()[-1] if len(text) == 1 else ""
    for block in ("MATHEMATICAL DOUBLE-STRUCK", "DOUBLE-STRUCK"):
        with contextlib.suppress(KeyError):
            return unicodedata.lookup(f"{block} {kind} {name}")
    return text


def text(math: ElementTree.Element) -> str:
    """A formula in letters, with sub- and superscripts.

    Raises:
        Drawn: it has more than that.
    """
    made, before = "", ""  # before: the sign that came last, empty where a sign is that of a number
    for node in flat(math):
        said = node.text or ""
        bracket = said in BARS and node.get("stretchy")
        if node.tag == "mo" and said in WIDE and not bracket and (before not in ("", *WIDE, *OPENING, ",")):
            made += f"{SPACES}{html.escape(said)} "
        elif node.tag == "mo" and said in (",", ";", ":"):
            made += f"{said} "
        else:
            made += part(node)
        before = said if node.tag == "mo" else "x"
    return made.replace(",  ", ", ").strip(" ")


def flat(math: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """The parts of a formula, groups opened."""
    for node in math:
        if node.tag in ("mrow", "mstyle", "mpadded"):
            yield from flat(node)
        else:
            yield node


def part(node: ElementTree.Element) -> str:
    """One part in letters."""
    said, variant = node.text or "", node.get("mathvariant")
    match node.tag:
        case "mi" if variant in (None, "normal"):
            shown = html.escape(said)
            return f"<i>{shown}</i>" if len(said) == 1 and not variant and said.isalpha() else shown
        case "mn" | "mtext" if variant is None:
            return html.escape(said)
        case "mo":
            return html.escape(said.replace(APPLY, "\u2009"))
        case "mspace":
            return SPACES if float((node.get("width") or "0").removesuffix("em")) > 0.2 else ""
        case "msub" | "msup":
            base, script = node
            if set(said for one in script.iter() if (said := one.text)) <= {"′"}:
                return part(base) + "".join(script.itertext())
            if {"msub", "msup", "msubsup"} & {one.tag for one in script.iter()}:
                raise Drawn
            tight = text(script if len(script) else wrapped(script)).replace(" ", "").replace(SPACES, "")
            return f"{part(base)}<{node.tag[1:]}>{tight}</{node.tag[1:]}>"
    raise Drawn


def wrapped(node: ElementTree.Element) -> ElementTree.Element:
    """A row with one part."""
    row = ElementTree.Element("mrow")
    row.append(node)
    return row


@functools.lru_cache(maxsize=4096)
def drawing(math: str, tex: str, display: bool) -> str:
    """A formula as SVG, in the colour of its text; ``math``: MathML."""
    import ziamath

    ziamath.config.svg2 = False  # an outline for each letter: not every reader follows references
    logging.getLogger().addFilter(quiet := lambda record: not record.getMessage().startswith("Undefined"))
    try:
        kind = ' display="block"' if display else ""
        made = ziamath.Math(f"<math{kind}>{math}</math>", size=SIZE)
        svg = made.svg()
    finally:
        logging.getLogger().removeFilter(quiet)
    width, height = (float(size) / SIZE for size in re.search(r'width="(.*?)" height="(.*?)"', svg).groups())
    box = re.search(r'viewBox="(.*?)"', svg)[1]
    inner = re.sub(r' fill="black"', "", svg[svg.index(">") + 1 :])
    inner = DIGITS.sub(lambda number: f"{float(number[0]):.1f}".removesuffix(".0"), inner)
    _, top, _, tall = map(float, box.split())  # from the line of the text
    place = "" if display else f"; vertical-align: {-(top + tall) / SIZE:.2f}em"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="formula" viewBox="{box}" fill="currentColor" '
        f'width="{width:.2f}em" height="{height:.2f}em" style="max-width: 100%{place}" '
        f'role="img" aria-label="{html.escape(" ".join(tex.split()))}">{inner}'
    )
