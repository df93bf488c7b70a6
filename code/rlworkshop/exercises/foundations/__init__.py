"""Exercises of the pages of ``book/foundations``."""
