"""The built site as a browser shows it: headless Chromium, the site served from below a path of its own.

Where there is no Chromium these tests are skipped, but not on a build machine. What every page is tried for
is tried on a made-up page with that fault, too.
"""

import contextlib
import functools
import gzip
import hashlib
import html
import json
import os
import re
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from bookbuild.engine import pages
from bookbuild.site import reading

pytestmark = [pytest.mark.book, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
PREFIX = "/some/where/"  # a static host may keep the site below any path
PAGES = sorted(f.relative_to(ROOT / "book").with_suffix("").as_posix() for f in ROOT.glob("book/**/*.md"))
PAGES = [name for name in PAGES if not re.search(r"(^|/)_", name)] + ["genindex", "search", "404"]
LOOKS = {"light": (1440, 900), "dark": (360, 780)}
SEARCHED = "searchdata.js"  # the words of all pages, which a page loads as soon as somebody searches


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder below PREFIX, and its 404.html at every address that it does not have."""

    def translate_path(self, path):
        inside = urlsplit(path).path.startswith(PREFIX)
        return super().translate_path("/" + path.removeprefix(PREFIX) if inside else "/nowhere")

    def send_error(self, code, *_):
        file = Path(self.directory) / "404.html"
        body = file.read_bytes() if file.exists() else b"not found"
        self.send_response(code)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if self.command == "GET" else b"")

    def end_headers(self):
        self.send_header("Cache-Control", "max-age=3600")
        super().end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(folder: Path):
    """The address at which ``folder`` is served."""
    handler = functools.partial(Handler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}{PREFIX}"
        server.shutdown()


# for this module alone: while Playwright is at work, its process can run no other event loop
@pytest.fixture(scope="module")
def chromium():
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not program:
        message = "these tests need Chromium on the PATH (Debian, Ubuntu: apt install chromium)"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(site):
    with served(site) as base:
        yield base


@pytest.fixture(scope="module")
def open_tab(chromium):
    """Opens tabs that keep what went wrong in them: ``tab.requests``, ``tab.errors``.

    One of each kind, for whoever asks next: a new one would have to read all scripts and fonts anew.
    """
    tabs = {}

    def open_one(look="light", **options):
        key = (look, *sorted(options.items()))
        if key not in tabs:
            context = chromium.new_context(**options)
            context.grant_permissions(["clipboard-read", "clipboard-write"])
            context.set_default_timeout(120_000)
            tab = tabs[key] = context.new_page()
            tab.on("request", lambda request: tab.requests.append(request.url))
            tab.on("console", lambda m: tab.errors.append(m.text) if m.type == "error" else None)
            tab.on("pageerror", lambda error: tab.errors.append(str(error)))
        tab = tabs[key]
        tab.requests, tab.errors = [], []
        dress(tab, look)
        return tab

    yield open_one
    for tab in tabs.values():
        tab.context.close()


@pytest.fixture(scope="module")
def alike() -> dict[str, set[str]]:
    """By look, the kinds of text whose colours were tried on some page."""
    return {}


@pytest.fixture
def tab(open_tab):
    tab = open_tab()
    yield tab
    tab.evaluate("localStorage.clear(); sessionStorage.clear()")


def load(tab, url: str) -> None:
    """Open ``url`` and wait until its fonts are there."""
    tab.goto(url)
    tab.evaluate("() => document.fonts.ready.then(() => true)")


# ---- what every page is tried for

OVERFLOWING = """() => document.documentElement.scrollWidth <= innerWidth ? [] :
  [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1)
  .slice(-3).map(e => `too wide: <${e.localName} class="${e.className}">`)"""
RAW_MATHS = r"""() => {
  const found = [];
  for (const e of document.querySelectorAll(".math"))
    if (!e.querySelector("math") || !e.querySelector(".katex-html"))
      found.push(`not rendered: ${e.textContent}`);
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const { data, parentElement } = texts.currentNode;
    if (/\$\$|\\\(|\\begin\{/.test(data) && !parentElement.closest("pre, code, script, style, annotation"))
      found.push(`raw: ${data.trim()}`);
  }
  return found;
}"""

# axe is slow with many elements, and thousands of tokens, cells and formulas are alike: of those of one tag
# and look, on one ground, the colours of the first are tried, of all pages that this process has found sound.
# Then further formulas give way to a letter, and spans that say nothing but a look to their text.
COLOURS = {"color-contrast": "", "link-in-text-block": ":is(a[href], [role=link])"}  # and what they are about
GRAVE, OFF = ["serious", "critical"], {"enabled": False}
MARK_TRIED = """([mark, known]) => {
  const seen = new Set(known), grounds = new Map([[null, ["", ""]]]), found = [];
  const first = parts => {
    const kind = `${parts}`;
    return !seen.has(kind) && seen.add(kind) && found.push(kind);
  };
  const ground = e => {  // the backgrounds down to the last that lets nothing through, and how opaque all is
    if (!grounds.has(e)) {
      const { backgroundColor: color, backgroundImage: image, opacity } = getComputedStyle(e);
      const [behind, all] = ground(e.parentElement), own = image === "none" ? color : `${color} ${image}`;
      const above = own.startsWith("rgb(") ? "" : `${behind} `, through = own === "rgba(0, 0, 0, 0)";
      grounds.set(e, [through ? behind : above + own, opacity === "1" ? all : `${all} ${opacity}`]);
    }
    return grounds.get(e);
  };
  const shown = e => e.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const size = ({ fontSize, fontWeight }) => parseFloat(fontSize) >= (fontWeight < 700 ? 24 : 18.66);
  const others = new Set();
  for (const e of document.querySelectorAll(".katex")) {
    const s = getComputedStyle(e);
    if (shown(e) && first(["formula", s.color, size(s), ground(e)]))
      for (const part of [e, ...e.querySelectorAll("*")]) part.setAttribute(mark, "");
    else others.add(e);
  }
  for (const e of document.querySelectorAll("body *")) {
    if (![...e.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.data.trim())) continue;
    if (others.has(e.closest(".katex")) || !shown(e)) continue;
    const s = getComputedStyle(e), around = getComputedStyle(e.parentElement).color;
    const as = e.localName === "a" ? [s.fontSize, s.fontWeight, e.parentElement.localName] : size(s);
    if (first([e.localName, s.color, as, s.textDecoration, s.textShadow, around, ground(e)]))
      e.setAttribute(mark, "");
  }
  return found;
}"""
THIN_OUT = """marks => {
  for (const e of document.querySelectorAll(".katex"))
    if (!marks.some(mark => e.hasAttribute(mark))) e.replaceWith("x");
  for (const e of [...document.querySelectorAll("span")].reverse())  // what is tried has a mark, too
    if (!e.firstElementChild && /^(class)?$/.test(e.getAttributeNames())) e.replaceWith(...e.childNodes);
}"""


def violations(tab, **options) -> list[str]:
    """The rules of axe that a page breaks, with an element of each."""
    options = {"preload": False, "resultTypes": ["violations"], **options}
    found = tab.evaluate("options => axe.run(document, options)", options)
    grave = [rule for rule in found["violations"] if rule["impact"] in GRAVE]
    return [f"{rule['id']}: {node['html'][:120]}" for rule in grave for node in rule["nodes"][:3]]


def faults(tab, url: str, host: str, looks: list[str], known: dict[str, set[str]]) -> list[str]:
    """What is wrong with a page in the ``looks``; what is no matter of colours or width: in the last of them.

    ``known``: by look, the kinds of text whose colours are right; those of a page without a fault are added.
    """
    from axe_playwright_python.base import AXE_SCRIPT

    tab.goto("about:blank")  # or what was open would have to fit the first look
    dress(tab, looks[0])
    load(tab, url)
    tab.add_style_tag(content="* { transition: none !important }")  # colours are tried as soon as they change
    found, kinds = tab.evaluate(RAW_MATHS), {}
    marks = {look: f"data-tried-{look}" for look in looks}
    for look, mark in marks.items():
        dress(tab, look)
        found += tab.evaluate(OVERFLOWING)
        kinds[look] = tab.evaluate(MARK_TRIED, [mark, sorted(known.get(look, ()))])
    tab.evaluate(THIN_OUT, [*marks.values()])
    tab.evaluate(AXE_SCRIPT)
    mild = tab.evaluate(
        "grave => axe._audit.rules.filter(r => !grave.includes(r.impact)).map(r => r.id)", GRAVE
    )
    for look in [looks[-1], *filter(kinds.get, looks[-2::-1])]:
        dress(tab, look)
        narrowed = [{"id": rule, "selector": f"{what}[{marks[look]}]"} for rule, what in COLOURS.items()]
        tab.evaluate("rules => axe.configure({ rules })", narrowed)
        rules = {"rules": dict.fromkeys(mild, OFF)} if look == looks[-1] else {"runOnly": [*COLOURS]}
        found += violations(tab, **rules)
    found += [f"error: {error}" for error in tab.errors]
    elsewhere = (u for u in tab.requests if urlsplit(u).scheme not in ("data", "blob"))
    found += [f"request: {u}" for u in elsewhere if not u.startswith(host)]
    if not found:
        for look in looks:
            known.setdefault(look, set()).update(kinds[look])
    return sorted({*found})


def dress(tab, look: str) -> None:
    """Show what is open in other colours and another width."""
    width, height = LOOKS[look]
    tab.set_viewport_size({"width": width, "height": height})
    tab.emulate_media(color_scheme=look)


def made_from(site: Path, name: str, browser: str) -> str:
    """Digest of a page, of what it loads, and of what tries it, in this version of the browser."""
    text = (site / f"{name}.html").read_text(encoding="utf-8")
    named = re.findall(r'(?:src|href)="([^":]+)"', text)  # what has a colon is in the page, or elsewhere
    files = {(site / name).parent / unquote(urlsplit(one).path) for one in named}
    files = {file.resolve() for file in files if file.is_file() and file.suffix != ".html"}
    pins = [ROOT / "requirements.txt", ROOT / "pyproject.toml"]
    digest = hashlib.sha256(f"{browser}\n{text}".encode())
    static = {file for file in site.glob("_static/**/*.*") if file.name != SEARCHED}
    for file in sorted({Path(__file__), *pins, *static, *files}):
        digest.update(file.read_bytes() if file.is_file() else b"")
    return digest.hexdigest()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_sound_in_light_and_dark_wide_and_narrow(
    chromium, open_tab, address, site, real, alike, name
):
    sound = (
        real.state / "sound" / made_from(site, name, chromium.version)
    )  # costs follow the change, here too
    if not sound.exists():
        assert faults(open_tab(), f"{address}{name}.html", address, ["dark", "light"], alike) == []
        sound.parent.mkdir(parents=True, exist_ok=True)
        sound.touch()


def test_a_page_is_tried_anew_when_something_that_it_loads_has_changed(tmp_path):
    (tmp_path / "_static").mkdir()
    written = {"a.html": '<img src="a%20b.png"><a href="b.html">', "a b.png": "1", "_static/x.css": "1"}
    for file, text in written.items():
        (tmp_path / file).write_text(text)
    first = made_from(tmp_path, "a", "1.0")
    assert made_from(tmp_path, "a", "1.1") != first
    for file in written:
        old = (tmp_path / file).read_text()
        (tmp_path / file).write_text(old + " ")
        assert made_from(tmp_path, "a", "1.0") != first, file
        (tmp_path / file).write_text(old)
    (tmp_path / "b.html").write_text("another page")
    (tmp_path / "_static" / SEARCHED).write_text("what another page says")
    assert made_from(tmp_path, "a", "1.0") == first


FAULTS = {
    "too wide": '<div style="width: 900px">wide</div>',
    "not rendered": '<span class="math">x^2</span>',
    "raw": "<p>Let $$x$$ be.</p>",
    "color-contrast: <p": '<p style="color: #bbb; background: #fff">pale</p>',
    "color-contrast: <span": '<div class="highlight"><pre><span style="color: #000">dark</span> '
    '<span style="color: #000">too</span> <span style="color: #bbb">pale</span></pre></div>',
    **{
        f'color-contrast: <{tag} class="k {kind}': f"""<pre><{tag} class="{kind}">dark</{tag}>
        <{tag} class="k {kind}">dim</{tag}></pre><style>@media (prefers-color-scheme: dark) {{
        .k {{ color: #ddd }} }}</style>"""
        for tag, kind in (("span", "n"), ("i", "katex"))
    },
    "color-contrast: <td": f"""<table>{"<tr><td>dark</td></tr>" * 30}
    <tr><td style="color: #bbb">pale</td></tr></table>""",
    **{
        f"color-contrast: <{tag}": f"""<{tag}>dim</{tag}><style>
        @media (prefers-color-scheme: {look}) {{ {tag} {{ color: #ddd }} }}</style>"""
        for tag, look in (("i", "dark"), ("b", "light"))
    },
    "link-in-text-block": '<p style="color: #000">It is <a href="#" style="color: #222; '
    'text-decoration: none">a link</a> that none would see among all these words.</p>',
    "image-alt": '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=" width="9" height="9">',
    "error: Failed to load": '<link rel="stylesheet" href="gone.css">',
    "error: boom": "<script>throw 'boom'</script>",
    "request": '<link rel="stylesheet" href="http://127.0.0.1:9/elsewhere.css">',
}


def faults_of(open_tab, folder: Path, body: str, known: dict[str, set[str]]) -> list[str]:
    """What is wrong with a made-up page."""
    page = (
        '<!doctype html><html lang="en"><head><meta name="viewport" content="width=device-width">'
        '<link rel="icon" href="data:,"><title>T</title></head><body><main><h1>T</h1>'
        f"{body}</main></body></html>"
    )
    (folder / "page.html").write_text(page, encoding="utf-8")
    with served(folder) as base:
        return faults(open_tab(), f"{base}page.html", base, ["dark", "light"], known)


@pytest.mark.parametrize("fault", ["", *FAULTS])
def test_a_fault_is_seen_and_nothing_else(open_tab, tmp_path, fault):
    found = faults_of(open_tab, tmp_path, FAULTS.get(fault, ""), {})
    assert bool(found) == bool(fault)
    assert not fault or any(line.startswith(fault) for line in found), found


GREY = '<p style="color: #737373; {}">grey</p>'  # on white it can just be read


@pytest.mark.parametrize(
    "wrong",
    [
        f'<div style="background: #ccc"><div>{GREY.format("")}</div></div>',
        f'<div style="background: #ccc"><div style="background: #fff8">{GREY.format("")}</div></div>',
        f'<div style="opacity: 0.6"><div style="background: #fff">{GREY.format("")}</div></div>',
        GREY.format("color: #888"),
        GREY.format("opacity: 0.9"),
        f'<h2 style="color: #888; font-size: 30px">large</h2>{GREY.format("color: #888")}',
        '<p style="color: #444">It is <a href="#" style="color: #333; text-decoration: none">a link</a>.</p>',
    ],
)
def test_colours_that_were_right_elsewhere_are_wrong_where_they_are_others(open_tab, tmp_path, wrong):
    right = '<p style="color: #444">It is <a href="#" style="color: #333">a link</a>.</p>'
    known = {}
    assert (
        faults_of(open_tab, tmp_path, right + GREY.format("") + f"<div>{GREY.format('')}</div>", known) == []
    )
    before = {look: {*kinds} for look, kinds in known.items()}
    assert {*before} == {"dark", "light"} and all(len(kinds) == 4 for kinds in before.values())
    assert faults_of(open_tab, tmp_path, GREY.format("") + right, known) == []
    assert faults_of(open_tab, tmp_path, right + wrong, known) != []
    assert known == before, "nothing is learned of a page with a fault"


# ---- what a reader does

HIDDEN = {"remove-input", "remove-cell"}


@pytest.mark.parametrize("name", ["start/how_to_use", "start/first_agent", "algorithms/vpg"])
def test_a_cell_is_copied_as_it_was_written(tab, address, real, name):
    page = pages.read_page(real, real.book / f"{name}.md")
    written = [
        cell.source.rstrip()
        for cell in reading.arranged(page.notebook).cells
        if cell.cell_type == "code" and not HIDDEN & set(cell.metadata.get("tags", []))
    ]
    load(tab, f"{address}{name}.html")
    tab.evaluate("() => document.querySelectorAll('details').forEach(fold => fold.open = true)")
    copied = []
    for button in tab.locator(".cell_input button.copybtn").all():
        button.scroll_into_view_if_needed()
        button.click(force=True)  # it shows itself when the pointer comes near
        copied.append(tab.evaluate("() => navigator.clipboard.readText()").rstrip())
    assert copied == written


def test_prompts_and_outputs_are_not_copied(tab, address):
    load(tab, f"{address}start/how_to_use.html")
    tab.locator("div.highlight pre").first.evaluate(
        """pre => pre.innerHTML = '<span class="gp">$ </span>make html\\n<span class="go">done</span>\\n'"""
    )
    tab.locator("button.copybtn").first.click(force=True)
    assert tab.evaluate("() => navigator.clipboard.readText()").strip() == "make html"


def test_search_finds_a_page_and_leads_there(tab, address):
    load(tab, f"{address}start/first_agent.html")
    tab.keyboard.press("Control+k")
    tab.keyboard.type("vanilla policy gradient")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/search.html?q=*")
    hit = tab.locator("#search-results li a", has_text="Vanilla policy gradient").first
    hit.click()
    tab.wait_for_url(f"{address}algorithms/vpg.html*")
    assert tab.locator("h1").last.inner_text().startswith("Vanilla policy gradient")
    assert tab.errors == []


# words that a reader would type, and a page that one of the first three results must be of
SEARCHES = {
    "target network": "algorithms/dqn",
    "overestimation": "algorithms/dqn_values",
    "over-estimation": "algorithms/dqn_values",
    "maximization bias": "algorithms/dqn_values",
    "sim2real": "robotics/reality_gap",
    "trust region": "algorithms/trpo",
    "behavior cloning": "robotics/learning_from_demonstrations",
    "deadly triad": "foundations/deadly_triad",
    "reward hacking": "safety/reward_misspecification",
    "GAE": "algorithms/advantage_estimation",
    "off policy": "foundations/deadly_triad",
    "policy gradient theorem": "foundations/policy_gradient_theorem",
    "double DQN": "algorithms/dqn_family",
    "posterior sampling": "foundations/regret",
    "Thompson sampling": "foundations/bandits",
    "importance sampling": "start/maths",
    "broadcasting": "start/pytorch",
}


def test_ten_searches_lead_to_chapters_and_to_their_sections(tab, address):
    load(tab, f"{address}start/first_agent.html")
    for asked, page in SEARCHES.items():
        hits = tab.evaluate("asked => bookSearch(asked)", asked)
        assert any(f"/{page}.html#" in hit["href"] for hit in hits[:3]), (asked, hits[:3])
        assert "/reference/" not in hits[0]["href"], "chapters first"
        assert not any("stage_" in hit["href"] for hit in hits)
    assert tab.evaluate("() => bookSearch('xyzzy')") == []


def test_results_come_as_one_types_and_are_reached_by_keyboard(tab, address):
    load(tab, f"{address}start/first_agent.html")
    assert not any("searchdata" in one for one in tab.requests), "it loads when one searches"
    tab.keyboard.press("Control+k")
    tab.keyboard.type("over-estimation")
    first = tab.locator("#pst-search-dialog .hits a").first
    first.wait_for()
    listed = tab.locator("#pst-search-dialog .hits").inner_text()
    assert "Over-estimation, and the unit" in listed and "\\(" not in listed and "Copy" not in listed
    tab.keyboard.press("ArrowDown")
    assert first.evaluate("one => one === document.activeElement")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**#*")
    assert tab.errors == []


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("term", "mouse"),
        ("citation", "mouse"),
        ("equation", "keyboard"),
        ("figure", "keyboard"),
        ("term", "tap"),
    ],
)
def test_a_link_shows_what_it_leads_to(open_tab, address, kind, how):
    tab = open_tab(has_touch=True) if how == "tap" else open_tab()
    load(tab, f"{address}algorithms/vpg.html")
    part = {"term": "#term-", "citation": "bibliography", "equation": "#equation-", "figure": "#fig-"}[kind]
    link = tab.locator(f".bd-article a.reference.internal[href*='{part}']").first
    link.scroll_into_view_if_needed()
    if how == "keyboard":
        tab.keyboard.press("Tab")  # from here on the focus shows
        link.focus()
    else:
        link.hover() if how == "mouse" else link.tap()
    box = tab.locator("#preview")
    box.wait_for()
    assert box.get_attribute("role") == "tooltip" and link.get_attribute("aria-describedby") == "preview"
    inside = {"term": ".preview-dd", "citation": ".citation", "equation": ".katex", "figure": "img"}[kind]
    assert box.locator(inside).first.is_visible() and tab.url == f"{address}algorithms/vpg.html"
    if how == "tap":
        assert (
            box.locator(".preview-on").get_attribute("href").endswith(link.get_attribute("href").lstrip("./"))
        )
    tab.keyboard.press("Escape")
    box.wait_for(state="hidden")
    assert tab.errors == []


@pytest.mark.parametrize("how", ["mouse", "keyboard"])
def test_what_is_folded_opens_and_closes(tab, address, how):
    load(tab, f"{address}algorithms/vpg.html")
    folds = tab.locator("article details:not(details details)")
    assert folds.count() >= 3
    for fold in folds.all():
        summary, inside = fold.locator("> summary"), fold.locator("> :not(summary)").first
        for expected in (True, False):
            summary.click() if how == "mouse" else summary.press("Enter")
            assert inside.is_visible() == expected


CLAIMS = "() => [...document.querySelectorAll('.claim')].map(e => e.checkVisibility())"


def test_one_switch_opens_all_evidence_and_is_remembered(tab, address):
    load(tab, f"{address}algorithms/vpg.html")
    switch = tab.locator(".btn-evidence")
    assert len(tab.evaluate(CLAIMS)) > 3 and not any(tab.evaluate(CLAIMS))
    switch.click()
    assert all(tab.evaluate(CLAIMS)) and switch.get_attribute("aria-pressed") == "true"
    for page in ("algorithms/vpg", "foundations/bandits"):  # read again, and another one
        load(tab, f"{address}{page}.html")
        assert all(tab.evaluate(CLAIMS))
    switch.click()
    load(tab, f"{address}algorithms/vpg.html")
    assert not any(tab.evaluate(CLAIMS)) and switch.get_attribute("aria-pressed") == "false"


def test_a_link_to_a_claim_or_to_code_opens_what_it_is_folded_in(tab, address):
    load(tab, f"{address}algorithms/vpg.html")
    name = tab.locator("pre a.to-name[href^='#more-']").first
    target = name.get_attribute("href")
    name.click()
    tab.locator(target).wait_for(state="visible")
    load(tab, f"{address}algorithms/vpg.html#claim-learns")
    tab.locator("#claim-learns").wait_for(state="visible")
    assert sum(tab.evaluate(CLAIMS)) < len(tab.evaluate(CLAIMS)), "only what is asked for"


def test_without_scripts_and_on_paper_evidence_is_there(open_tab, address):
    tab = open_tab(java_script_enabled=False)
    tab.goto(f"{address}algorithms/vpg.html")
    tab.locator("details.evidence summary").first.click()
    assert tab.locator(".claim").first.is_visible()
    tab = open_tab()
    load(tab, f"{address}algorithms/vpg.html")
    tab.evaluate(f"() => addEventListener('beforeprint', () => window.printed = ({CLAIMS})())")
    assert tab.pdf().startswith(b"%PDF")
    assert all(tab.evaluate("() => window.printed")) and not any(tab.evaluate(CLAIMS))


ON_PAPER = """() => {
  const text = document.querySelector(".bd-article").textContent.replace(/\\s/g, "");
  const last = document.querySelector(".bd-article > section").lastElementChild;
  return {
    text, open: document.querySelectorAll(".bd-article details:not([open])").length === 0,
    kept: document.querySelectorAll(":is(.exercise, .exercise ~ .predict) details").length,
    solutions: last.matches(".solutions") ? last.querySelectorAll(":scope > details").length : 0,
    links: [...document.querySelectorAll(":is(.exercise, .predict) > p > a[href^='#solution-']")].length,
  };
}"""


def test_on_paper_solutions_stand_at_the_end_and_nothing_is_lost(open_tab, address):
    tab = open_tab()
    load(tab, f"{address}algorithms/vpg.html")
    before = tab.evaluate(ON_PAPER)
    tab.evaluate(f"() => addEventListener('beforeprint', () => window.printed = ({ON_PAPER})())")
    assert tab.pdf().startswith(b"%PDF")
    printed = tab.evaluate("() => window.printed")
    assert printed["open"] and printed["kept"] == 0 and printed["solutions"] == before["kept"] >= 6
    assert printed["links"] == printed["solutions"] and len(printed["text"]) >= len(before["text"])
    assert tab.evaluate(ON_PAPER) == before, "and afterwards all is in its place"
    tab.emulate_media(media="print")
    faded = tab.evaluate(
        """() => [...document.querySelectorAll("details")].flatMap(fold => {
        fold.open = true;
        return [...fold.children].filter(part => getComputedStyle(part).animationName !== "none");
        }).length"""
    )
    tab.emulate_media(media="screen")
    assert faded == 0, "what fades in is printed at its palest"


def test_a_picture_that_stays_as_it_is_has_no_white_slab_around_it_in_the_dark(open_tab, address):
    shown = """() => [...document.querySelectorAll("img.as-is")].filter(one => one.checkVisibility())
    .map(one => one.src)"""
    seen = {}
    for look in ("light", "dark"):
        tab = open_tab(look)
        load(tab, f"{address}algorithms/pixels.html")
        seen[look] = tab.evaluate(shown)
    assert [one.replace(".svg", "-dark.svg") for one in seen["light"]] == seen["dark"] != []
    tab = open_tab("dark", java_script_enabled=False)
    tab.goto(f"{address}algorithms/pixels.html")
    assert tab.locator("img.as-is:visible").count() == len(seen["light"])


def test_the_chosen_colours_stay(tab, address):
    def choose(mode):
        tab.locator(".theme-switch-button:visible").click()
        tab.locator(f".theme-change-button[data-mode={mode}]:visible").click()

    def background():
        return tab.evaluate("() => getComputedStyle(document.body).backgroundColor")

    load(tab, f"{address}index.html")
    light = background()
    choose("dark")
    dark = background()
    assert dark != light
    load(tab, f"{address}algorithms/vpg.html")
    assert background() == dark
    choose("light")
    tab.reload()
    assert background() == light


def test_a_dark_page_is_printed_light(open_tab, address):
    tab = open_tab("dark")
    load(tab, f"{address}algorithms/writing_dqn_together.html")
    theme = "() => document.documentElement.dataset.theme"
    tab.evaluate(f"() => addEventListener('beforeprint', () => window.printed = ({theme})())")
    assert tab.evaluate(theme) == "dark"
    assert tab.pdf().startswith(b"%PDF")
    assert tab.evaluate("() => window.printed") == "light" and tab.evaluate(theme) == "dark"


TABBED = """() => {
  const e = document.activeElement;
  if (e === document.body) return null;
  const style = getComputedStyle(e), box = e.getBoundingClientRect();
  return {
    marked: e.tabbed ||= Math.random(), skip: !!e.closest(".skip-link"), html: e.outerHTML.slice(0, 120),
    part: e.closest(".bd-sidebar-primary") ? "sidebar" : e.closest("article") ? "text" : "else",
    seen: (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none",
    there: box.width > 0 && box.height > 0,
  };
}"""
MISSED = """() => [...document.querySelectorAll("a[href], button, input, summary, video, [tabindex='0']")]
  .filter(e => e.checkVisibility({ visibilityProperty: true }) && !e.tabbed)
  .map(e => e.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize("name", ["index", "algorithms/vpg"])
def test_the_keyboard_reaches_everything_and_shows_where_it_is(tab, address, name):
    load(tab, f"{address}{name}.html")
    stops = []
    for _ in range(600):
        tab.keyboard.press("Tab")
        stop = tab.evaluate(TABBED)
        if stop is None:
            break
        if not stops or stop["marked"] != stops[-1]["marked"]:  # a film has several stops of its own
            stops.append(stop)
    assert stop is None, "the end of the page is never reached"
    assert stops[0]["skip"]
    parts = [stop["part"] for stop in stops]
    assert parts.index("sidebar") < parts.index("text")
    assert [s["html"] for s in stops if not (s["seen"] and s["there"])] == []
    assert tab.evaluate(MISSED) == []


def test_a_dialog_is_left_by_escape_and_gives_the_focus_back(tab, address):
    focus = "() => document.activeElement.className || document.activeElement.name"
    opened = "() => !!document.querySelector('dialog[open]')"
    tab.set_viewport_size({"width": 390, "height": 800})
    load(tab, f"{address}foundations/bandits.html")
    for button in (".search-button__button:visible", ".primary-toggle:visible"):
        tab.locator(button).first.focus()
        before = tab.evaluate(focus)
        tab.keyboard.press("Enter")
        assert tab.evaluate(opened) and tab.locator("dialog[open]").get_attribute("aria-label")
        if "search" in button:
            tab.keyboard.type("regret")
            tab.locator("dialog[open] .hits a").first.wait_for()
            tab.locator("dialog[open] [role=status]", has_text="8 results").wait_for(state="attached")
        tab.keyboard.press("ArrowDown")  # from a result, too
        tab.keyboard.press("Escape")
        assert not tab.evaluate(opened) and tab.evaluate(focus) == before, button


READ_OUT = ["index", "foundations/bandits", "algorithms/dqn", "practice/projects", "reference/benchmarks"]
NAMED = {
    "button",
    "link",
    "image",
    "slider",
    "combobox",
    "searchbox",
    "DisclosureTriangle",
    "Video",
    "navigation",
}


@pytest.mark.parametrize("name", READ_OUT)
def test_what_a_screen_reader_is_given_has_names_and_formulas_once(tab, address, name):
    load(tab, f"{address}{name}.html")
    session = tab.context.new_cdp_session(tab)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    session.detach()
    given = [
        (node["role"]["value"], node.get("name", {}).get("value", "").strip())
        for node in nodes
        if not node["ignored"]
    ]
    assert [role for role, called in given if role in NAMED and not called] == []
    roles = [role for role, _ in given]
    assert [roles.count(one) for one in ("main", "contentinfo", "article", "banner")] == [1, 1, 1, 0]
    folds = [called for role, called in given if role == "DisclosureTriangle"]
    assert "Toggle hidden content" not in folds and not any("▸" in fold for fold in folds)
    seen = "all => all.filter(one => one.checkVisibility()).length"
    assert roles.count("MathMLMath") == tab.locator(".math .katex-mathml").evaluate_all(seen)
    assert roles.count("table") == tab.locator("table").evaluate_all(seen)
    assert ("columnheader" in roles) == ("table" in roles)
    listings = tab.locator(".highlight pre").evaluate_all(seen)
    assert sum(role == "group" and bool(called) for role, called in given) >= listings


def test_the_skip_link_leads_to_the_text(tab, address):
    load(tab, f"{address}algorithms/vpg.html")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    tab.keyboard.press("Tab")
    assert tab.evaluate("() => !!document.activeElement.closest('main')")


PLAYS = "() => [...document.querySelectorAll('video')].map(v => v.currentTime > 0 && !v.paused)"


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_films_stand_still_for_readers_who_ask_for_it(open_tab, address, motion):
    tab = open_tab(reduced_motion=motion)
    load(tab, f"{address}start/first_agent.html")
    tab.locator("video").first.scroll_into_view_if_needed()
    if motion == "no-preference":
        plays = tab.wait_for_function(f"() => (all => all.every(Boolean) && all)(({PLAYS})())").json_value()
    else:
        tab.wait_for_timeout(800)
        plays = tab.evaluate(PLAYS)
    tab.goto("about:blank")  # or they would go on
    assert plays and plays == [motion == "no-preference"] * len(plays)


def test_films_begin_when_they_come_into_view_and_load_no_sooner(open_tab, address):
    tab = open_tab("dark")
    load(tab, f"{address}start/first_agent.html")
    films = tab.locator("video")
    tab.wait_for_timeout(500)
    assert not any(tab.evaluate(PLAYS)) and not any(url.endswith(".mp4") for url in tab.requests)
    films.last.scroll_into_view_if_needed()
    tab.wait_for_function(f"() => ({PLAYS})().at(-1)")
    left, right = films.first.bounding_box(), tab.locator(".agent-clip").bounding_box()
    assert (
        left["x"] - right["x"] >= 0
        and films.first.evaluate("film => getComputedStyle(film).filter") != "none"
    )
    tab.evaluate("scrollTo(0, 0)")
    tab.wait_for_function("() => [...document.querySelectorAll('video')].every(film => film.paused)")
    films.last.scroll_into_view_if_needed()
    tab.wait_for_function(f"() => ({PLAYS})().at(-1)")
    films.last.evaluate("film => film.pause()")  # a reader stops it: it stays where it is
    tab.wait_for_timeout(1500)
    assert films.last.evaluate("film => film.paused")
    tab.emulate_media(media="print")
    stills = tab.locator(".film .still")
    assert stills.first.is_visible() and not films.first.is_visible()
    assert all(
        tab.evaluate("() => [...document.querySelectorAll('.film .still')].map(i => i.naturalWidth > 99)")
    )
    tab.emulate_media(media="screen")
    tab.goto("about:blank")
    assert tab.errors == []


PLAYED = "foundations/bandits"


def test_a_figure_shows_the_setting_that_is_chosen(tab, address):
    load(tab, f"{address}{PLAYED}.html")
    figure = tab.locator(".playable").first
    slider, picture, says = (figure.locator(one) for one in ("input", "img", ".playable-says"))
    seen = {}
    slider.focus()
    tab.keyboard.press("Home")
    for _ in range(int(slider.get_attribute("max")) + 1):
        told = figure.locator("output").inner_text()
        assert says.inner_text().startswith(f"ε = {told}:")
        seen[told] = picture.get_attribute("src")
        tab.wait_for_function("img => img.complete && img.naturalWidth > 0", arg=picture.element_handle())
        tab.keyboard.press("ArrowRight")
    assert [*seen] == ["0", "0.01", "0.03", "0.1", "0.3", "1"] and len({*seen.values()}) == 6
    assert slider.get_attribute("aria-valuetext") == "1"


PICTURE = "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 300 200'/>#"

IN_DARK = f'<img class="in-dark" src="{PICTURE}dark-{{0}}" style="display: none">'


def made_up(folder: Path, start: int, others: list[str], controls: list | None = None) -> str:
    """A playable figure whose pictures are called by what they show, on a page that ``folder`` gets."""
    called = [*others[:start], "start", *others[start:]]
    about = {"start": start, "says": [f"<{one}>" for one in called]}
    about |= {"controls": controls} if controls else {}
    told = html.escape(json.dumps(about))
    waiting = "".join(f'<img src="{PICTURE}{one}">{IN_DARK.format(one)}' for one in others)
    first = f'<img src="{PICTURE}start" style="width: 300px; height: 200px">{IN_DARK.format("start")}'
    for kind in ("css", "js"):
        shutil.copy(ROOT / f"book/_static/playable.{kind}", folder)
    return f'''<div class="playable">{first}<p class="playable-says">Shown.</p>
      <div><template data-playable="{told}">{waiting}</template></div></div>'''


def open_page(tab, folder: Path, *figures: str) -> None:
    ends = '<link rel="stylesheet" href="playable.css"><script defer src="playable.js"></script>'
    (folder / "page.html").write_text(f"<!doctype html><meta charset=utf-8>{ends}{''.join(figures)}")
    load(tab, (folder / "page.html").as_uri())


def test_each_setting_of_several_controls_has_its_picture_and_its_sentence(open_tab, tmp_path):
    """The last control runs fastest; names that are numbers keep their order; each figure is by itself."""
    settings = [f"{a}{b}{c}" for a in "kl" for b in "xyz" for c in "pqrs"]
    controls = [["10", [*"kl"]], ["b:2", [*"xyz"]], ["2", [*"pqrs"]]]
    start = settings.index("lyr")
    figure = made_up(tmp_path, start, [one for one in settings if one != "lyr"], controls)
    tab = open_tab()
    open_page(tab, tmp_path, figure, figure)
    first, other = tab.locator(".playable").all()
    assert first.locator("label span").all_inner_texts() == ["10", "b:2", "2"]
    assert first.locator("output").all_inner_texts() == [*"lyr"]
    switch, *sliders = first.locator("input").all()
    assert switch.is_checked() and [one.input_value() for one in sliders] == ["1", "2"]
    for a, b, c in ("lzr", "lxs", "kxs", "kyp", "lyr"):
        switch.set_checked(a == "l")
        sliders[0].fill(str("xyz".index(b)))
        sliders[1].fill(str("pqrs".index(c)))
        name = "start" if a + b + c == "lyr" else a + b + c
        sources = [one.get_attribute("src") for one in first.locator("img").all()]
        assert sources == [f"{PICTURE}{name}", f"{PICTURE}dark-{name}"]
        assert first.locator(".playable-says").inner_text() == f"<{name}>"
        assert first.locator("output").all_inner_texts() == [a, b, c]
    assert other.locator(".playable-says").inner_text() == "Shown." and tab.errors == []


def test_a_sketch_is_drawn_and_compared(open_tab, tmp_path):
    tab = open_tab()
    open_page(tab, tmp_path, made_up(tmp_path, 1, ["axes"]))
    shown, says = tab.locator(".playable img").first, tab.locator(".playable-says")
    assert shown.get_attribute("src").endswith("axes") and says.inner_text() == "<axes>"
    box = tab.locator(".playable-pen").bounding_box()
    tab.mouse.move(box["x"] + 10, box["y"] + 20)
    tab.mouse.down()
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tab.mouse.up()
    tab.mouse.move(box["x"] + 5, box["y"] + 5)
    (line,) = tab.locator(".playable-pen path").all()
    assert line.get_attribute("d").endswith("L500.0 500.0")
    tab.mouse.down(button="right")  # a menu, and a second finger: they draw nothing
    tab.mouse.move(box["x"] + 30, box["y"] + 30)
    tab.mouse.up(button="right")
    tab.locator(".playable-pen").dispatch_event("pointerdown", {"isPrimary": False, "pointerId": 1})
    assert tab.locator(".playable-pen path").count() == 1
    for event, expected in (("beforeprint", "start"), ("afterprint", "axes")):
        tab.evaluate(f"dispatchEvent(new Event('{event}'))")
        assert shown.get_attribute("src").endswith(expected), event
    tab.get_by_role("button", name="Show what came out").click()
    tab.evaluate("dispatchEvent(new Event('beforeprint')), dispatchEvent(new Event('afterprint'))")
    assert shown.get_attribute("src").endswith("start") and says.inner_text() == "<start>"
    assert tab.locator(".playable-pen path").count() == 1, "the reader's own line stays for comparison"
    tab.get_by_role("button", name="Begin again").click()
    assert shown.get_attribute("src").endswith("axes") and tab.locator(".playable-pen path").count() == 0


def test_without_scripts_a_figure_shows_what_it_starts_with(open_tab, address):
    tab = open_tab(java_script_enabled=False)
    load(tab, f"{address}{PLAYED}.html")
    figure = tab.locator(".playable").first
    assert figure.locator("img").count() == 1 and figure.locator("input, button").count() == 0
    assert figure.locator(".playable-says").inner_text().startswith("ε = 0.1:")


@pytest.mark.parametrize("lost", ["gone.html", "algorithms/gone.html", "algorithms/very/deep/gone.html"])
def test_an_address_that_is_gone_leads_back_into_the_book(tab, address, lost):
    load(tab, f"{address}{lost}")
    tab.wait_for_function("() => document.baseURI !== location.href")
    assert tab.locator("input").input_value() == "gone"
    tab.locator("input").fill("advantage")
    tab.keyboard.press("Enter")
    tab.wait_for_url(f"{address}search.html?q=advantage")
    load(tab, f"{address}{lost}")
    tab.wait_for_function("() => document.baseURI !== location.href")
    tab.get_by_role("link").click()
    tab.wait_for_url(f"{address}index.html")


def test_an_old_address_leads_to_the_new_one(tab, address):
    tab.goto(f"{address}algorithms/#break-it")
    tab.wait_for_url(f"{address}algorithms/vpg.html#break-it")


# ---- the chooser of projects


def test_projects_are_chosen_by_level_interest_and_time(tab, address):
    load(tab, f"{address}practice/projects.html")
    shown, said = tab.locator("div.project:visible"), tab.locator(".project-form output")
    total = shown.count()
    assert total >= 15 and said.inner_text() == f"{total} of {total} projects"
    tab.get_by_label("Interest").focus()
    tab.keyboard.type("safety")  # by keyboard alone
    tab.keyboard.press("Enter")
    interest = shown.count()
    assert 0 < interest < total
    tab.get_by_label("Level").select_option("first-week")
    assert shown.count() == 1 and tab.locator("h2:visible", has_text="Open problems").count() == 0
    load(tab, tab.url)
    assert shown.count() == 1, "the address keeps what was asked for"
    tab.get_by_label("Time").select_option("10")
    tab.get_by_label("Level").select_option("open-problem")
    assert shown.count() == 0 and said.inner_text() == "No project fits: ask for less."
    tab.get_by_role("button", name="All projects").click()
    tab.locator(".project-form output", has_text=f"{total} of {total}").wait_for()
    assert shown.count() == total and "?" not in tab.url
    load(tab, f"{address}practice/projects.html?part=safety#project-late-pushes")
    tab.locator("#project-late-pushes").wait_for(state="visible")
    assert shown.count() == total, "a link to a project shows it"


def test_without_scripts_all_projects_are_there_and_their_details_open(open_tab, address):
    tab = open_tab(java_script_enabled=False)
    tab.goto(f"{address}practice/projects.html")
    assert tab.locator("div.project:visible").count() >= 15 and tab.locator(".project-form").count() == 0
    first = tab.locator("div.project").first
    first.locator("summary").click()
    assert first.get_by_text("Milestones", exact=True).is_visible()


# ---- the agent on the title page

PLAYGROUND = ROOT / "code/showcase/playground.js"
ON_CANVAS = """() => {
  const c = document.querySelector(".playground canvas");
  const { data } = c.getContext("2d").getImageData(0, 0, c.width, c.height);
  return data.reduce((sum, value, i) => sum + value * (i % 97), 0);
}"""


def clock(tab, words: str) -> None:
    """Wait until the clock of the playground says so (a regular expression)."""
    tab.wait_for_function(f"() => /{words}/.test(document.querySelector('.playground .clock').textContent)")


def test_the_cart_of_the_title_page_is_gymnasiums(tab, address):
    import gymnasium as gym
    import numpy as np

    rng, world = np.random.default_rng(0), gym.make("CartPole-v1").unwrapped
    load(tab, f"{address}404.html")
    tab.add_script_tag(path=PLAYGROUND)
    for seed in range(5):
        actions, states, ended = rng.integers(2, size=60).tolist(), [], []
        world.reset(seed=seed)
        first = world.state.tolist()
        for action in actions:
            world.steps_beyond_terminated = None  # no warning: it may go on
            ended.append(world.step(action)[2])
            states.append(world.state.tolist())
        theirs = tab.evaluate(
            """([state, actions]) => actions.map(action =>
            { state = cartPole.step(state, action); return [...state, cartPole.over(state)]; })""",
            [first, actions],
        )
        assert any(ended) and [bool(row[4]) for row in theirs] == ended
        np.testing.assert_allclose([row[:4] for row in theirs], states, rtol=0, atol=1e-6)


def test_the_agent_of_the_title_page_acts_as_its_page_had_it(tab, address):
    import numpy as np

    load(tab, f"{address}index.html")
    agents = json.loads(tab.locator(".playground script[type='application/json']").inner_text())
    states = np.random.default_rng(1).normal(0, [1, 1, 0.1, 1], (200, 4))
    for agent in (agents[0], agents[-1]):
        (w1, b1), (w2, b2) = ([np.array(array) for array in pair] for pair in agent["layers"])
        ours = (np.tanh(states @ w1.T + b1) @ w2.T + b2).argmax(axis=1)
        call = "([layers, states]) => states.map(state => cartPole.act(layers, state))"
        assert tab.evaluate(call, [agent["layers"], states.tolist()]) == ours.tolist()
        assert 0 < ours.sum() < 200
    stands = [agent["return"] for agent in agents]
    assert stands[0] < 100 < stands[len(stands) // 2] < 400 < stands[-1], "it falls, it wobbles, it stands"


def test_the_agent_of_the_title_page_is_played_with(tab, address):
    load(tab, f"{address}index.html")
    play, slider = tab.locator(".playground"), tab.get_by_role("slider", name="Training")
    clock(tab, "step [1-9]")
    assert play.locator("canvas").is_visible() and not play.locator(".still").is_visible()
    play.get_by_role("button", name="Pause").press("Enter")
    before = tab.evaluate(ON_CANVAS)
    tab.wait_for_timeout(200)
    assert tab.evaluate(ON_CANVAS) == before
    slider.press("Home")
    assert "after" in slider.get_attribute("aria-valuetext") and play.locator("output").inner_text()
    assert tab.evaluate(ON_CANVAS) != before
    play.get_by_role("button", name="Push right").press("Enter")  # it plays on, and the untrained agent falls
    clock(tab, "^fell")
    slider.press("End")
    tab.wait_for_function(
        "() => document.querySelector('.playground .clock').textContent.match(/[3-9][0-9]/)"
    )
    x, y, width, height = play.locator("canvas").bounding_box().values()
    tab.mouse.move(x + width / 2, y + height / 2)
    tab.mouse.down()
    tab.mouse.move(x + width, y + height / 2, steps=8)
    tab.mouse.up()
    clock(tab, "^fell")
    assert tab.errors == []


@pytest.mark.parametrize("off", ["motion", "scripts"])
def test_the_agent_of_the_title_page_stands_still_for_those_who_ask(open_tab, address, off):
    tab = open_tab(**({"reduced_motion": "reduce"} if off == "motion" else {"java_script_enabled": False}))
    tab.goto(f"{address}index.html")
    still, canvas = tab.locator(".playground .still"), tab.locator(".playground canvas")
    assert still.is_visible() and not canvas.is_visible()
    assert tab.get_by_role("slider").count() == (off == "motion")
    if off == "motion":
        tab.wait_for_timeout(300)
        assert not canvas.is_visible()
        tab.get_by_role("button", name="Play").click()
        assert canvas.is_visible()


def test_the_title_page_says_at_once_what_to_do(open_tab, address):
    for look in ("light", "dark"):
        tab = open_tab(look)
        load(tab, f"{address}index.html")
        first = tab.locator("article").get_by_role("link", name="Train your first agent")
        assert first.bounding_box()["y"] < LOOKS[look][1] * 0.6
        assert tab.title() == "The Deep RL Workshop"
    cards = tab.locator(".by-door .sd-card")
    assert cards.count() >= 5
    for card in cards.all():
        card.scroll_into_view_if_needed()
        x, y, width, height = card.bounding_box().values()
        inside = f"document.elementFromPoint({x + width - 12}, {y + height - 12})?.closest('a')?.href"
        assert tab.evaluate(inside), "the whole card is a link"


def test_a_chapter_is_cited_with_one_click(tab, address):
    load(tab, f"{address}algorithms/vpg.html")
    fold = tab.locator(".cite-page")
    fold.locator("summary").press("Enter")
    fold.locator("button.copybtn").click(force=True)
    copied = tab.evaluate("() => navigator.clipboard.readText()")
    assert copied.startswith("@incollection{the-deep-rl-workshop-algorithms-vpg,") and copied.endswith("}")
    assert "title     = {{Vanilla policy gradient}}" in copied
    load(tab, f"{address}index.html")
    assert fold.count() == 0


# ---- papers and reading paths


def test_papers_are_found_by_words_topic_and_year(tab, address):
    load(tab, f"{address}practice/key_papers.html")
    shown, said = tab.locator("li.paper:visible"), tab.locator(".paper-filter output")
    headings = tab.locator("section:has(> ul.papers) > h2:visible")
    total = shown.count()
    assert total >= 150 and said.inner_text() == f"{total} of {total} papers" and headings.count() == 19
    tab.get_by_label("Words").fill("Mnih human-level")
    assert shown.count() == 1 and "Atari games" in shown.inner_text() and headings.count() == 1
    tab.get_by_label("Words").fill("no such thing")
    assert shown.count() == 0 and said.inner_text() == "No paper is found: ask for less."
    tab.get_by_role("button", name="Show all").click()
    tab.get_by_label("Topic").select_option(label="Offline RL")
    offline = shown.count()
    assert 10 < offline < total and headings.count() > 1, "papers of other topics belong to it, too"
    tab.locator(".paper-filter select[name=from]").select_option("2024")
    tab.locator(".paper-filter select[name=to]").select_option("2025")
    years = shown.evaluate_all("all => all.map(one => one.className.match(/year-(.*?) /)[1])")
    assert 0 < len(years) < offline and {*years} <= {"2024", "2025"}
    load(tab, tab.url)
    assert shown.count() == len(years), "the address keeps what was asked for"
    tab.goto(f"{tab.url}#paper-mnih2015human")
    tab.reload()
    tab.locator("#paper-mnih2015human").wait_for(state="visible")
    assert shown.count() == total, "a link to a paper shows it"


def test_without_scripts_all_papers_and_all_paths_are_there(open_tab, address):
    tab = open_tab(java_script_enabled=False)
    tab.goto(f"{address}practice/key_papers.html")
    assert tab.locator("li.paper:visible").count() >= 150 and not tab.locator(".paper-filter").is_visible()
    tab.goto(f"{address}start/paths.html")
    assert (
        tab.locator("ol.reading-path:visible").count() == 5 and not tab.locator(".path-memory").is_visible()
    )
    assert tab.locator("input[type=checkbox]:visible").count() == 0


def test_a_page_that_is_ticked_stays_so_on_every_path_until_it_is_forgotten(tab, address):
    load(tab, f"{address}start/paths.html")
    boxes, ticked = tab.locator(".reading-path input"), tab.locator(".reading-path input:checked")
    paths = tab.locator("ol.reading-path")
    begun = paths.filter(has=tab.get_by_label("I have read: Your first agent, in ten minutes")).count()
    assert boxes.count() > 50 and ticked.count() == 0 and begun == 5
    forget = tab.get_by_role("button", name="Forget all ticks")
    assert forget.is_disabled()
    boxes.first.focus()
    tab.keyboard.press("Space")
    assert ticked.count() == begun
    progress = tab.locator(".path-progress").first
    assert progress.inner_text().startswith(f"1 of {paths.first.locator('li').count()} pages read, ")
    assert "1 page is ticked." in tab.locator(".path-memory").inner_text()
    load(tab, f"{address}start/paths.html")
    assert ticked.count() == begun, "the browser remembers"
    assert {urlsplit(one).netloc for one in tab.requests} == {urlsplit(address).netloc}
    forget.press("Enter")
    assert ticked.count() == 0 and tab.evaluate("() => localStorage.getItem('read-pages')") is None
    tab.evaluate("() => localStorage.setItem('read-pages', '{\"not\": \"ours\"}')")
    load(tab, f"{address}start/paths.html")
    assert ticked.count() == 0 and tab.errors == []


# ---- what a page weighs


LIGHT, HEAVY = (
    350_000,
    700_000,
)  # bytes of the title page, and of the heaviest chapter; films come when reached


def on_the_wire(file: Path) -> int:
    """What a file weighs, packed as servers do."""
    return len(gzip.compress(file.read_bytes(), 6)) if file.is_file() and file.suffix != ".mp4" else 0


def with_pictures(page: Path) -> int:
    """What a page weighs with its pictures, without what all pages share."""
    found = re.findall(r'<(?:img|video)[^>]* (?:src|poster)="([^":]+)"', page.read_text(encoding="utf-8"))
    return on_the_wire(page) + sum(on_the_wire(page.parent / unquote(one)) for one in {*found})


@pytest.mark.parametrize("which", ["index", "the heaviest chapter"])
def test_a_page_is_light_on_the_wire_and_does_not_shift(chromium, address, site, which):
    chapters = [name for name in PAGES if name.split("/")[0] in pages.CHAPTER_PARTS]
    name = which if which == "index" else max(chapters, key=lambda one: with_pictures(site / f"{one}.html"))
    tab = chromium.new_context(viewport={"width": 412, "height": 800}).new_page()
    asked = []
    tab.on("request", lambda request: asked.append(urlsplit(request.url)))
    tab.add_init_script(
        """window.shift = 0; new PerformanceObserver(list => list.getEntries().forEach(
        e => { window.shift += e.value })).observe({type: "layout-shift", buffered: true})"""
    )
    tab.goto(f"{address}{name}.html", wait_until="load")
    assert len([one for one in asked if one.scheme == "http"]) <= 20
    assert tab.evaluate("() => window.shift") < 0.02
    tab.evaluate("() => document.querySelectorAll('img').forEach(one => { one.loading = 'eager' })")
    tab.wait_for_load_state("networkidle")
    files = {site / unquote(one.path).removeprefix(PREFIX) for one in asked if one.scheme == "http"}
    weight = sum(map(on_the_wire, files))
    tab.context.close()
    assert weight <= (LIGHT if name == "index" else HEAVY), name
