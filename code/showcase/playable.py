"""Figures of ``rlworkshop.playable`` on a page: one picture is shown, the others wait until they are chosen.

They wait in a ``template``, of which a browser loads nothing. ``playable.js`` makes the controls.
"""

import html
import json

from docutils import nodes
from sphinx.application import Sphinx

from rlworkshop.playable import RECORD


def arrange(app: Sphinx, doctree: nodes.document) -> None:
    """Keep what each playable figure starts with in its place, and put the other pictures aside."""
    for cell in list(doctree.findall(nodes.container)):
        if records := cell.get("cell_metadata", {}).get(RECORD):
            output = cell.children[-1]
            pictures = [part for part in output.children if any(part.findall(nodes.image))]
            output.children = [part for part in output.children if part not in pictures]
            output += figure(pictures, records)


def figure(pictures: list[nodes.Element], records: list[dict]) -> nodes.container:
    """What is shown at once, with the sentence about it, then what is not."""
    start = next(n for n, record in enumerate(records) if record["start"])
    about = {key: records[0].get(key) for key in ("controls", "sketch")}
    about |= {"start": start, "says": [record["says"] for record in records]}
    told = html.escape(json.dumps(about, ensure_ascii=False))
    says = nodes.paragraph("", records[start]["says"], classes=["playable-says"])
    others = [picture for picture in pictures if picture is not pictures[start]]
    opened = nodes.raw("", f'<template data-playable="{told}">', format="html")
    closed = nodes.raw("", "</template>", format="html")
    aside = nodes.container("", opened, *others, closed, classes=["on-site"])
    return nodes.container("", pictures[start], says, aside, classes=["playable"])


def setup(app: Sphinx) -> None:
    """Register it."""
    app.connect("doctree-read", arrange)
