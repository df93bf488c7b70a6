"""The look of the book: figures, learning curves with intervals, and the agent at work.

Book: start/how_to_use
"""

import base64
import html
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from rlworkshop import stats

# Okabe & Ito, *Color universal design*, 2008: told apart with any kind of colour vision (yellow left out)
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
WIDTH = 5.4  # inches: small, so that the labels can be read on a phone

STYLE = {
    "figure.figsize": (WIDTH, 3.3),
    "figure.constrained_layout.use": True,
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.labelsize": 11,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "axes.axisbelow": True,
    "lines.linewidth": 2.0,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "rlworkshop",  # the same figure gives the same file
    "svg.fonttype": "none",
}


def use_style() -> None:
    """Make the house style the default of this process; in a notebook, figures become SVG.

    Book: start/how_to_use
    """
    mpl.rcParams.update(STYLE)
    mpl.rcParams["axes.prop_cycle"] = mpl.cycler(color=PALETTE)
    try:
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        return
    if get_ipython() is not None:
        set_matplotlib_formats("svg", metadata={"Date": None}, bbox_inches=None)


def curve(
    ax: Axes,
    x: np.ndarray,
    ys: np.ndarray,
    label: str | None = None,
    statistic: Callable = np.mean,
    confidence: float = 0.95,
    **line: Any,
) -> Line2D:
    """Draw the mean over seeds of ``ys`` (S, T) at ``x`` (T,), with its t interval, and return the line.

    ``statistic`` may be ``stats.iqm``, whose interval is a bootstrap's; ``line`` goes to ``ax.plot``. Points
    where a seed has no value yet (NaN) are left out.

    Raises:
        ValueError: the shapes do not fit.

    Book: start/how_to_use
    """
    x, ys = np.asarray(x), np.atleast_2d(np.asarray(ys, dtype=float))
    if ys.ndim != 2 or x.shape != (ys.shape[1],):
        raise ValueError(f"curve wants x (T,) and ys (S, T), not {x.shape} and {ys.shape}")
    there = np.isfinite(ys).all(axis=0)
    if not there.any():
        raise ValueError("no point of this curve has a value for every seed")
    x, ys = x[there], ys[:, there]
    (drawn,) = ax.plot(x, statistic(ys, axis=0), label=label, **line)
    if len(ys) > 1:
        mean = statistic is np.mean
        low, high = (
            stats.mean_band(ys, confidence) if mean else stats.bootstrap_band(ys, statistic, confidence)
        )
        ax.fill_between(x, low, high, color=drawn.get_color(), alpha=0.2, linewidth=0)
    return drawn


def grid(
    ax: Axes,
    values: np.ndarray,
    numbers: str = ".1f",
    moves: np.ndarray | None = None,
    letters: Sequence[str] = (),
    low: float | None = None,
    high: float | None = None,
) -> None:
    """Draw numbers (H, W) that belong to the cells of a map, with the moves that a policy makes there.

    Args:
        values: the darker the blue, the higher; NaN is wall.
        numbers: the format in which they are written; "" writes none.
        moves: (H, W, 4), how likely the moves up, right, down and left are; NaN or 0 draws no arrow.
        letters: a row of text for each row of the map; its capitals stand in the corner of their cells.
        low, high: values that are white and darkest; as found in ``values`` when left out.

    Raises:
        ValueError: the shapes do not fit.

    Book: foundations/key_concepts
    """
    H, W = values.shape
    if (moves is not None and moves.shape != (H, W, 4)) or (letters and [len(r) for r in letters] != [W] * H):
        raise ValueError(
            f"a grid of shape {values.shape} needs moves ({H}, {W}, 4), letters {H} texts of {W}"
        )
    blues = mpl.colors.LinearSegmentedColormap.from_list("blues", ["#ffffff", "#7db8e0"])
    blues = blues.with_extremes(bad="#666666")
    ax.imshow(values, cmap=blues, vmin=low, vmax=high)
    for row, column in np.ndindex(H, W):
        if letters and letters[row][column].isalpha():
            at = (column - 0.44, row - 0.42)
            ax.text(*at, letters[row][column], fontsize=8, color="#444444", ha="left", va="top")
        if np.isnan(values[row, column]):
            continue
        if numbers:
            low_in_cell = 0.0 if moves is None else 0.3
            text = format(values[row, column], numbers)
            ax.text(column, row + low_in_cell, text, fontsize=9, ha="center", va="center")
        for k, likely in enumerate([] if moves is None else np.nan_to_num(moves[row, column])):
            if likely > 0:
                dx, dy = ((0, -1), (1, 0), (0, 1), (-1, 0))[k]
                middle, reach = row - (0.12 if numbers else 0.0), 0.12 + 0.2 * likely
                start, tip = (column, middle), (column + reach * dx, middle + reach * dy)
                ax.annotate("", tip, start, arrowprops=dict(arrowstyle="->", shrinkA=0, shrinkB=0))
    ax.set(xticks=np.arange(W + 1) - 0.5, yticks=np.arange(H + 1) - 0.5, xticklabels=[], yticklabels=[])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(True)
    ax.set_axisbelow(False)


@dataclass(frozen=True)
class Clip:
    """Films to be shown side by side (on a phone one below the other), each an MP4 with its caption.

    Book: start/first_agent
    """

    films: tuple[bytes, ...]
    alt: str
    captions: tuple[str, ...]
    width: int

    def _repr_html_(self) -> str:
        figures = []
        for i, film in enumerate(self.films):
            caption = self.captions[i] if self.captions else ""
            label = html.escape(f"{self.alt} ({caption})" if caption else self.alt)
            data = base64.b64encode(film).decode()
            figures.append(
                f'<figure style="margin:0;flex:1 1 240px;max-width:{self.width}px">'
                f'<video controls muted loop playsinline preload="auto" style="width:100%;height:auto" '
                f'aria-label="{label}" src="data:video/mp4;base64,{data}"></video>'
                + (f"<figcaption>{html.escape(caption)}</figcaption>" if caption else "")
                + "</figure>"
            )
        row = '<div class="agent-clip" style="display:flex;flex-wrap:wrap;gap:1em">'
        return f"{row}{''.join(figures)}{_START}</div>"

    def __repr__(self) -> str:
        return f"<film: {self.alt}>"


# Nothing moves for readers who asked for calm; the others still have the controls.
_START = """<script>
for (const video of document.currentScript.parentElement.querySelectorAll("video"))
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) video.play().catch(() => {});
</script>"""


def animate(
    frames: np.ndarray | Sequence[np.ndarray],
    fps: float = 30,
    alt: str = "",
    width: int = 320,
    captions: Sequence[str] = (),
    max_bytes: int = 150_000,
) -> Clip:
    """Frames (T, H, W, 3) uint8 as a film that plays in a page; a list of such arrays: side by side.

    Args:
        fps: frames a second. alt: what is to be seen, for those who cannot see it.
        width: of one film in pixels. captions: one for each film, or none.
        max_bytes: quality is lowered until every film is at most this large.

    Raises:
        ValueError: no alt text, wrong frames, not a caption for each film, or a film that stays too large.

    Book: start/first_agent
    """
    films = [frames] if isinstance(frames, np.ndarray) else list(frames)
    if not alt.strip():
        raise ValueError("animate needs alt=: a sentence that says what is to be seen")
    if captions and len(captions) != len(films):
        raise ValueError(f"{len(films)} films need {len(films)} captions, not {len(captions)}")
    return Clip(tuple(_mp4(f, fps, width, max_bytes) for f in films), alt, tuple(captions), width)


def _mp4(frames: np.ndarray, fps: float, width: int, max_bytes: int) -> bytes:
    import imageio_ffmpeg

    frames = np.ascontiguousarray(frames)
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or len(frames) == 0:
        raise ValueError(f"frames must be (T, H, W, 3) of type uint8, not {frames.shape} {frames.dtype}")
    exact = ["-fflags", "+bitexact", "-flags:v", "+bitexact", "-map_metadata", "-1", "-threads", "1"]
    film = b""
    for crf in (24, 30, 36, 42, 48):  # the quality of H.264: larger is coarser
        handle, path = tempfile.mkstemp(suffix=".mp4")
        os.close(handle)
        try:
            options = ["-crf", str(crf), "-preset", "slow", "-vf", f"scale={width // 2 * 2}:-2:flags=area"]
            writer = imageio_ffmpeg.write_frames(
                path,
                size=(frames.shape[2], frames.shape[1]),
                fps=fps,
                codec="libx264",
                macro_block_size=1,
                quality=None,
                output_params=[*options, *exact, "-movflags", "+faststart"],
            )
            writer.send(None)
            for frame in frames:
                writer.send(frame)
            writer.close()
            with open(path, "rb") as file:
                film = file.read()
        finally:
            os.remove(path)
        if len(film) <= max_bytes:
            return film
    raise ValueError(f"the film is {len(film)} bytes at its coarsest, over {max_bytes}: film fewer frames")
