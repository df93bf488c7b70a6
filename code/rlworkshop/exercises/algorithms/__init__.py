"""Exercises of the pages of ``book/algorithms``."""
