"""HTML that every e-reader can read: XML, without scripts, and with nothing folded."""

import html
import re
from html.parser import HTMLParser

VOID = {"area", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
LEFT_OUT = {
    "script",
    "style",
    "button",
    "video",
    "audio",
    "iframe",
    "object",
    "template",
    "noscript",
    "input",
}
INSTEAD = {"details": ("div", "folded"), "summary": ("p", "folded-title")}
DROPPED = re.compile(r"on\w+|loading|hidden|tabindex|download|contenteditable|align|valign|border")
NAMES = {"viewbox": "viewBox", "markerwidth": "markerWidth", "markerheight": "markerHeight", "refx": "refX"}
NAMES |= {"refy": "refY", "markerunits": "markerUnits", "preserveaspectratio": "preserveAspectRatio"}
NAMES |= {
    "lineargradient": "linearGradient",
    "clippath": "clipPath",
    "textpath": "textPath",
}  # HTML lowers them


class Writer(HTMLParser):
    """Writes what it is fed as XHTML, in ``text``."""

    def __init__(self, page: str):
        super().__init__()
        self.text, self._open, self._without = [], [], 0
        self.feed(page)
        self.close()
        self.text += (f"</{name}>" for name in reversed(self._open))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Open an element, under the name that stands for it."""
        if tag in LEFT_OUT or self._without:
            self._without += tag not in VOID
            return
        name, added = INSTEAD.get(tag, (NAMES.get(tag, tag), ""))
        kept = {NAMES.get(key, key): value or "" for key, value in attributes if not DROPPED.fullmatch(key)}
        if added:
            kept["class"] = f"{added} {kept.get('class', '')}".strip()
            kept.pop("open", None)
        written = "".join(f' {key}="{html.escape(value)}"' for key, value in kept.items())
        self.text.append(f"<{name}{written}{' /' * (tag in VOID)}>")
        if tag not in VOID:
            self._open.append(name)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """An element of XML that is empty."""
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close an element, and what was left open in it."""
        if self._without:
            self._without -= tag not in VOID
            return
        name = INSTEAD.get(tag, (NAMES.get(tag, tag), ""))[0]
        while name in self._open:
            self.text.append(f"</{(last := self._open.pop())}>")
            if last == name:
                break

    def handle_data(self, data: str) -> None:
        """Text."""
        if not self._without:
            self.text.append(html.escape(data, quote=False))


def xhtml(page: str) -> str:
    """A part of an HTML page as XHTML: what runs or plays is left out, what was folded stands open."""
    return "".join(Writer(page).text)
