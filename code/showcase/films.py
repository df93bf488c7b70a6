"""Films of pages, taken out of them: they load when they are reached, and have a picture until then.

A cell's film is an ``agent-clip`` of ``rlworkshop.plots``, all its bytes in the page. Each becomes a file of
the site with a poster, its middle frame, which is also what is printed. A film on white is marked: such
films are turned over in the dark.
"""

import base64
import hashlib
import os
import re
import shutil
import time
from pathlib import Path

import imageio.v3 as iio
import imageio_ffmpeg
import numpy as np
from docutils import nodes
from sphinx.application import Sphinx

FOLDER = "_films"  # of the site, and of what the next build may reuse
CLIP = '<div class="agent-clip"'
VIDEO = re.compile(r'<video [^>]*?aria-label="([^"]*)" src="data:video/mp4;base64,([^"]+)"></video>')
SCRIPT = re.compile(r"<script>.*?</script>", re.S)
MONTH = 30 * 86_400  # seconds
WHITE, MOSTLY = 225, 0.5  # the darkest channel of a pixel that is white; which part of a frame


def kept(data: bytes, folder: Path) -> tuple[str, int, int, bool]:
    """Keep a film and its poster in ``folder``: their name, width and height, and whether it is on white."""
    name, folder = hashlib.sha256(data).hexdigest()[:16], folder / FOLDER
    film, poster = folder / f"{name}.mp4", folder / f"{name}.webp"
    if not poster.exists():
        folder.mkdir(parents=True, exist_ok=True)
        film.write_bytes(data)
        frames = imageio_ffmpeg.read_frames(film)
        width, height = next(frames)["size"]
        shown = [*frames]
        frame = np.frombuffer(shown[len(shown) // 2], np.uint8).reshape(height, width, 3)
        written = iio.imwrite("<bytes>", frame, extension=".webp", quality=80)
        poster.write_bytes(written)  # last: where it is, the film is
    frame = iio.imread(poster)
    height, width = frame.shape[:2]
    return name, width, height, bool((frame.min(axis=2) >= WHITE).mean() > MOSTLY)


def take_out(app: Sphinx, doctree: nodes.document) -> None:
    """Put a link to a file in the place of each film's bytes."""
    book, page = app.config.book, app.env.docname
    up = "../" * page.count("/")

    def replace(found: re.Match) -> str:
        label, data = found.groups()
        name, width, height, on_white = kept(base64.b64decode(data), book.project.state)
        app.env.get_domain("book").note("film", page, name)
        address = f"{up}{FOLDER}/{name}"
        size = f'width="{width}" height="{height}"'
        return (
            f'<div class="film{" on-white" * on_white}">'
            f'<video controls muted playsinline preload="none" {size} poster="{address}.webp" '
            f'aria-label="{label}" src="{address}.mp4"></video>'
            f'<img class="still" src="{address}.webp" {size} alt="{label}"></div>'
        )

    for raw in list(doctree.findall(nodes.raw)):
        if CLIP in (text := raw.astext()):
            raw.parent.replace(raw, nodes.raw("", VIDEO.sub(replace, SCRIPT.sub("", text)), format="html"))


def finish(app: Sphinx, exception: Exception | None) -> None:
    """Put the films into the site."""
    if exception or app.builder.format != "html":
        return
    names = {name for _, name in app.env.get_domain("book").noted("film")}
    for file in sorted((app.config.book.project.state / FOLDER).glob("*.*")):
        if file.stem in names:
            (app.outdir / FOLDER).mkdir(exist_ok=True)
            shutil.copyfile(file, app.outdir / FOLDER / file.name)
            os.utime(file)
        elif time.time() - file.stat().st_mtime > MONTH:  # until then another build may know it
            file.unlink()


def setup(app: Sphinx) -> None:
    """Register all of it."""
    app.connect("doctree-read", take_out)
    app.connect("build-finished", finish)
