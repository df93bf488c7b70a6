"""The exercises of the book: a module for each page that has some, named after the page.

A module holds solutions, each with the probes that an answer has to pass (see ``rlworkshop.check``).
Nothing imports these modules but the checker, by name: they may stand on every other part.
"""
