"""The builder of the book, which ``rlworkshop`` never imports. ``site`` stands on ``engine``, free of Sphinx.

- ``__main__``: the commands that the Makefile calls.
- ``bootstrap``: makes ``.venv``; a script, for any Python.
- ``build``: engine first, then Sphinx, then the new site in the place of the old one.
- ``live``: the site served, and a page shown anew when it is saved.

``engine``: decides what is stale, runs it on all cores, keeps what comes of it.

- ``book``: brings a book up to date, and is what Sphinx is handed.
- ``collect``: what runs in forks of the warm process, watched: tests, functions of the book's code.
- ``exercises``: their stubs, solutions and verdicts.
- ``forks``: the warm process and its forks.
- ``pages``: a page's cells, its front matter, what it is made from.
- ``project``: where things are.
- ``reference``: how fast this machine is.
- ``run``: a page in its kernel.
- ``schedule``: jobs on all cores.
- ``store``: results, by what they were made from.
- ``tests``: files of tests as jobs, and ``make test``.
- ``watch``: what a process reads.

``site``: shows what the engine holds.

- ``api``: the public functions and classes, from their source.
- ``assets``: what pages load.
- ``domain``: what pages tell each other.
- ``equations``: ties equations to code.
- ``exercises``: exercises and predictions on a page.
- ``extension``: what joins Sphinx.
- ``markup``: HTML where the book needs it otherwise.
- ``names``: names in code lead to where they are defined.
- ``numbering``: numbers page by page, and a bibliography that leads back.
- ``reading``: what a page shows at once, and what one click away.
- ``report``: the page on verification.
- ``search``: what the search looks through.
- ``snippets``: code on a page, and whole modules to download.
- ``takeaway``: notebooks and scripts.
- ``terms``: the field's words lead to the glossary.
- ``typeset``: formulas.
"""
