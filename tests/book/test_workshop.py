"""The workshop's pages: commands that exist, answers that are right, and what is printed fits its sheet."""

import os
import re
import shutil
from pathlib import Path

import pytest

from bookbuild.engine.project import Project
from rlworkshop import __main__ as console
from rlworkshop.check import __main__ as checker
from slides.__main__ import build

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "book" / "workshop").glob("*.md"))
TALKS = sorted((ROOT / "book" / "workshop" / "_slides").glob("*.md"))
SIBLINGS = {"projects": "practice/projects"}  # commands that come with a page which may not be there yet


def commands(text: str) -> list[str]:
    """Commands in blocks and in the line, without prompts and comments."""
    blocks = re.findall(r"^ *```(?:bash|console|text)\n(.*?)^ *```", text, re.M | re.S)
    lines = [line for block in blocks for line in block.split("\n")]
    lines += re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)
    known = r"^\s*(?:\$ )?((?:make|rlworkshop|python3?|pip|source) .*?)(?:\s+#.*)?$"
    return [found[1] for line in lines if (found := re.match(known, line))]


def does_not_work(command: str) -> str:
    """Why a command cannot be what its reader needs; empty if it can."""
    match command.split():
        case ["make", target, *_]:
            return (
                "" if re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M) else "no such target"
            )
        case ["rlworkshop", name, *_]:
            with pytest.raises(SystemExit) as usage:
                console.main([])
            expected = name in SIBLINGS and not (ROOT / "book" / f"{SIBLINGS[name]}.md").exists()
            return "" if expected or f"rlworkshop {name}" in str(usage.value) else "no such command"
        case ["python", "-m", "rlworkshop.check", *rest]:
            name = next(one for one in rest if not one.startswith("-"))
            return "" if checker.main(["--stub", name]) == 0 else "no such exercise"
        case ["python" | "python3", file, *_] if file.endswith(".py") and "/" in file:
            return "" if (ROOT / file).exists() else "no such file"
        case ["python" | "python3" | "pip" | "source", *_]:
            return ""
    return "not understood"


def test_a_command_that_does_not_work_is_noticed():
    text = "```bash\nmake html   # builds\n$ make hmtl\n```\nand `rlworkshop fly`, `python code/none.py`"
    found = commands(text)
    assert found == ["make html", "make hmtl", "rlworkshop fly", "python code/none.py"]
    assert [does_not_work(one) for one in found] == ["", "no such target", "no such command", "no such file"]


def test_every_command_of_the_workshop_works(capsys):
    found = {(file.stem, one) for file in [*PAGES, *TALKS] for one in commands(file.read_text())}
    assert len(found) >= 10
    assert [(page, one, why) for page, one in sorted(found) if (why := does_not_work(one))] == []


def test_every_link_within_the_book_leads_somewhere():
    book, found = ROOT / "book", []
    texts = {file: file.read_text(encoding="utf-8") for file in book.glob("**/*.md")}
    labels = {label for text in texts.values() for label in re.findall(r"^\(([\w-]+)\)=", text, re.M)}
    for file in PAGES:
        for target in re.findall(r"\{doc\}`(?:[^`<]*<)?([^`>]+)>?`", texts[file]):
            place = book / target[1:] if target.startswith("/") else file.parent / target
            found += [] if place.with_suffix(".md").exists() else [f"{file.name}: {target}"]
        for label in re.findall(r"\{ref\}`(?:[^`<]*<)?([\w-]+)>?`", texts[file]):
            found += [] if label in labels else [f"{file.name}: {label}"]
    assert found == []


def test_the_answers_to_the_hand_outs_are_right():
    text = (ROOT / "book/workshop/facilitators_guide.md").read_text().split("(guide-answers)=")[1]
    b = 0.8 / (1 - 0.2 * 0.9)
    a = 0.8 * 0.9 * b / (1 - 0.2 * 0.9)
    assert f"= 0.8 / 0.82 = {b:.3f}$" in text and f"/ 0.82 = {a:.3f}$" in text
    sweeps = [(0.0, 0.0)]
    for _ in range(2):
        old_a, old_b = sweeps[-1]
        sweeps.append((0.8 * 0.9 * old_b + 0.2 * 0.9 * old_a, 0.8 + 0.2 * 0.9 * old_b))
    (a1, b1), (a2, b2) = sweeps[1:]
    assert f"A {a1:.0f} and B {b1:.1f}; after two A {a2:.3f} and B {b2:.3f}" in text
    surprise = 0.9 * 0.8
    assert f"= {surprise:.2f}$, and $V(\\mathrm A)$ becomes {0.5 * surprise:.2f}" in text
    import numpy as np

    def softmax(theta):
        return np.exp(theta) / np.exp(theta).sum()

    theta = np.array([0.0, 1.0])
    p = softmax(theta)
    score = np.array([1 - p[0], -p[1]])
    moved = theta + 0.1 * 2 * score
    assert f"(1) {p[0]:.3f} and {p[1]:.3f}. (2) $({score[0]:.3f}, {score[1]:.3f})$." in text
    assert f"(3) $({moved[0]:.3f}, {moved[1]:.3f})$, and {softmax(moved)[0]:.3f}." in text


def test_the_hand_out_has_as_many_blanks_as_there_are_answers():
    sheet = (ROOT / "book/workshop/handout_dqn.md").read_text()
    answers = (ROOT / "book/workshop/facilitators_guide.md").read_text().split("**DQN, with blanks.**")[1]
    blanks = re.findall(r"\(([a-k])\)$", sheet, re.M)
    assert blanks == re.findall(r"\(([a-k])\) ", answers.split("Guessing")[0]) and len(blanks) == 11


# ---- what is shown


@pytest.fixture(scope="module")
def chromium():
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not program:
        message = "these tests need Chromium on the PATH (Debian, Ubuntu: apt install chromium)"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def talks(real, site, tmp_path_factory) -> Path:
    """The real talks, from the pages of the built site."""
    out = tmp_path_factory.mktemp("slides")
    assert build(Project.at(real.root), out) == []
    return out


@pytest.mark.book
def test_the_real_talks_have_all_that_they_refer_to(talks):
    assert {file.stem for file in talks.glob("*.html")} == {file.stem for file in TALKS} | {"index"}


OUTSIDE = """() => [...document.querySelectorAll(".slide")].flatMap((slide, i) => {
  const box = slide.getBoundingClientRect(), inside = slide.querySelectorAll(".columns *, h1, h2");
  const shown = [...inside].filter((e) => e.offsetParent && !e.closest(".katex, svg, .code *"));
  return shown.filter((e) => { const b = e.getBoundingClientRect();
      return b.bottom > box.bottom - 60 || b.right > box.right - 20 || b.left < box.left
        || (e.matches(".code, .column") && e.scrollWidth > e.clientWidth + 1); })
    .map((e) => `slide ${i + 1}: <${e.tagName}> ${e.textContent.trim().slice(0, 40)}`);
})"""
SMALL = """() => [...document.querySelectorAll(".slide")].flatMap((slide, i) =>
  [...slide.querySelectorAll("figure > :is(img:not(.still), video, svg)")]
    .filter((e) => e.getBoundingClientRect().height < 300).map((e) => `slide ${i + 1}: a small figure`))"""


def pages_of(pdf: bytes) -> int:
    """How many pages a PDF has."""
    return len(re.findall(rb"/Type\s*/Page\b", pdf))


@pytest.mark.book
@pytest.mark.slow
@pytest.mark.parametrize("name", [file.stem for file in TALKS])
def test_every_slide_fits_the_projector_and_a_page(talks, chromium, name):
    tab = chromium.new_page(viewport={"width": 1920, "height": 1080})
    errors, asked = [], []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto((talks / f"{name}.html").as_uri())
    tab.evaluate("() => document.fonts.ready.then(() => true)")
    tab.evaluate("document.body.className = ''")  # all slides below each other
    assert tab.evaluate(OUTSIDE) == [] and tab.evaluate(SMALL) == []
    tab.evaluate("document.body.className = 'shown'")
    tab.keyboard.press("End")
    last = tab.locator(".slide").count()
    assert tab.evaluate("location.hash") == f"#{last}" and tab.locator(".sheet.now").count() == 1
    assert pages_of(tab.pdf(prefer_css_page_size=True)) == last
    assert errors == [] and [url for url in asked if not url.startswith(("file:", "data:"))] == []
    tab.close()


@pytest.mark.book
@pytest.mark.slow
def test_the_speaker_has_a_window_and_the_two_keep_step(talks, chromium):
    tab = chromium.new_page(viewport={"width": 1920, "height": 1080})
    tab.goto((talks / "ai_safety.html").as_uri())
    tab.keyboard.press("ArrowRight")
    assert not tab.locator(".sheet.now .notes").is_visible()
    with tab.expect_popup() as opened:
        tab.keyboard.press("s")
    speaker = opened.value
    speaker.wait_for_selector("body.speaker", state="attached")
    assert speaker.locator(".sheet.now .notes").is_visible() and speaker.locator(".sheet.next").is_visible()
    assert "of 30 minutes; slide 2 of" in speaker.locator("#clock").inner_text()
    speaker.keyboard.press("ArrowRight")
    tab.wait_for_function("location.hash === '#3'")
    tab.keyboard.press("Home")
    speaker.wait_for_function("location.hash === '#1'")
    speaker.close()
    tab.keyboard.press("n")
    assert tab.locator(".sheet.now .notes").is_visible()
    assert pages_of(tab.pdf(prefer_css_page_size=True)) == 2 * tab.locator(".slide").count()
    tab.close()


@pytest.mark.book
@pytest.mark.slow
@pytest.mark.parametrize("name", [file.stem for file in PAGES if file.stem.startswith("handout_")])
def test_a_hand_out_is_one_page_of_paper(site, chromium, name):
    tab = chromium.new_page()
    tab.goto((site / "workshop" / f"{name}.html").as_uri())
    for paper in ("A4", "Letter"):
        assert (
            pages_of(tab.pdf(format=paper, margin=dict.fromkeys(("top", "bottom", "left", "right"), "10mm")))
            == 1
        )
    tab.close()
