"""Exercises of the pages of ``book/start``."""
