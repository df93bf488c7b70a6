"""The builder of the book, which ``rlworkshop`` never imports. ``site`` stands on ``engine``, free of Sphinx.

- ``__main__``: the commands that the Makefile calls.
- ``build``, ``live``: engine first, then Sphinx, then the new site in the place of the old one.
- ``bootstrap``: makes ``.venv``; a script, for any Python.

``engine``: decides what is stale, runs it on all cores, keeps what comes of it.

- ``project``: where things are. ``pages``: a page's cells and front matter.
- ``book``: brings a book up to date, and is what Sphinx is handed.
- ``schedule``: jobs on all cores. ``run``: a page in its kernel. ``forks``: the warm process and its forks.
- ``watch``: what a process reads. ``store``: results by what they were made from.
- ``tests``, ``collect``, ``suite``: files of tests. ``exercises``: their stubs and solutions.
- ``calibration``: claims on other seeds. ``reference``: how fast this machine is.

``site``: shows what the engine holds.

- ``extension``: what joins Sphinx. ``domain``, ``markup``: what pages tell each other, how it is written.
- ``snippets``, ``exercises``, ``equations``, ``api``, ``report``: directives. ``takeaway``: notebooks.
"""
