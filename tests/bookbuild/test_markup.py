"""What the pages' HTML says to those who cannot see it."""

import re

import nbformat


def test_listings_outputs_and_folds_say_what_they_are(fresh, sphinx):
    fresh.add_page("drawn", 'print("a" + "b")', options=":tags: [hide-input]\n\n")
    fresh.edit("book/index.md", "report\n", "report\ndrawn\n")
    blocks = "".join(f"```{kind}\n1\n```\n\n" for kind in ("console", "diff", "text"))
    fresh.edit("book/gamma.md", "# Page gamma\n", f"# Page gamma\n\n{blocks}")
    ab = nbformat.v4.new_output("stream", name="stdout", text="ab")
    outputs = {"drawn": [[ab]], "beta": [[], [sphinx.claimed("seven-is-at-least-five", 7.0)]]}
    made = sphinx.render(sphinx.executed(fresh.root, outputs))
    said = {
        name: re.findall(r'<pre role="group" aria-label="(.*?)">', made.page(name))
        for name in ("drawn", "gamma")
    }
    assert said["drawn"] == ["Python code", "Output"]
    assert said["gamma"][:3] == ["Commands", "Changes of code", "Text"]
    assert "<summary" in made.page("drawn") and "Toggle hidden content" not in made.page("drawn")
