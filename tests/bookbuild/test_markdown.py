"""A page's Markdown says what the page shows, with its outputs, and leads to other pages' Markdown."""

import re

import nbformat
import pytest
from docutils import nodes

from editions.onsite import only_on_site

PAGE = r"""# Words & *numbers*

**Bold**, *slanted*, `code`, $x_t$, and [a link](https://example.org). See {doc}`/gamma`. 2 * 3 * 4 is 24.

$$
x = 1 \\
y = 2
$$

- one
- two

  and more

1. first
2. second

| a | b |
|---|---|
| $x$ | `c` |

> Said.

```python
y = "```"
```

```{predict} What comes?
It **comes**.
```

![A square](square.png)

<div>raw <b>words</b></div>
"""


@pytest.fixture
def rendered(fresh, sphinx):
    fresh.edit("conf.py", '"bookbuild.site.extension"', '"bookbuild.site.extension", "showcase", "editions"')
    fresh.write("book/foundations/words.md", PAGE)
    (fresh.root / "book/foundations/square.png").write_bytes(b"\x89PNG")
    fresh.edit("book/index.md", "report\n", "report\nfoundations/words\n")
    fresh.add_page("drawn", 'print("a" + "b")', options=":tags: [hide-input]\n\n")
    ab = nbformat.v4.new_output("stream", name="stdout", text="ab")
    says = nbformat.v4.new_output("stream", name="stdout", text="alpha says 42\n")
    outputs = {
        "drawn": [[ab]],
        "alpha": [[says]],
        "beta": [[], [sphinx.claimed("seven-is-at-least-five", 7.0)]],
    }
    made = sphinx.render(sphinx.executed(fresh.root, outputs), html_baseurl="")
    assert (made.status, made.output) == (0, "")
    return made


def test_the_markdown_of_a_book(rendered):
    read = lambda name: (rendered.site / f"{name}.html.md").read_text(encoding="utf-8")  # noqa: E731
    text = read("foundations/words")
    for part in (
        "# Words & *numbers*\n",
        "**Bold**, *slanted*, `code`, $x_t$, and [a link](https://example.org).",
        " See [Page gamma](../gamma.html.md). 2 \\* 3 \\* 4 is 24.",
        "$$\n\\begin{aligned}x = 1 \\\\\ny = 2\\end{aligned}\n$$",
        "- one\n- two\n\n  and more",
        "1. first\n2. second",
        "| a | b |\n| --- | --- |\n| $x$ | `c` |",
        "> Said.",
        '````python\ny = "```"\n````',
        "What comes?\n\n**The answer**\n\nIt **comes**.",
        "![A square](../_images/square.png)",
        "raw words",
    ):
        assert part in text, part
    assert "<" not in text
    alpha, beta = read("alpha"), read("beta")
    code = 'from tiny import direct\nprint("alpha says", direct.shown())'
    assert f"```python\n{code}\n```" in alpha
    assert "```\nalpha says 42\n```" in alpha
    assert "```python\ndef shown():" in alpha and "`code/tiny/direct.py` · tested by `test_shown`" in alpha
    assert read("drawn") == "# Page drawn\n\n```\nab\n```\n"
    assert "> ✓ 1 claim holds" in beta and "claim(" not in beta
    assert "The claim measured 7." in re.sub(r"\[7\]\(.*?\)", "7", beta)
    page = rendered.page("foundations/words")
    assert (
        '<link rel="alternate" type="text/markdown" href="words.html.md" />' in page or "metatags" not in page
    )
    assert "](foundations/words.html.md)" in (rendered.site / "llms.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "left_out"),
    [
        ("<p>a</p>", False),
        ("<p>a <a href='b'>download</a></p>", False),
        ("<article>a</article><inputs>", False),
        ("<p><a class='c' href='b' download>b</a></p>", True),
        ("</figcaption>\n<script type='application/json'>[]</script>", True),
        *(
            (f"<div><{tag} class='c'>a</{tag}></div>", True)
            for tag in ("form", "button", "BUTTON", "input", "select")
        ),
    ],
)
def test_what_runs_or_asks_is_left_out(text, left_out):
    raw = nodes.raw("", text, format="html")
    assert only_on_site(raw) == left_out
    nodes.container("", raw, classes=["cell_output"])
    assert not only_on_site(raw), "of what a cell has put out the words stay"
    marked = nodes.paragraph("", "", nodes.inline("", text), nodes.inline(text="b", classes=["on-site"]))
    assert [only_on_site(part) for part in marked] == [False, True] and not only_on_site(nodes.Text(text))
