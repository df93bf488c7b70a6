"""The look of the book: curves that show what they say, films that play and do not force themselves."""

import re

import imageio_ffmpeg
import matplotlib as mpl
import numpy as np
import pytest

mpl.use("agg")
import matplotlib.pyplot as plt

from rlworkshop import plots, stats


@pytest.fixture
def ax():
    with mpl.rc_context():
        plots.use_style()
        figure, ax = plt.subplots()
        yield ax
        plt.close(figure)


def test_style_is_legible_on_a_phone_and_keeps_its_colours(ax):
    assert ax.figure.get_size_inches()[0] == plots.WIDTH
    sizes = [mpl.rcParams[k] for k in ("font.size", "xtick.labelsize", "axes.labelsize", "legend.fontsize")]
    assert min(sizes) >= 10
    colours = [ax.plot([0, 1])[0].get_color() for _ in range(3)]
    assert colours == list(plots.PALETTE[:3])


def test_palette_stays_distinct_without_red_or_green():
    # Viénot, Brettel & Mollon (1999): what a deuteranope and a protanope see, in linear RGB
    linear = np.array([mpl.colors.to_rgb(c) for c in plots.PALETTE]) ** 2.2
    deutan = [[0.29275, 0.70725, -0.02234], [0.29275, 0.70725, -0.02234], [0, 0, 1.0]]
    protan = [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1.0]]
    for matrix in (deutan, protan):
        seen = np.clip(linear @ np.array(matrix).T, 0, 1) ** (1 / 2.2)
        gaps = np.linalg.norm(seen[:, None] - seen[None], axis=2) + 9 * np.eye(len(seen))
        assert gaps.min() > 0.1


def arrows(ax):
    """(from, to) of all arrows that were drawn."""
    return [(text.xyann, text.xy) for text in ax.texts if isinstance(text, mpl.text.Annotation)]


def test_grid_writes_numbers_in_cells_and_leaves_walls_empty(ax):
    values = np.array([[1.25, np.nan, -3.0], [0.0, 2.0, 4.0]])
    plots.grid(ax, values, ".1f", letters=(".#G", "S.."))
    written = {text.get_text(): text.get_position() for text in ax.texts}
    assert written.keys() == {"1.2", "-3.0", "0.0", "2.0", "4.0", "G", "S"}
    assert written["-3.0"] == (2, 0) and written["4.0"] == (2, 1)
    assert np.hypot(*np.subtract(written["G"], (2, 0))) < 0.7 and written["S"][1] > 0.5
    (image,) = ax.images
    shade = image.cmap(image.norm(image.get_array()))[..., :3].sum(axis=2)  # (2, 3), high is light
    order = np.argsort([shade[0, 2], shade[1, 0], shade[0, 0], shade[1, 1], shade[1, 2]])
    assert order.tolist() == [4, 3, 2, 1, 0] and shade[0, 1] < shade[1, 2]
    plots.grid(ax, values, "", low=0, high=100)
    assert ax.images[-1].get_clim() == (0, 100) and len(ax.texts) == 7


def test_grid_points_where_the_policy_goes(ax):
    moves = np.zeros((2, 2, 4))
    moves[0, 0, 1] = moves[1, 1, 0] = 1.0  # right, up
    moves[1, 0] = [0, 0, 0.25, 0.75]  # down, left
    moves[0, 1] = np.nan
    plots.grid(ax, np.zeros((2, 2)), "", moves)
    steps = {(round(x), round(y)): [] for (x, y), _ in arrows(ax)}
    for (x, y), tip in arrows(ax):
        steps[round(x), round(y)].append(np.subtract(tip, (x, y)))
    assert steps.keys() == {(0, 0), (1, 1), (0, 1)}  # columns first
    (right,), (up,), (down, left) = steps[0, 0], steps[1, 1], steps[0, 1]
    assert right[0] > 0.2 and right[1] == 0 and up[1] < -0.2 and up[0] == 0
    assert down[1] > 0 and left[0] < 0 and -left[0] > down[1], "the likelier, the longer"


@pytest.mark.parametrize("wrong", [dict(moves=np.zeros((2, 3, 3))), dict(letters=("..", "..."))])
def test_grid_refuses_what_does_not_fit(ax, wrong):
    with pytest.raises(ValueError, match=r"needs moves \(2, 3, 4\), letters 2 texts of 3"):
        plots.grid(ax, np.zeros((2, 3)), **wrong)


def test_curve_draws_the_mean_and_its_interval(ax):
    ys = np.random.default_rng(0).normal(size=(6, 11)) + np.arange(11)
    line = plots.curve(ax, np.arange(11), ys, "ours")
    assert np.allclose(line.get_ydata(), ys.mean(0)) and line.get_label() == "ours"
    (band,) = ax.collections
    low, high = stats.mean_band(ys)
    vertices = band.get_paths()[0].vertices
    for bound in (low, high):
        for point in np.column_stack([np.arange(11), bound]):
            assert np.isclose(vertices, point).all(axis=1).any()
    assert np.allclose(band.get_facecolor()[0, :3], mpl.colors.to_rgb(line.get_color()))


def test_curve_with_iqm_and_with_gaps(ax):
    ys = np.arange(24.0).reshape(8, 3)
    ys[0, 0] = np.nan
    line = plots.curve(ax, [1, 2, 3], ys, statistic=stats.iqm)
    assert line.get_xdata().tolist() == [2, 3]
    assert line.get_ydata().tolist() == [stats.iqm(ys[:, 1]), stats.iqm(ys[:, 2])]


def test_one_seed_has_no_interval(ax):
    plots.curve(ax, [0, 1], [3.0, 4.0])
    assert not ax.collections


def test_curve_refuses_what_does_not_fit(ax):
    with pytest.raises(ValueError, match=r"\(S, T\)"):
        plots.curve(ax, [0, 1, 2], np.zeros((2, 2)))
    with pytest.raises(ValueError, match="no point"):
        plots.curve(ax, [0], [[np.nan], [1.0]])


def frames(n=30, noise=0.0, seed=0):
    """A bright square that walks to the right."""
    film = np.random.default_rng(seed).integers(0, 1 + int(255 * noise), (n, 100, 150, 3)).astype(np.uint8)
    for t in range(n):
        film[t, 40:60, 3 * t : 3 * t + 20] = 255
    return film


def decoded(film, tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(film)
    reader = imageio_ffmpeg.read_frames(str(path))
    meta = next(reader)
    return meta, [np.frombuffer(f, np.uint8).reshape(meta["size"][1], meta["size"][0], 3) for f in reader]


def test_a_film_shows_its_frames(tmp_path):
    (film,) = plots.animate(frames(), fps=15, alt="a square walks", width=120).films
    meta, shown = decoded(film, tmp_path)
    assert meta["codec"] == "h264" and meta["size"] == (120, 80) and meta["fps"] == 15 and len(shown) == 30
    # yuv420p is what every browser plays
    assert meta["pix_fmt"].startswith("yuv420p")
    for t in (0, 15, 29):
        centre = np.argmax(shown[t][40].mean(1) > 128) / 120 * 150
        assert centre == pytest.approx(3 * t, abs=4)


def test_the_same_frames_give_the_same_bytes():
    a, b, c = (plots.animate(frames(seed=s, noise=0.1), alt="x").films for s in (0, 0, 1))
    assert a == b != c


def test_a_film_keeps_its_size_limit_by_losing_quality():
    noisy, limit = frames(8, noise=1.0), 12_000
    full, small = (plots.animate(noisy, alt="x", width=150, max_bytes=m).films[0] for m in (10**8, limit))
    assert len(small) <= limit < len(full)
    with pytest.raises(ValueError, match="fewer frames"):
        plots.animate(noisy, alt="x", width=150, max_bytes=500)


def test_films_side_by_side_say_what_they_are():
    clip = plots.animate([frames(5), frames(6)], alt='A <pole> & "cart"', captions=["before", "after"])
    page = clip._repr_html_()
    assert page.count("<video ") == page.count("data:video/mp4;base64,") == 2
    assert page.count("<figcaption>before</figcaption>") == page.count("<figcaption>after</figcaption>") == 1
    assert 'aria-label="A &lt;pole&gt; &amp; &quot;cart&quot; (before)"' in page and "<pole>" not in page


def test_nothing_moves_for_who_asked_for_calm():
    page = plots.animate(frames(5), alt="x")._repr_html_()
    (tag,) = re.findall("<video [^>]*?src=", page)
    assert all(f" {word} " in tag for word in ("controls", "muted", "loop", "playsinline"))
    assert "autoplay" not in page
    assert re.search(
        r"if \(!matchMedia\(\"\(prefers-reduced-motion: reduce\)\"\)\.matches\) video\.play\(\)", page
    )


@pytest.mark.parametrize(
    ("film", "options", "words"),
    [
        (frames(3), {"alt": " "}, "alt="),
        (frames(3), {"alt": "x", "captions": ["a", "b"]}, "1 films need 1 captions"),
        (frames(3).astype(float), {"alt": "x"}, "uint8"),
        (frames(3)[0], {"alt": "x"}, "T, H, W, 3"),
        (frames(3)[:0], {"alt": "x"}, "T, H, W, 3"),
    ],
)
def test_films_that_cannot_be_are_refused(film, options, words):
    with pytest.raises(ValueError, match=words):
        plots.animate(film, **options)
