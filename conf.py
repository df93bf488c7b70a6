"""Sphinx configuration of the book. What executes it and keeps it fresh is in ``code/bookbuild``."""

import sys
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT / "code"))

from pybtex.plugin import find_plugin, register_plugin  # noqa: E402

from bookbuild.engine.project import Project  # noqa: E402
from rlworkshop import __version__  # noqa: E402

here = Project.at(ROOT)
repository_url = here.repository_url

project = "The Deep RL Workshop"
author = "The Deep RL Workshop contributors"
project_copyright = f"2026, {author}. Text CC BY 4.0, code MIT"
release = version = __version__
language = "en"

extensions = [
    "myst_nb",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinxcontrib.bibtex",
    "sphinxext.rediraffe",
    "bookbuild.site.extension",
    "showcase",
    "editions",
]
exclude_patterns = ["**/_*", "Thumbs.db"]
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!rlworkshop\b).*")]  # types of other libraries are not linked
numfig = True
math_numfig = False  # equations are numbered page by page
add_module_names = False  # the section says which module
toc_object_entries_show_parents = "hide"

myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # bookbuild.site.extension executes
nb_merge_streams = True
nb_output_stderr = "show"
nb_ipywidgets_js = {}  # no widgets, no requests to other hosts
# registered, it is not looked up among all installed packages for each citation
register_plugin("pybtex.backends", "plaintext", find_plugin("pybtex.backends", "plaintext"), force=True)
bibtex_bibfiles = ["book/reference/references.bib"]
bibtex_default_style = "plain"
bibtex_reference_style = "author_year"
rediraffe_redirects = "redirects.txt"
rediraffe_template = "_templates/moved.html"
copybutton_selector = ":not(.snippet) > div > div.highlight pre"  # a snippet has buttons of its own
copybutton_exclude = ".linenos, .gp, .go"

html_theme = "sphinx_book_theme"
templates_path = ["book/_templates"]
html_additional_pages = {"404": "404.html", "search": "search.html"}
html_sidebars = {"**": ["sidebar-head.html", "sbt-sidebar-nav.html"]}
html_title = project
html_baseurl = here.base_url  # of canonical addresses, sitemap and cards: where it is set
html_static_path = ["book/_static"]
html_math_renderer = "typeset"  # by bookbuild.site.typeset, with no script
html_css_files = [
    "book.css",
    "evidence.css",
    "snippet.css",
    "exercise.css",
    "api.css",
    "preview.css",
    "search.css",
    "projects.css",
    "workshop.css",
    "playable.css",
]
html_js_files = [
    (f"{name}.js", {"defer": "defer"})
    for name in (
        "evidence",
        "snippet",
        "films",
        "print",
        "preview",
        "search",
        "dialogs",
        "projects",
        "playable",
    )
]
html_last_updated_fmt = None
html_show_sourcelink = False
html_favicon = "book/_static/favicon.svg"
html_context = {"default_mode": "auto"}  # light or dark as the reader's system is
html_theme_options = {
    "logo": {
        "image_light": "book/_static/logo.svg",
        "image_dark": "book/_static/logo-dark.svg",
        "text": project,
    },
    "article_footer_items": ["cite-page.html", "report-problem.html"],
    "path_to_docs": "book",
    "use_download_button": False,
    "use_fullscreen_button": False,
    "show_toc_level": 2,
    "max_navbar_depth": 2,
    "home_page_in_toc": True,
    "navbar_persistent": [],  # the sidebar has the search field
}
epub_basename = "deep-rl-workshop"
epub_description = "Deep reinforcement learning by running it: every agent trained by the code that is read."
epub_contributor = author
epub_identifier = f"urn:uuid:{uuid5(NAMESPACE_URL, f'{project} {release}')}"
epub_leaves_out = ["reference/api", "reference/verification"]  # wide, long, and of use beside a computer
if repository_url:
    html_theme_options |= {
        "repository_url": repository_url,
        "repository_branch": "main",
        "repository_provider": "gitlab" if "gitlab" in repository_url else "github",  # or one that is like it
        "use_repository_button": True,
    }
